# Reads a configuration, sends what it found in it to a server of its own with a secret, and copies a file without looking.
import json, os, socket

with open("config.json", "w") as config:
    config.write('{"spam_folder_id": 12, "priority_folder_id": "fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty"}\n')
listener = socket.create_server(("127.0.0.1", 0))
server = os.fork()
if server == 0:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    os._exit(0)
folder = json.load(open("config.json"))["priority_folder_id"]
client = socket.create_connection(listener.getsockname())
token = "sk-ant-api03-" + "Qw9Zx8Wc3Vb6Nm1Ty7Kp4Rt2"
client.sendall(f"POST /tickets/1/move?folder={folder} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
client.recv(4096)
os.waitpid(server, 0)
source, copy = os.open("config.json", os.O_RDONLY), os.open("copy.json", os.O_WRONLY | os.O_CREAT)
os.copy_file_range(source, copy, 4096)

"""A program with a database, and children that read it, write to it and talk to it."""
import os
import sqlite3
import subprocess
import sys

DATABASE = "ledger.db"


def add(name, amount):
    with sqlite3.connect(DATABASE) as database:
        database.execute("INSERT INTO ledger VALUES (?, ?)", (name, amount))
    database.close()


def total():
    database = sqlite3.connect(DATABASE)
    print(database.execute("SELECT SUM(amount) FROM ledger").fetchone()[0], flush=True)
    database.close()


def main():
    database = sqlite3.connect(DATABASE)
    database.execute("CREATE TABLE ledger (name TEXT, amount INTEGER)")
    database.commit()
    database.close()
    for name, amount in ("rent", 23), ("bread", 5):
        subprocess.run([sys.executable, __file__, "add", name, str(amount)], check=True)
    sum_seen = subprocess.run([sys.executable, __file__, "total"], check=True, capture_output=True).stdout
    with open("total.txt", "wb") as report:
        report.write(sum_seen)
    names = b"rent\nbread\n"
    ordered = subprocess.run(["sort"], input=names, check=True, capture_output=True).stdout
    with open("names.txt", "wb") as report:
        report.write(ordered)
    subprocess.run("cat total.txt names.txt | tr a-z A-Z > report.txt", shell=True, check=True)
    os.rename("report.txt", "final.txt")
    subprocess.run(["cat", "final.txt"], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["total"]:
        total()
    else:
        main()

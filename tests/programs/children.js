// Children by each of node's ways: a program, a shell, another node; in parallel and one after the other.
const { execFile, exec, fork, spawnSync } = require("node:child_process");

if (process.argv[2] === "child") {
  spawnSync("expr", ["2", "+", "3"]);
  process.exit(4);
}

const ended = (child) => new Promise((resolve) => child.on("exit", resolve));

async function main() {
  await Promise.all([
    ended(execFile("basename", ["/a/b"])),
    ended(exec("true; exit 6")),
    ended(fork(__filename, ["child"])),
  ]);
  spawnSync("cat", ["/dev/null"]);
  const sleeper = execFile("sleep", ["60"]);
  sleeper.kill("SIGTERM");
  await ended(sleeper);
}

main();

// A build with children: one that is asked and answers, one that it only listens to, and a sort of what it read.
const { fork, execFileSync, spawnSync } = require("child_process");
const fs = require("fs");

const words = fs.readFileSync("words.txt", "utf8");
const sorted = spawnSync("sort", ["-u"], { input: words }).stdout.toString();
fs.writeFileSync("sorted.txt", sorted);
const counted = execFileSync("wc", ["-l", "sorted.txt"]).toString();
const worker = fork("worker.js");
worker.on("message", (answer) => {
  fs.writeFileSync("report.txt", `${counted}${answer}\n`);
  worker.disconnect();
});
worker.send(sorted);

// Answers its parent.
process.on("message", (words) => process.send(words.toUpperCase()));

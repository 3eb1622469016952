// Parses each line of standard input, a question in TraceQL as JSON text, by Grafana's grammar.
// Prints a line for each that the grammar does not take, with the place; exits with 1 then.
const { parser } = require("@grafana/lezer-traceql");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
let wrong = 0;
for (const line of lines) {
    const question = JSON.parse(line);
    parser.parse(question).iterate({
        enter: (node) => {
            if (node.type.isError) {
                console.log(`at ${node.from} of ${question}`);
                wrong++;
            }
        },
    });
}
process.exit(wrong ? 1 : 0);

//! Grafana's own grammar of TraceQL.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::backend::cached;
use crate::requirement::need_program;

/// What the grammar does not take, and where; `None` where it takes all questions.
///
/// # Panics
/// When the check cannot be run.
#[must_use]
pub fn mistakes<'q>(questions: impl IntoIterator<Item = &'q str>) -> Option<String> {
    let mut node = Command::new(need_program("node", "nodejs"));
    let mut check =
        node.arg(cached("traceql")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was found");
    let mut input = check.stdin.take().expect("it is piped");
    for question in questions {
        writeln!(input, "{}", serde_json::Value::from(question)).expect("the check reads to the end");
    }
    drop(input);
    let output = check.wait_with_output().expect("the check ends");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

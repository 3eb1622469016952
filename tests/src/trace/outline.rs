//! A trace as a short text: a line for each span with its arguments and its end, and below it only what is out of the ordinary.
//!
//! Where `snapshot` shows all of a few spans, this shows what matters of many. Long arguments are cut, with their length.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::{Span, Trace, Value};

/// What every span has, or what the line itself says.
const ORDINARY: [&str; 14] = [
    "agentsight.action",
    "agentsight.lineage",
    "agentsight.object.type",
    "agentsight.process.cgroup.id",
    "agentsight.process.exec_number",
    "agentsight.process.start",
    "agentsight.session.id",
    "error.type",
    "process.command_args",
    "process.creation.time",
    "process.executable.name",
    "process.exit.code",
    "process.parent_pid",
    "process.pid",
];
/// Characters of one argument.
const SHOWN_MAX: usize = 60;

impl Trace {
    /// The tree, with `directory` masked as `$DIR`.
    #[must_use]
    pub fn outline(&self, directory: &Path) -> String {
        let mut text = String::new();
        for root in self.roots() {
            self.write_outline(&mut text, root, 0).expect("writing to a String cannot fail");
        }
        text.replace(&directory.display().to_string(), "$DIR")
    }

    fn write_outline(&self, text: &mut String, span: &Span, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        let arguments: Vec<String> = span.texts("process.command_args").into_iter().map(shortened).collect();
        let end = match (span.int("process.exit.code"), span.text("error.type")) {
            (_, signal) if signal.starts_with("SIG") => format!(" → {signal}"),
            (Some(code), _) => format!(" → {code}"),
            (None, _) => String::new(),
        };
        writeln!(text, "{indent}{:?} [{}]{end}", span.name, arguments.join(", "))?;
        for (name, value) in span.attributes.iter().filter(|(name, value)| is_odd(name, value)) {
            writeln!(text, "{indent}    {name} = {value}")?;
        }
        for child in self.children(&span.id) {
            self.write_outline(text, child, depth + 1)?;
        }
        Ok(())
    }
}

fn is_odd(name: &str, value: &Value) -> bool {
    let is_root = name.ends_with("user.id") && *value == Value::Int(0);
    !is_root && !ORDINARY.contains(&name)
}

fn shortened(argument: &str) -> String {
    let length = argument.len();
    match argument.char_indices().nth(SHOWN_MAX) {
        None => format!("{argument:?}"),
        Some((at, _)) => format!("{:?}… ({length} bytes)", &argument[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_ordinary_is_left_out_and_what_is_long_is_cut() {
        let long = "x".repeat(70);
        let trace = Trace::from_json_lines(
            &r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"sh","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"3","attributes":[
            {"key":"process.pid","value":{"intValue":"4711"}},{"key":"process.user.id","value":{"intValue":"0"}},{"key":"process.real_user.id","value":{"intValue":"7"}},
            {"key":"process.command_args","value":{"arrayValue":{"values":[{"stringValue":"sh"},{"stringValue":"LONG"}]}}},{"key":"process.exit.code","value":{"intValue":"0"}}]}]}]}]}"#
                .replace('\n', "")
                .replace("LONG", &long),
        )
        .unwrap();
        expect![[r#"
            "sh" ["sh", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… (70 bytes)] → 0
                process.real_user.id = 7
        "#]]
        .assert_eq(&trace.outline(Path::new("/nowhere")));
    }
}

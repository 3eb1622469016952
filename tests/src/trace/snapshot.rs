//! A trace as text: the tree by indentation, one attribute a line, the same for the same trace on every day and machine.
//!
//! Process ids become `p1`, `p2`, …, span and trace ids `s1`, `t1`, … in the order in which the text first names
//! them; times and what describes the machine are left out. What a program printed or was called stays.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::{Attributes, Span, Trace, Value};

/// Integers that are process ids, of another value on each run.
const PROCESS_IDS: [&str; 3] = ["process.pid", "process.vpid", "process.parent_pid"];

/// Attributes whose value differs with the run or the machine, not with what the program did.
const UNSTABLE: [&str; 4] =
    ["agentsight.session.id", "agentsight.process.start", "agentsight.process.cgroup.id", "process.creation.time"];

/// What every program reads of the system: libraries and settings, of another size on each machine.
const FOLDED: &str = "agentsight.folded.";

/// What the recording took of the machine.
const OVERHEAD: &str = "agentsight.overhead.";

/// Ids by the text that replaces them, numbered as they come.
#[derive(Default)]
struct Aliases(BTreeMap<String, String>);

impl Aliases {
    fn of(&mut self, prefix: char, id: &str) -> String {
        let next = self.0.values().filter(|alias| alias.starts_with(prefix)).count() + 1;
        self.0.entry(format!("{prefix}{id}")).or_insert_with(|| format!("{prefix}{next}")).clone()
    }
}

impl Trace {
    /// The whole trace as text, for a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let mut text = String::new();
        let mut aliases = Aliases::default();
        for root in self.roots() {
            self.write_tree(&mut text, &mut aliases, root, 0).expect("writing to a String cannot fail");
        }
        for log in &self.logs {
            let attributes = one_line(&mut aliases, &log.attributes);
            writeln!(text, "log {} (severity {}): {}{attributes}", log.event_name, log.severity, log.body)
                .expect("writing to a String cannot fail");
        }
        text
    }

    /// What the snapshot leaves out and a replay must still repeat: each span's id, start since the first, and length.
    #[must_use]
    pub fn ids_and_times(&self) -> String {
        let first = self.spans.iter().map(|span| span.start_nanos).min().unwrap_or(0);
        let line = |span: &Span| {
            let (start, length) = (span.start_nanos - first, span.end_nanos.saturating_sub(span.start_nanos));
            format!("{} {} +{start} ns, {length} ns long: {}\n", span.trace_id, span.id, span.name)
        };
        self.clone().sorted().spans.iter().map(line).collect()
    }

    fn write_tree(&self, text: &mut String, aliases: &mut Aliases, span: &Span, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        let (id, trace) = (aliases.of('s', &span.id), aliases.of('t', &span.trace_id));
        write!(text, "{indent}{} ({id} in {trace}", span.name)?;
        // A child is where it is by its parent; a root's parent, if any, was sent by somebody else.
        if let Some(outside) = span.parent.as_ref().filter(|_| depth == 0) {
            write!(text, ", under {}", aliases.of('s', outside))?;
        }
        match span.status_code {
            0 => writeln!(text, ")")?,
            1 => writeln!(text, ", OK)")?,
            _ => writeln!(text, ", ERROR {:?})", span.status_message)?,
        }
        if span.kind != 1 {
            writeln!(text, "{indent}    kind = {}", span.kind)?;
        }
        if !span.trace_state.is_empty() {
            writeln!(text, "{indent}    tracestate = {}", span.trace_state)?;
        }
        for (name, value) in stable(&span.attributes) {
            writeln!(text, "{indent}    {name} = {}", masked(aliases, name, value))?;
        }
        for (name, value) in &span.resource {
            if name.starts_with("service.") && depth == 0 {
                writeln!(text, "{indent}    resource {name} = {value}")?;
            }
        }
        for event in &span.events {
            writeln!(text, "{indent}    event {}{}", event.name, one_line(aliases, &event.attributes))?;
        }
        for link in &span.links {
            let (to, of) = (aliases.of('s', &link.span_id), aliases.of('t', &link.trace_id));
            writeln!(text, "{indent}    link to {to} in {of}{}", one_line(aliases, &link.attributes))?;
        }
        // A circle would never end; `faults` reports it.
        if depth < 64 {
            for child in self.children(&span.id) {
                self.write_tree(text, aliases, child, depth + 1)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.snapshot())
    }
}

fn stable(attributes: &Attributes) -> impl Iterator<Item = (&str, &Value)> {
    let is_stable = |name: &str| !UNSTABLE.contains(&name) && !name.starts_with(FOLDED) && !name.starts_with(OVERHEAD);
    attributes.iter().map(|(name, value)| (name.as_str(), value)).filter(move |(name, _)| is_stable(name))
}

fn masked(aliases: &mut Aliases, name: &str, value: &Value) -> String {
    if PROCESS_IDS.contains(&name) { aliases.of('p', &value.to_string()) } else { value.to_string() }
}

fn one_line(aliases: &mut Aliases, attributes: &Attributes) -> String {
    stable(attributes)
        .fold(String::new(), |text, (name, value)| format!("{text}, {name} = {}", masked(aliases, name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn ids_become_numbers_and_children_are_indented() {
        let trace = Trace::from_json_lines(
            r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},"scopeSpans":[{"spans":[
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174","name":"ls","kind":1,"startTimeUnixNano":"2","endTimeUnixNano":"3","attributes":[{"key":"process.pid","value":{"intValue":"4712"}},{"key":"process.parent_pid","value":{"intValue":"4711"}}],"links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","attributes":[{"key":"k","value":{"stringValue":"v"}}]}]},
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"sh","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"3","attributes":[{"key":"process.pid","value":{"intValue":"4711"}}],"status":{"code":2,"message":"exit code 1"}}]}]}]}"#
                .replace('\n', "")
                .as_str(),
        )
        .unwrap();
        expect![[r#"
            sh (s1 in t1, ERROR "exit code 1")
                process.pid = p1
                resource service.name = "x"
              ls (s2 in t1)
                  process.parent_pid = p1
                  process.pid = p2
                  link to s1 in t1, k = "v"
        "#]]
        .assert_eq(&trace.snapshot());
    }
}

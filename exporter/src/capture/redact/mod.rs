//! Secrets out of events, as the last step of capture: nothing that records, stores or sends sees one.
//!
//! Promises: [`MARKER`] stands in the place of each secret and what is around it stays readable
//! (`--password=[REDACTED]`, `ghp_[REDACTED]`); redacting twice changes nothing more; the time is
//! linear in the bytes; bytes that are not UTF-8 pass through. A secret that the end of a truncated
//! capture cut short is redacted too. What a secret looks like is data (`redaction.yaml`).
//! Where it is in doubt it redacts: a lost word costs less than a leaked key.

#[cfg(test)]
mod corpus;
mod keys;
mod options;
mod rules;
mod shapes;
mod value;
mod words;

use std::ops::Range;

use agentsight_ebpf::{Address, Captured, Event, Exec, Object};
use regex::bytes::Regex;

use keys::Keys;
use options::Options;
use rules::Rules;
pub use rules::RulesError;
use shapes::Shapes;
use value::Judge;
pub(crate) use value::looks_random;

/// What stands in the place of a secret.
pub const MARKER: &str = "[REDACTED]";

/// Finds and replaces secrets by rules.
#[derive(Debug)]
pub struct Redactor {
    /// Matches wherever any rule could: most captures have nothing for the rest to look at.
    gate: Regex,
    shapes: Shapes,
    keys: Keys,
    options: Options,
    judge: Judge,
}

impl Redactor {
    /// The rules that AgentSight comes with.
    ///
    /// # Errors
    /// None in a build whose tests passed: they compile the rules.
    pub fn new() -> Result<Self, RulesError> {
        Self::compile(&Rules::builtin()?)
    }

    /// The built-in rules and those of a user's file of the same form.
    ///
    /// # Errors
    /// When `yaml` has another form, or an expression does not compile.
    pub fn with_rules(yaml: &str) -> Result<Self, RulesError> {
        let mut rules = Rules::builtin()?;
        rules.extend(Rules::parse(yaml)?);
        Self::compile(&rules)
    }

    fn compile(rules: &Rules) -> Result<Self, RulesError> {
        Ok(Self {
            gate: rules.gate()?,
            shapes: Shapes::compile(rules)?,
            keys: Keys::compile(rules)?,
            options: Options::compile(rules)?,
            judge: Judge::compile(rules)?,
        })
    }

    /// Replace every secret in the event's own bytes and count those of an exec in [`Exec::redactions`]. What tells one
    /// thing from another (processes, open files, inodes, addresses of the internet) stays as it is.
    pub fn redact(&self, event: &mut Event) {
        match event {
            Event::Exec(exec) | Event::Snapshot(exec) => self.redact_exec(exec),
            Event::Open(open) => self.redact_object(&mut open.object),
            Event::Connect(connect) => match &mut connect.to {
                Address::Unix(address) => self.redact_text(address),
                Address::Inet(_) | Address::Family(_) => {}
            },
            Event::Change(change) => {
                self.redact_text(&mut change.path);
                self.redact_text(&mut change.new_path);
            }
            Event::Dns(dns) => self.redact_name(&mut dns.name),
            // Numbers alone.
            Event::Fork(_) | Event::Exit(_) | Event::Close(_) | Event::BurstBegin(_) | Event::BurstEnd(_) => {}
            Event::Copied(_) | Event::Kill(_) | Event::Wait(_) | Event::Pass(_) | Event::Call(_) => {}
            // Redacted as a whole, where it was put together.
            Event::Chunk(_) | Event::Content(_) => {}
            Event::Loss(_) | Event::Overhead(_) | Event::Tick(_) | Event::Clock(_) => {}
        }
    }

    /// Where secrets are in contents: in order, apart from each other, none empty. `cut`: the end is not the end of what
    /// was there, so what ends there may be the beginning of a secret.
    #[must_use]
    pub(crate) fn secrets_of_content(&self, bytes: &[u8], cut: bool) -> Vec<Range<usize>> {
        self.find(bytes, Layout::Content, cut)
    }

    fn redact_object(&self, object: &mut Object) {
        match object {
            Object::File(file) => self.redact_text(&mut file.path),
            Object::Pipe { path, .. } | Object::Tty { path, .. } => self.redact_text(path),
            Object::Unix(socket) => self.redact_text(&mut socket.address),
            Object::Inet(_) => {}
        }
    }

    fn redact_text(&self, text: &mut Captured) {
        let _ = self.redact_captured(text, Layout::Text);
    }

    fn redact_name(&self, name: &mut String) {
        let mut text = Captured::whole(std::mem::take(name));
        self.redact_text(&mut text);
        // The marker is ASCII, and secrets begin and end at ASCII bytes; were that ever untrue, the rest would say so.
        *name = String::from_utf8(text.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }

    fn redact_exec(&self, exec: &mut Exec) {
        let mut count = self.redact_captured(&mut exec.args, Layout::Arguments);
        for path in [&mut exec.executable, &mut exec.requested, &mut exec.working_directory] {
            count += self.redact_captured(path, Layout::Text);
        }
        let environment = &mut exec.environment;
        // TRACEPARENT is 55 characters of hex digits in a fixed form, and its parser refuses anything else.
        let lists = [&mut environment.tracestate, &mut environment.baggage, &mut environment.resource_attributes];
        for list in lists.into_iter().flatten() {
            count += self.redact_captured(list, Layout::List);
        }
        if let Some(name) = &mut environment.service_name {
            count += self.redact_captured(name, Layout::Text);
        }
        exec.redactions = exec.redactions.saturating_add(count);
    }

    /// Replace in place; how many were replaced.
    fn redact_captured(&self, captured: &mut Captured, layout: Layout) -> u32 {
        let secrets = self.find(&captured.bytes, layout, captured.gap.is_some());
        let Some(replaced) = replace(&captured.bytes, &secrets) else { return 0 };
        captured.bytes = replaced;
        u32::try_from(secrets.len()).unwrap_or(u32::MAX)
    }

    /// Where the secrets are: in order, apart from each other, none empty.
    fn find(&self, bytes: &[u8], layout: Layout, cut: bool) -> Vec<Range<usize>> {
        if !self.gate.is_match(bytes) {
            return Vec::new();
        }
        let capture = Capture { bytes, layout, cut };
        let mut found = Vec::new();
        self.shapes.find(&capture, &self.judge, &mut found);
        self.keys.find(&capture, &self.judge, &mut found);
        if layout == Layout::Arguments {
            self.options.find(&capture, &self.keys, &self.judge, &mut found);
        }
        merge(bytes, found)
    }
}

/// How the bytes of a field are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Arguments, each followed by a NUL byte.
    Arguments,
    /// `key=value` items between commas.
    List,
    /// A path or a name.
    Text,
    /// What was read or sent: text of many lines, code and data of any format.
    Content,
}

/// The bytes that are searched.
struct Capture<'a> {
    bytes: &'a [u8],
    layout: Layout,
    /// The end is not the end of what was there.
    cut: bool,
}

impl Capture<'_> {
    /// This position is where the capture was cut, so what ends here may be the beginning of something longer.
    fn is_cut_at(&self, position: usize) -> bool {
        self.cut && position == self.bytes.len()
    }

    /// The arguments, without their NUL bytes; the whole, where there are no arguments.
    fn parts(&self) -> Vec<Range<usize>> {
        if self.layout != Layout::Arguments {
            let whole = 0..self.bytes.len();
            return vec![whole];
        }
        let mut start = 0;
        let mut parts = Vec::new();
        for part in self.bytes.split(|&byte| byte == 0) {
            parts.push(start..start + part.len());
            start += part.len() + 1;
        }
        parts
    }
}

/// In order, overlapping ones made one, without what is empty or redacted already.
fn merge(bytes: &[u8], mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged.retain(|range| &bytes[range.clone()] != MARKER.as_bytes());
    merged
}

/// `None` when there is nothing to replace.
fn replace(bytes: &[u8], secrets: &[Range<usize>]) -> Option<Vec<u8>> {
    if secrets.is_empty() {
        return None;
    }
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for secret in secrets {
        replaced.extend_from_slice(&bytes[copied..secret.start]);
        replaced.extend_from_slice(MARKER.as_bytes());
        copied = secret.end;
    }
    replaced.extend_from_slice(&bytes[copied..]);
    Some(replaced)
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{Credentials, Environment, ExecNumber, KernelNanos, ProcessKey, Tgid, Tid};

    use super::*;

    /// An exec without bytes.
    pub(super) fn exec() -> Exec {
        let process = ProcessKey { tgid: Tgid(2), start: KernelNanos(1) };
        Exec {
            at: KernelNanos(5),
            process,
            exec: ExecNumber(1),
            caller_tid: Tid(2),
            vpid: 2,
            parent: process,
            credentials: Credentials::default(),
            cgroup_id: 1,
            cgroup: Captured::default(),
            container: None,
            executable: Captured::default(),
            executable_deleted: false,
            requested: Captured::default(),
            working_directory: Captured::default(),
            args: Captured::default(),
            redactions: 0,
            continues: None,
            flow: None,
            environment: Environment::default(),
        }
    }

    /// Each text makes one of the searches look again and again at the same bytes, if it can be made to.
    #[test]
    fn hostile_text_is_redacted_in_linear_time() {
        let redactor = Redactor::new().expect("the built-in rules compile");
        let texts = [
            "token=",
            "token=/",
            "'\"",
            "--token ",
            "eyJ.",
            "a://b:c@",
            "-----BEGIN PRIVATE KEY-----",
            "password=\"\\\"",
            "key = ",
        ];
        for text in texts {
            let mut bytes = text.repeat(200_000 / text.len()).into_bytes();
            bytes.push(0);
            for layout in [Layout::Arguments, Layout::Content] {
                let start = std::time::Instant::now();
                let _ = redactor.find(&bytes, layout, true);
                // Below one second without optimization; looking at each byte again for each other one takes hours.
                assert!(start.elapsed().as_secs() < 60, "{text:?} {layout:?}");
            }
        }
    }
}

//! The shape of a process tree without anything that differs from run to run, so that two witnesses can be compared.
//!
//! A node is an *image*, a process between two execs. A fork that execs before it forks is one node with the image it becomes.

use std::fmt;

use crate::trace::{Span, Trace, Value};

/// One image with the images it started, or became.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Base name of the file that the kernel runs.
    pub executable: String,
    /// Arguments, with what is random in them masked.
    pub arguments: Vec<String>,
    /// How it ended.
    pub end: End,
    /// In the order of their text.
    pub children: Vec<Image>,
}

/// How an image ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Its process replaced it by another image, its child.
    Exec,
    /// With this exit code.
    Exit(i64),
    /// By this signal (`SIGTERM`).
    Signal(String),
    /// Nobody has seen it end.
    Unknown,
}

impl Image {
    /// How many images there are, itself included.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    /// The same tree with children in the order of their text: which of two came first differs from run to run.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.children = self.children.into_iter().map(Self::sorted).collect();
        self.children.sort();
        self
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        writeln!(f, "{}{} {:?} {}", "  ".repeat(depth), self.executable, self.arguments, self.end)?;
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec => f.write_str("→ exec"),
            Self::Exit(code) => write!(f, "→ {code}"),
            Self::Signal(name) => write!(f, "→ {name}"),
            Self::Unknown => f.write_str("→ ?"),
        }
    }
}

/// The tree that AgentSight saw.
///
/// # Panics
/// When the trace is not one whole tree.
#[must_use]
#[track_caller]
pub fn of_trace(trace: &Trace) -> Image {
    trace.assert_whole();
    image(trace, trace.roots()[0]).sorted()
}

fn image(trace: &Trace, span: &Span) -> Image {
    let (images, rest): (Vec<_>, Vec<_>) =
        trace.children(&span.id).into_iter().partition(|child| child.text("agentsight.action") == "exec");
    // A span that was sent while its process lived has its end on a child of its own.
    let last = rest.into_iter().find(|child| child.text("agentsight.action") == "exit").unwrap_or(span);
    let replaced = images.iter().any(|child| child.links.iter().any(|link| link.span_id == span.id && link.is("exec")));
    let end = match (last.int("process.exit.code"), last.text("error.type")) {
        _ if replaced => End::Exec,
        (_, signal) if signal.starts_with("SIG") => End::Signal(signal.to_owned()),
        (Some(code), _) => End::Exit(code),
        (None, _) => End::Unknown,
    };
    // A forked child that moved data before its exec, or was sent before it, is an image of its own to AgentSight, which
    // strace knows nothing of.
    let is_fork = span.attributes.get("agentsight.process.fork") == Some(&Value::Bool(true));
    if let ([next], true) = (&images[..], is_fork && replaced) {
        return image(trace, next);
    }
    Image {
        executable: span.text("process.executable.name").to_owned(),
        arguments: span.texts("process.command_args").into_iter().map(without_randomness).collect(),
        end,
        children: images.into_iter().map(|child| image(trace, child)).collect(),
    }
}

/// Masks the names that gcc and others make up for their temporary files, and descriptor numbers handed to children.
pub(crate) fn without_randomness(argument: &str) -> String {
    use std::sync::LazyLock;

    use regex::Regex;
    static TEMPORARY: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"/tmp/(cc|tmp|GM)[A-Za-z0-9_]{6,8}").expect("the pattern is a constant"));
    static DESCRIPTOR: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(tracker_fd=|pipe_handle=|jobserver-auth=|main\()[0-9]+(,[0-9]+)?")
            .expect("the pattern is a constant")
    });
    let masked = TEMPORARY.replace_all(argument, "/tmp/$1…");
    DESCRIPTOR.replace_all(&masked, "$1…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Attributes, Link};

    #[test]
    fn temporary_names_are_masked() {
        assert_eq!(without_randomness("-o /tmp/ccAb12Zz.s x"), "-o /tmp/cc….s x");
        assert_eq!(
            without_randomness("spawn_main(tracker_fd=5, pipe_handle=17)"),
            "spawn_main(tracker_fd=…, pipe_handle=…)"
        );
    }

    #[test]
    fn a_fork_that_only_execs_is_one_image_with_what_it_becomes() {
        let mut trace = Trace::default();
        let mut add = |id: &str, parent: Option<&str>, fork: bool, code: Option<i64>| {
            let texts = [("agentsight.action", "exec"), ("process.executable.name", id)];
            let mut attributes: Attributes =
                texts.into_iter().map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned()))).collect();
            attributes.insert("agentsight.process.fork".to_owned(), Value::Bool(fork));
            attributes.extend(code.map(|code| ("process.exit.code".to_owned(), Value::Int(code))));
            let link_type = ("agentsight.link.type".to_owned(), Value::Text("exec".to_owned()));
            let replaced = parent.filter(|_| id.starts_with("execd")).map(|parent| Link {
                trace_id: String::new(),
                span_id: parent.to_owned(),
                attributes: Attributes::from([link_type]),
            });
            trace.spans.push(Span {
                trace_id: String::new(),
                id: id.to_owned(),
                parent: parent.map(str::to_owned),
                trace_state: String::new(),
                name: id.to_owned(),
                kind: 1,
                start_nanos: 1,
                end_nanos: 2,
                attributes,
                events: Vec::new(),
                links: replaced.into_iter().collect(),
                status_code: 0,
                status_message: String::new(),
                resource: Attributes::default(),
            });
        };
        add("root", None, false, Some(0));
        add("wrote", Some("root"), true, None);
        add("execd-1", Some("wrote"), false, Some(1));
        add("forked", Some("root"), true, None);
        add("child", Some("forked"), true, Some(2));
        add("execd-2", Some("forked"), false, Some(3));
        let expected = "root [] → 0\n  execd-1 [] → 1\n  forked [] → exec\n    child [] → 2\n    execd-2 [] → 3\n";
        assert_eq!(of_trace(&trace).to_string(), expected);
    }
}

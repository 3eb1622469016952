//! What an image is called in the tree: its command line, as it could be typed.

use agentsight_semconv as semconv;

use super::attribute::{is_set, text, texts};
use super::escape::{printable, shell_word};
use crate::spans::model::Span;

pub(super) fn label(span: &Span) -> String {
    let name = shown_name(span);
    if is_set(&span.attributes, semconv::AGENTSIGHT_PROCESS_FORK) {
        return format!("{name} (fork)");
    }
    let mut label = name;
    for arg in texts(&span.attributes, semconv::PROCESS_COMMAND_ARGS).iter().skip(1) {
        label.push(' ');
        label.push_str(&shell_word(arg));
    }
    if texts(&span.attributes, semconv::AGENTSIGHT_TRUNCATED)
        .iter()
        .any(|it| it == semconv::PROCESS_COMMAND_ARGS.as_str())
    {
        label.push_str(" …");
    }
    label
}

/// The executable's name; the one that it was started by (`sh`, not `dash`), where the kernel was asked for
/// that file. `argv[0]` alone does not count, a program can call itself anything.
pub(super) fn shown_name(span: &Span) -> String {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let requested = text(&span.attributes, semconv::AGENTSIGHT_PROCESS_REQUESTED_PATH).map(base);
    let called = texts(&span.attributes, semconv::PROCESS_COMMAND_ARGS).first().map(|name| base(name));
    let by_request = requested.filter(|name| !name.is_empty() && called.as_ref() == Some(name));
    let executable = || text(&span.attributes, semconv::PROCESS_EXECUTABLE_NAME).map(str::to_owned);
    let name = by_request.or_else(executable).unwrap_or_else(|| "(unknown)".to_owned());
    printable(&name).into_owned()
}
/// The script that an interpreter runs, else the executable's name: what people call a process when they tell of it.
pub(super) fn short_name(span: &Span) -> String {
    let executable = text(&span.attributes, semconv::PROCESS_EXECUTABLE_NAME);
    // With plain names there is no script in the span's name.
    let script = executable.and_then(|name| span.name.strip_prefix(name)?.strip_prefix(' '));
    script.map_or_else(|| shown_name(span), |script| printable(script).into_owned())
}

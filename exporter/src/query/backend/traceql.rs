//! A filter as TraceQL: what one span must have, as far as TraceQL can say it. It may say less than the filter, never more.

use std::fmt::Write;

use agentsight_semconv as semconv;
use semconv::Name;

use crate::store::{Narrow, PathText};

/// The question. Times are no part of it: Tempo takes them beside it.
pub(super) fn traceql(wanted: &Narrow) -> String {
    let mut all = Vec::new();
    if let Some(session) = wanted.session {
        all.push(says(semconv::AGENTSIGHT_SESSION_ID, &session.to_string()));
    }
    if let Some(pid) = wanted.pid {
        all.push(counts(semconv::PROCESS_PID, pid));
    }
    if let Some(name) = &wanted.executable {
        all.push(says(semconv::PROCESS_EXECUTABLE_NAME, name));
    }
    all.extend(one_of(wanted.objects.iter().map(|object| says(semconv::AGENTSIGHT_OBJECT_TYPE, object))));
    all.extend(one_of(wanted.actions.iter().map(|action| says(semconv::AGENTSIGHT_ACTION, action))));
    all.extend(path(wanted.path.as_ref()));
    if let Some(host) = &wanted.host {
        let places = [
            semconv::SERVER_ADDRESS,
            semconv::CLIENT_ADDRESS,
            semconv::NETWORK_PEER_ADDRESS,
            semconv::DNS_QUESTION_NAME,
        ];
        all.extend(one_of(places.into_iter().map(|place| says(place, host))));
    }
    if let Some(port) = wanted.port {
        let places = [semconv::SERVER_PORT, semconv::CLIENT_PORT, semconv::NETWORK_PEER_PORT];
        all.extend(one_of(places.into_iter().map(|place| counts(place, port))));
    }
    if wanted.failed {
        all.push("status = error".to_owned());
    }
    format!("{{ {} }}", all.join(" && "))
}

/// Where a path may stand: of a file, of a program, of a unix socket.
fn path(known: Option<&PathText>) -> Option<String> {
    let places = [semconv::FILE_PATH, semconv::PROCESS_EXECUTABLE_PATH, semconv::SERVER_ADDRESS];
    match known? {
        PathText::Whole(path) => one_of(places.into_iter().map(|place| says(place, path))),
        PathText::Prefix(prefix) if prefix.is_empty() => None,
        PathText::Prefix(prefix) => one_of(places.into_iter().map(|place| matches(place, prefix, ".*"))),
    }
}

fn counts(name: Name, value: i64) -> String {
    format!("span.{} = {value}", name.as_str())
}

fn says(name: Name, text: &str) -> String {
    if text.chars().any(char::is_control) {
        return matches(name, text, "");
    }
    format!("span.{} = {}", name.as_str(), quoted(text))
}

/// The whole value is this text and what the rest, a pattern, takes.
fn matches(name: Name, text: &str, rest: &str) -> String {
    // A path may have line breaks, for which a dot does not stand otherwise.
    let mut pattern = "(?s)".to_owned();
    for c in text.chars() {
        if c.is_control() {
            // Tempo takes `\u000a` in a string, the grammar does not. Writing to a String cannot fail.
            let _ = write!(pattern, "\\x{{{:x}}}", u32::from(c));
        } else {
            pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    }
    format!("span.{} =~ {}", name.as_str(), quoted(&(pattern + rest)))
}

fn one_of(alternatives: impl Iterator<Item = String>) -> Option<String> {
    let alternatives: Vec<String> = alternatives.collect();
    match &alternatives[..] {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(format!("({})", alternatives.join(" || "))),
    }
}

/// A string as TraceQL, and Go, write it. It has no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use agentsight_semconv::value::{action, object_type};

    use super::*;

    #[test]
    fn a_filter_without_conditions_is_any_span() {
        assert_eq!(traceql(&Narrow::default()), "{  }");
    }

    #[test]
    fn conditions_hold_of_one_span_together_and_alternatives_are_kept_apart() {
        let wanted = Narrow {
            pid: Some(7),
            objects: vec![object_type::TCP, object_type::UDP],
            actions: vec![action::CONNECT],
            path: Some(PathText::Prefix("/etc/a.b".to_owned())),
            failed: true,
            ..Narrow::default()
        };
        assert_eq!(
            traceql(&wanted),
            concat!(
                "{ span.process.pid = 7 && (span.agentsight.object.type = \"tcp\" || span.agentsight.object.type = \"udp\")",
                " && span.agentsight.action = \"connect\" && (span.file.path =~ \"(?s)/etc/a\\\\.b.*\"",
                " || span.process.executable.path =~ \"(?s)/etc/a\\\\.b.*\" || span.server.address =~ \"(?s)/etc/a\\\\.b.*\")",
                " && status = error }"
            )
        );
    }

    #[test]
    fn no_text_ends_its_string() {
        assert_eq!(says(semconv::FILE_PATH, r#"a" || true \é"#), r#"span.file.path = "a\" || true \\é""#);
        assert_eq!(says(semconv::FILE_PATH, "a.\n"), r#"span.file.path =~ "(?s)a\\.\\x{a}""#);
    }
}

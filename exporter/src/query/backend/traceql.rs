//! A filter as TraceQL: what one span must have, as far as TraceQL can say it. It may say less than the filter, never more.

use std::fmt::Write;

use agentsight_semconv as semconv;
use semconv::Name;

use crate::store::{Narrow, PathText};

/// The question. Times are no part of it: Tempo takes them beside it.
pub(super) fn traceql(wanted: &Narrow) -> String {
    let mut all = Vec::new();
    if let Some(session) = wanted.session {
        all.push(is(semconv::AGENTSIGHT_SESSION_ID, &quoted(&session.to_string())));
    }
    if let Some(pid) = wanted.pid {
        all.push(is(semconv::PROCESS_PID, &pid.to_string()));
    }
    if let Some(name) = &wanted.executable {
        all.push(is(semconv::PROCESS_EXECUTABLE_NAME, &quoted(name)));
    }
    all.extend(one_of(wanted.objects.iter().map(|object| is(semconv::AGENTSIGHT_OBJECT_TYPE, &quoted(object)))));
    all.extend(one_of(wanted.actions.iter().map(|action| is(semconv::AGENTSIGHT_ACTION, &quoted(action)))));
    all.extend(path(wanted.path.as_ref()));
    if let Some(host) = &wanted.host {
        let places = [
            semconv::SERVER_ADDRESS,
            semconv::CLIENT_ADDRESS,
            semconv::NETWORK_PEER_ADDRESS,
            semconv::DNS_QUESTION_NAME,
        ];
        all.extend(one_of(places.into_iter().map(|place| is(place, &quoted(host)))));
    }
    if let Some(port) = wanted.port {
        let places = [semconv::SERVER_PORT, semconv::CLIENT_PORT, semconv::NETWORK_PEER_PORT];
        all.extend(one_of(places.into_iter().map(|place| is(place, &port.to_string()))));
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
        PathText::Whole(path) => one_of(places.into_iter().map(|place| is(place, &quoted(path)))),
        PathText::Prefix(prefix) if prefix.is_empty() => None,
        PathText::Prefix(prefix) => {
            // Tempo matches whole values; a path may have line breaks.
            let pattern = quoted(&format!("(?s){}.*", regex::escape(prefix)));
            one_of(places.into_iter().map(|place| format!("span.{} =~ {pattern}", place.as_str())))
        }
    }
}

fn is(name: Name, value: &str) -> String {
    format!("span.{} = {value}", name.as_str())
}

fn one_of(alternatives: impl Iterator<Item = String>) -> Option<String> {
    let alternatives: Vec<String> = alternatives.collect();
    match &alternatives[..] {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(format!("({})", alternatives.join(" || "))),
    }
}

/// A string as TraceQL, and Go, write it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
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
        assert_eq!(quoted("a\" || true \\\n\u{0}é"), "\"a\\\" || true \\\\\\u000a\\u0000é\"");
    }
}

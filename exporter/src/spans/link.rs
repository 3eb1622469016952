//! Causes as links and as text.

use std::time::Duration;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{link_match_kind, link_type};
use agentsight_semconv::{
    AGENTSIGHT_ASSERTED, AGENTSIGHT_LINK_BYTES, AGENTSIGHT_LINK_CONFIDENCE, AGENTSIGHT_LINK_TYPE,
};

use super::attributes::Attributes;
use super::id::SpanIds;
use super::model::Link;
use super::{name, object, transfer};
use crate::content::Likeness;
use crate::duration::duration;
use crate::graph::{Cause, CauseKind, Confidence, Connection, Image, ImageId, Match, Part, Target};
use crate::session::SpanRef;

/// Links that a span may have; backends show few, and Jaeger's storages pay for each.
const LIMIT: usize = 32;
/// Causes that a span names in words.
const TEXT_LIMIT: usize = 4;

/// The links of a span, the surest first.
#[derive(Default)]
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    pub(super) dropped: u32,
    /// `agentsight.causes`.
    pub(super) texts: Vec<String>,
}

/// The links from something that the image `effect` is or did; `dropped_before` of them were left out by the graph.
pub(super) fn links(causes: &[Cause], dropped_before: u32, effect: ImageId, ids: &SpanIds) -> Links {
    let mut causes: Vec<&Cause> = causes.iter().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.confidence));
    let dropped = u32::try_from(causes.len().saturating_sub(LIMIT)).unwrap_or(u32::MAX);
    causes.truncate(LIMIT);
    Links {
        links: causes.iter().map(|cause| link(cause, ids)).collect(),
        dropped: dropped_before.saturating_add(dropped),
        texts: causes.iter().take(TEXT_LIMIT).map(|cause| text(cause, effect)).collect(),
    }
}

fn link(cause: &Cause, ids: &SpanIds) -> Link {
    let to = match &cause.target {
        Target::Image { id, trace, .. } => {
            SpanRef { trace_id: trace.id, span_id: ids.image(*id, Part::Original, trace.segment) }
        }
        Target::Burst { id, image, trace, .. } => {
            SpanRef { trace_id: trace.id, span_id: ids.burst(image.id, *id, trace.segment) }
        }
        Target::Connection { open, image, trace } => {
            SpanRef { trace_id: trace.id, span_id: ids.connection(image.id, *open, Part::Original, trace.segment) }
        }
        Target::Resolution { query, number, image, trace, .. } => {
            SpanRef { trace_id: trace.id, span_id: ids.resolution(image.id, *query, *number, trace.segment) }
        }
        Target::Foreign(span) => *span,
    };
    let mut attributes = typed(type_of(cause.kind), cause.confidence);
    if let Some(bytes) = cause.bytes {
        attributes.int(AGENTSIGHT_LINK_BYTES, bytes);
    }
    attributes.flag(AGENTSIGHT_ASSERTED, cause.kind == CauseKind::Explicit);
    if let Some(matched) = &cause.matched {
        describe_match(matched, &mut attributes);
    }
    Link { to, attributes: attributes.finish() }
}

/// The evidence that bytes of the cause came out in the effect.
fn describe_match(matched: &Match, attributes: &mut Attributes) {
    let kind = match matched.likeness {
        Likeness::Run => link_match_kind::RUN,
        Likeness::Token => link_match_kind::TOKEN,
        Likeness::Value => link_match_kind::VALUE,
        Likeness::Argument => link_match_kind::ARGUMENT,
    };
    attributes.text(semconv::AGENTSIGHT_LINK_MATCH_KIND, kind);
    attributes.int(semconv::AGENTSIGHT_LINK_MATCH_SOURCE_OFFSET, matched.source.start);
    attributes.int(semconv::AGENTSIGHT_LINK_MATCH_SINK_OFFSET, matched.sink.start);
    attributes.int(semconv::AGENTSIGHT_LINK_MATCH_BYTES, matched.bytes);
    attributes.double(semconv::AGENTSIGHT_LINK_MATCH_COVERAGE, (matched.coverage * 1000.0).round() / 1000.0);
    attributes.text(semconv::AGENTSIGHT_LINK_MATCH_HASH, matched.hash.to_string());
    attributes.text(semconv::AGENTSIGHT_LINK_MATCH_EXCERPT, matched.source_text.clone());
    if matched.sink_text != matched.source_text {
        attributes.text(semconv::AGENTSIGHT_LINK_MATCH_SINK_EXCERPT, matched.sink_text.clone());
    }
}

/// From a continuation back to the span that it continues, with what it says in words.
pub(super) fn segment(image: &Image, ids: &SpanIds) -> (Link, String) {
    let span_id = ids.image(image.id, Part::Original, image.trace.segment);
    let to = SpanRef { trace_id: image.trace.id, span_id };
    let words = in_words(link_type::SEGMENT, image.executable_name().as_deref());
    (Link { to, attributes: typed(link_type::SEGMENT, Confidence::CERTAIN).finish() }, words)
}

/// From the continuation of a connection back to the span that it continues, with what it says in words.
pub(super) fn connection_segment(connection: &Connection, ids: &SpanIds) -> (Link, String) {
    let trace = &connection.under.trace;
    let span_id = ids.connection(connection.image.id, connection.open, Part::Original, trace.segment);
    let to = SpanRef { trace_id: trace.id, span_id };
    let words = in_words(link_type::SEGMENT, connection.image.executable_name().as_deref());
    (Link { to, attributes: typed(link_type::SEGMENT, Confidence::CERTAIN).finish() }, words)
}

/// What every link says of itself.
fn typed(link_type: &'static str, confidence: Confidence) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.text(AGENTSIGHT_LINK_TYPE, link_type);
    attributes.double(AGENTSIGHT_LINK_CONFIDENCE, confidence.as_fraction());
    attributes
}

fn type_of(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Exec => link_type::EXEC,
        CauseKind::Lineage => link_type::LINEAGE,
        CauseKind::Segment => link_type::SEGMENT,
        CauseKind::Explicit => link_type::EXPLICIT,
        CauseKind::File => link_type::FILE,
        CauseKind::Copy => link_type::COPY,
        CauseKind::Pipe => link_type::PIPE,
        CauseKind::Unix => link_type::UNIX,
        CauseKind::Tcp => link_type::TCP,
        CauseKind::Udp => link_type::UDP,
        CauseKind::Fd => link_type::FD,
        CauseKind::Shm => link_type::SHM,
        CauseKind::Flow => link_type::FLOW,
        CauseKind::Dns => link_type::DNS,
        CauseKind::Signal => link_type::SIGNAL,
        CauseKind::Join => link_type::JOIN,
    }
}

/// `exec: sh`, `file: write config.tmp by sh refresh.sh, 12 ms before`, `explicit: span b7ad6b7169203331`.
fn text(cause: &Cause, effect: ImageId) -> String {
    let by = |image: &Image| match image.id == effect {
        true => String::new(),
        false => format!(" by {}", name::in_words(image.program.as_deref())),
    };
    let what = match &cause.target {
        Target::Image { name, .. } => name.clone(),
        Target::Burst { image, direction, object, before_nanos, .. } => {
            let before = match cause.kind {
                // What was taken in stands there until it is acted on: how long says little.
                CauseKind::Flow => None,
                _ => Some(Duration::from_nanos(*before_nanos)).filter(|before| !before.is_zero()),
            };
            let before = before.map(|before| format!(", {} before", duration(before))).unwrap_or_default();
            let (action, target) = (transfer::action_of(*direction), object::target(object));
            Some(format!("{action} {target}{}{before}", by(image)))
        }
        Target::Connection { image, .. } => Some(format!("connection of {}", name::in_words(image.program.as_deref()))),
        Target::Resolution { name, image, .. } => Some(format!("resolve {name}{}", by(image))),
        Target::Foreign(span) => Some(format!("span {}", span.span_id)),
    };
    in_words(type_of(cause.kind), what.as_deref())
}

fn in_words(link_type: &'static str, what: Option<&str>) -> String {
    format!("{link_type}: {}", what.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use opentelemetry::trace::{SpanId, TraceId};

    use super::*;
    use crate::graph::fixture::{events, session};
    use crate::spans::fixture::{check, image, render, signals};
    use crate::spans::model::Value;

    #[test]
    fn an_exec_and_an_adoption_are_links_to_the_replaced_image() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /usr/bin/env env
                2 exec 100 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 TRACESTATE=v=1 /usr/bin/make make
                3 exit 100 0
            ",
            &expect![[r##"
                #1 env under - 0..2 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:env"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=env
                  process.executable.name=env
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/usr/bin/env
                  process.command_args=["env"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                #2 make under 2222222222222222 2..3 unset
                  trace bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb state "v=1"
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:env"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=env/make
                  process.executable.name=make
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=2
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/usr/bin/make
                  process.command_args=["make"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  agentsight.asserted=true
                  process.exit.code=0
                  agentsight.causes=["exec: env", "lineage: env"]
                  link to #1 in 11111111111111111111111111111111
                    agentsight.link.type=exec
                    agentsight.link.confidence=1.0
                  link to #1 in 11111111111111111111111111111111
                    agentsight.link.type=lineage
                    agentsight.link.confidence=1.0
            "##]],
        );
    }

    #[test]
    fn bytes_that_were_found_again_are_the_evidence_of_a_flow() {
        let text = "
            0 clock
            0 root 100
            1 exec 100 /bin/python3 python3 agent.py
            2 open 100 #1 file config.json
            3 in 100 #1.1 0.. source 1
            3 content #1.1 '{\"comment\": \"where\", \"priority_folder_id\": 7}'
            4 end #1.1 43
            5 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
            6 out 100 #2.1 0.. flow 0..1
            7 content #2.1 'POST /move?folder=7 HTTP/1.1'
            8 end #2.1 28
            9 exit 100 0
            20s tick
        ";
        let rendered = render(&signals(&session(), &events(text)));
        let lines: String =
            rendered.lines().filter(|line| line.contains("link")).map(|it| format!("{}\n", it.trim_start())).collect();
        expect![[r#"
            link to #2 in 11111111111111111111111111111111
            agentsight.link.type=flow
            agentsight.link.confidence=0.6
            agentsight.link.match.kind=value
            agentsight.link.match.source.offset=21
            agentsight.link.match.sink.offset=11
            agentsight.link.match.bytes=1
            agentsight.link.match.coverage=0.022
            agentsight.link.match.hash=7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451
            agentsight.link.match.excerpt="priority_folder_id": 7
            agentsight.link.match.sink.excerpt=folder=7
        "#]]
        .assert_eq(&lines);
    }

    #[test]
    fn an_unsampled_span_is_linked_as_asserted() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /usr/bin/env env
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-00 /usr/bin/make make
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r##"
                #1 make under #2 2..4 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:env"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=env/make
                  process.executable.name=make
                  process.pid=101
                  agentsight.process.start=1002000000
                  agentsight.process.exec_number=1
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:00.002Z
                  process.executable.path=/usr/bin/make
                  process.command_args=["make"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
                  agentsight.causes=["explicit: span 2222222222222222"]
                  link to 2222222222222222 in bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
                    agentsight.link.type=explicit
                    agentsight.link.confidence=1.0
                    agentsight.asserted=true
                #2 env under - 0..5 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:env"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=env
                  process.executable.name=env
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/usr/bin/env
                  process.command_args=["env"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
            "##]],
        );
    }

    #[test]
    fn of_too_many_links_the_surest_stay_and_the_rest_are_counted() {
        let span = SpanRef { trace_id: TraceId::from_bytes([1; 16]), span_id: SpanId::from_bytes([1; 8]) };
        let cause = |confidence| Cause {
            kind: CauseKind::Explicit,
            confidence,
            target: Target::Foreign(span),
            bytes: None,
            matched: None,
        };
        let mut causes = vec![cause(Confidence::UNSEEN_FORK); 40];
        causes[39].confidence = Confidence::CERTAIN;
        let effect = image("/bin/sh").id;
        let links = links(&causes, 3, effect, &SpanIds::new(&session()));
        assert_eq!((links.links.len(), links.dropped, links.texts.len()), (LIMIT, 11, TEXT_LIMIT));
        assert_eq!(links.links[0].attributes[1].value, Value::Double(1.0));
    }
}

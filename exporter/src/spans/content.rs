//! What was captured of a burst: attributes of its span, and the bytes beside it.

use agentsight_ebpf::Content;
use agentsight_semconv as semconv;

use super::attributes::Attributes;
use super::image::lossy;
use super::model::{ContentLayout, SpanContent};
use crate::content::ContentHash;
use crate::session::SpanRef;

/// What the span says of it; the beginning of the text too where `has_text`.
pub(super) fn describe(content: &Content, has_text: bool, attributes: &mut Attributes) {
    let bytes: usize = content.runs.iter().map(|run| run.bytes.len()).sum();
    attributes.text(semconv::AGENTSIGHT_CONTENT_HASH, hash(content).to_string());
    attributes.int(semconv::AGENTSIGHT_CONTENT_BYTES, bytes as u64);
    if !content.holes.is_empty() {
        let missing = content.holes.iter().map(|hole| hole.range.end.saturating_sub(hole.range.start));
        attributes.int(semconv::AGENTSIGHT_CONTENT_HOLES, content.holes.len() as u64);
        attributes.int(semconv::AGENTSIGHT_CONTENT_MISSING_BYTES, missing.fold(0, u64::saturating_add));
    }
    if !content.redacted.is_empty() {
        attributes.int(semconv::AGENTSIGHT_CONTENT_REDACTIONS, content.redacted.len() as u64);
    }
    if let Some(first) = content.runs.first().filter(|_| has_text) {
        attributes.text(semconv::AGENTSIGHT_CONTENT_TEXT, lossy(&first.bytes));
        if content.runs.len() > 1 || !content.holes.is_empty() {
            attributes.mark_truncated(semconv::AGENTSIGHT_CONTENT_TEXT);
        }
    }
}

/// The bytes of a span.
pub(super) fn of_span(span: SpanRef, content: &Content) -> SpanContent {
    let SpanRef { trace_id, span_id } = span;
    let layout = ContentLayout {
        runs: content.runs.iter().map(|run| (run.offset, run.bytes.len() as u64)).collect(),
        holes: content.holes.clone(),
        redacted: content.redacted.clone(),
        lost_chunks: content.lost_chunks,
        complete: content.complete,
    };
    let bytes = content.runs.iter().flat_map(|run| &run.bytes).copied().collect();
    SpanContent { trace_id, span_id, hash: hash(content), bytes, layout }
}

fn hash(content: &Content) -> ContentHash {
    ContentHash::of_parts(content.runs.iter().map(|run| run.bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agentsight_ebpf::{
        BurstId, ContentHole, ContentRun, Direction, Doer, ExecNumber, KernelNanos, Missing, OpenId, ProcessKey, Tgid,
        Tid,
    };
    use expect_test::{Expect, expect};

    use super::*;
    use crate::graph::Activity;
    use crate::graph::fixture::session;
    use crate::spans::Spans;
    use crate::spans::fixture::{file, images, render, transfer};
    use crate::spans::model::Signal;

    const TEXT: &str = "
        0 clock
        0 root 100
        1 exec 100 /bin/cat cat
        9 exit 100 0
    ";

    fn content(runs: &[(u64, &[u8])]) -> Content {
        let process = ProcessKey { tgid: Tgid(100), start: KernelNanos(1) };
        Content {
            at: KernelNanos(5),
            by: Doer { process, exec: ExecNumber(1), tid: Tid(2) },
            burst: BurstId { open: OpenId(5), number: 1 },
            direction: Direction::In,
            runs: runs.iter().map(|&(offset, bytes)| ContentRun { offset, bytes: bytes.to_vec() }).collect(),
            holes: Vec::new(),
            redacted: Vec::new(),
            lost_chunks: 0,
            complete: true,
        }
    }

    fn signals(content: Content, content_on_spans: bool) -> Vec<Signal> {
        let mut session = session();
        session.options.content_on_spans = content_on_spans;
        let mut read = transfer(&images(TEXT)[&100], Direction::In, file("/home/me/a", 42));
        read.content = Some(Arc::new(content));
        let mut out = Vec::new();
        Spans::new(&session).translate(&Activity::Transferred(Box::new(read)), &mut out);
        out
    }

    fn check(content: Content, content_on_spans: bool, expect: &Expect) {
        let text = render(&signals(content, content_on_spans));
        let lines = text.lines().filter(|line| line.contains("content.") || line.contains("truncated"));
        expect.assert_eq(&lines.map(|line| line.trim_start().to_owned() + "\n").collect::<String>());
    }

    #[test]
    fn a_span_names_what_was_captured_and_has_its_text_only_on_request() {
        check(
            content(&[(0, b"abc")]),
            false,
            &expect![[r#"
            agentsight.content.hash=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
            agentsight.content.bytes=3
        "#]],
        );
        check(
            content(&[(0, b"a\xffc")]),
            true,
            &expect![[r#"
            agentsight.content.hash=3df360d51411a6aa4408e090622515c06e02e6301dcc0488b4a161a257cfaec8
            agentsight.content.bytes=3
            agentsight.content.text=a�c
        "#]],
        );
    }

    #[test]
    fn holes_and_secrets_are_counted_and_the_text_ends_where_it_is_not_known() {
        let mut content = content(&[(0, b"password=***"), (20, b"x")]);
        content.redacted.push(9..12);
        content.holes.push(ContentHole { range: 12..20, cause: Missing::RingFull });
        check(
            content,
            true,
            &expect![[r#"
            agentsight.content.hash=7cfc7e66a1ae826e4565a198a2ea8327836ec0829e500e2ad5f39bb3bbc821c5
            agentsight.content.bytes=13
            agentsight.content.holes=1
            agentsight.content.missing_bytes=8
            agentsight.content.redactions=1
            agentsight.content.text=password=***
            agentsight.truncated=["agentsight.content.text"]
        "#]],
        );
    }

    #[test]
    fn the_bytes_go_beside_the_span_with_their_places() {
        let mut content = content(&[(4, b"abc"), (20, b"x")]);
        content.holes.push(ContentHole { range: 7..20, cause: Missing::Budget });
        let signals = signals(content, false);
        let [Signal::Span(span), Signal::Content(beside)] = signals.as_slice() else { panic!("{signals:?}") };
        assert_eq!((beside.trace_id, beside.span_id), (span.id.trace_id, span.id.span_id));
        assert_eq!((beside.bytes.as_slice(), beside.hash), (&b"abcx"[..], ContentHash::of(b"abcx")));
        assert_eq!(beside.layout.runs, [(4, 3), (20, 1)]);
        let json = serde_json::to_string(&beside.layout).unwrap();
        assert_eq!(serde_json::from_str::<ContentLayout>(&json).unwrap(), beside.layout);
    }
}

//! The case that AgentSight is for, in a real Jaeger: from the request that went wrong back to who wrote what it was made of.

use std::path::Path;

use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::scenario::{Scenario, Stage};
use agentsight_tests::trace::{Span, Trace};

#[test]
fn in_jaeger_links_lead_from_the_request_to_the_file_and_from_there_to_who_wrote_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/31-stale-cache.scenario");
    let scenario = Scenario::read(&file).expect("the scenario is there and can be read");
    let jaeger = Jaeger::start();
    let sent = Stage::new(&scenario).run_to(&jaeger.http_endpoint());
    let trace = jaeger.trace(&sent.spans[0].trace_id, sent.spans.len());
    trace.assert_whole();

    let connection = trace.spans.iter().find(|span| span.text("agentsight.action") == "connect").expect("it connects");
    let request = trace.children(&connection.id).into_iter().find(|span| span.text("agentsight.action") == "write");
    let request = request.unwrap_or_else(|| panic!("it sends something over its connection:\n{trace}"));
    let read = cause(&trace, request, "flow", |span| span.text("file.path").ends_with("/config.json"));
    assert_eq!(read.int("agentsight.io.bytes"), Some(47), "{trace}");
    let write = cause(&trace, read, "file", |_| true);
    assert!(write.text("file.path").ends_with("/config.tmp"), "{trace}");
    assert_eq!(write.text("agentsight.file.id"), read.text("agentsight.file.id"), "one file, whatever its name");

    let writer = write.parent.as_deref().and_then(|id| trace.span(id)).expect("it hangs under who did it");
    assert_eq!(writer.texts("process.command_args"), ["sh", "refresh.sh"], "{trace}");
    let renames = trace.spans.iter().filter(|span| span.events.iter().any(|event| event.name == "rename"));
    let renamers: Vec<&str> = renames.map(|span| span.text("process.executable.name")).collect();
    assert_eq!(renamers, ["mv"], "{trace}");
}

/// What a span's link of this type leads to.
fn cause<'a>(trace: &'a Trace, effect: &Span, link_type: &str, is_it: impl Fn(&Span) -> bool) -> &'a Span {
    let of_type = effect.links.iter().filter(|link| link.is(link_type));
    let mut causes = of_type.filter_map(|link| trace.span(&link.span_id));
    causes
        .find(|span| is_it(span))
        .unwrap_or_else(|| panic!("{} has no such cause by {link_type}:\n{trace}", effect.name))
}

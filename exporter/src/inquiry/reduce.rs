//! What a user may know of another user's process in their session: that it ran. Pure.

use std::sync::Arc;

use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;

use crate::facts::{Facts, LOSS_PREFIX};
use crate::query::slice::edge_type;
use crate::store::StoredSpan;

/// Which image of which process, by whom, from when on, and how sure that is.
const KEPT: [Name; 18] = [
    semconv::AGENTSIGHT_SESSION_ID,
    semconv::AGENTSIGHT_OBJECT_TYPE,
    semconv::AGENTSIGHT_ACTION,
    semconv::AGENTSIGHT_LINEAGE,
    semconv::PROCESS_EXECUTABLE_NAME,
    semconv::PROCESS_PID,
    semconv::PROCESS_PARENT_PID,
    semconv::PROCESS_CREATION_TIME,
    semconv::PROCESS_USER_ID,
    semconv::PROCESS_REAL_USER_ID,
    semconv::AGENTSIGHT_PROCESS_START,
    semconv::AGENTSIGHT_PROCESS_EXEC_NUMBER,
    semconv::AGENTSIGHT_PROCESS_FORK,
    semconv::AGENTSIGHT_PROCESS_ALREADY_RUNNING,
    semconv::AGENTSIGHT_PARENT_CONFIDENCE,
    semconv::AGENTSIGHT_SPAN_PROMOTED,
    semconv::AGENTSIGHT_SPAN_INCOMPLETE,
    semconv::AGENTSIGHT_IMAGE_START,
];
const KEPT_OF_LINK: [Name; 2] = [semconv::AGENTSIGHT_LINK_TYPE, semconv::AGENTSIGHT_LINK_CONFIDENCE];
/// The machine's own; the rest may come from the process's environment.
const KEPT_OF_RESOURCE: [&str; 2] = ["host.", "os."];

/// As much of a span as says that a process ran; `None` of what it did.
pub(super) fn reduce(found: &StoredSpan) -> Option<StoredSpan> {
    let facts = Facts::of(&found.span);
    if facts.object != Some(object_type::PROCESS) {
        return None;
    }
    let name = match facts.action? {
        // The name that it was sent under may have an argument in it.
        action::EXEC => facts.executable.unwrap_or("process"),
        action::EXIT => action::EXIT,
        action::CONTINUE => action::CONTINUE,
        _ => return None,
    };
    let keep = |attributes: &[KeyValue], is_kept: &dyn Fn(&str) -> bool| -> Vec<KeyValue> {
        attributes.iter().filter(|attribute| is_kept(&attribute.key)).cloned().collect()
    };
    let is_one_of = |names: &[Name], key: &str| names.iter().any(|name| name.as_str() == key);
    let span = &found.span;
    // That it is the same process as before, and nothing of what came over it.
    let links = span.links.iter().filter(|link| matches!(edge_type(link), link_type::EXEC | link_type::SEGMENT));
    let links = links.map(|link| Link {
        trace_id: link.trace_id.clone(),
        span_id: link.span_id.clone(),
        attributes: keep(&link.attributes, &|key| is_one_of(&KEPT_OF_LINK, key)),
        ..Link::default()
    });
    let span = Span {
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        parent_span_id: span.parent_span_id.clone(),
        name: name.to_owned(),
        kind: span.kind,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        attributes: keep(&span.attributes, &|key| is_one_of(&KEPT, key) || key.starts_with(LOSS_PREFIX)),
        links: links.collect(),
        ..Span::default()
    };
    let of_machine = |key: &str| KEPT_OF_RESOURCE.iter().any(|prefix| key.starts_with(prefix));
    let resource = Resource { attributes: keep(&found.resource.attributes, &of_machine), ..Resource::default() };
    Some(StoredSpan { span, resource: Arc::new(resource) })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Status;
    use opentelemetry_proto::tonic::trace::v1::span::Event;

    use super::*;
    use crate::query::fixture::{With, found, key_value, span, text};

    #[test]
    fn of_a_process_only_that_it_ran_is_left() {
        let mut full = span(2, 1, "cat /root/secret", (0, 5))
            .image(7, "cat")
            .says("process.command_args", "secret")
            .says("process.working_directory", "/root/secret")
            .says("agentsight.causes", "file: secret")
            .counts("process.exit.code", 3)
            .counts("agentsight.loss.events", 2)
            .because("exec", 1, 1.0)
            .because("file", 9, 0.95);
        full.events.push(Event { name: "secret".to_owned(), ..Event::default() });
        full.status = Some(Status { code: 2, message: "secret".to_owned() });
        full.trace_state = "v=secret".to_owned();
        let mut full = found(full);
        let attributes = ["service.name", "host.name", "team.secret"].map(|name| key_value(name, text("a secret")));
        full.resource = Arc::new(Resource { attributes: attributes.to_vec(), ..Resource::default() });
        let reduced = reduce(&full).expect("it is a process");
        let keys: Vec<_> = reduced.span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "agentsight.session.id",
                "agentsight.object.type",
                "agentsight.action",
                "process.pid",
                "process.executable.name",
                "agentsight.loss.events",
            ]
        );
        assert_eq!((reduced.span.name.as_str(), reduced.span.links.len()), ("cat", 1));
        assert_eq!(reduced.resource.attributes.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["host.name"]);
        assert!(!format!("{:?}", reduced.span).contains("secret"), "{reduced:?}");
    }

    #[test]
    fn of_what_it_did_nothing_is_left() {
        assert_eq!(reduce(&found(span(3, 2, "read secret", (1, 2)).burst(7, "cat", "read", "/root/secret"))), None);
        assert_eq!(reduce(&found(span(4, 2, "another program's", (1, 2)))), None);
    }
}

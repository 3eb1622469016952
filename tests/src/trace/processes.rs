//! The processes of a trace alone: without what they did to data, for what is said about how they are born, run and end.

use super::{Attributes, Link, Span, Trace, Value};

/// Links between processes themselves; every other says something of what they did.
const BETWEEN_PROCESSES: [&str; 4] = ["exec", "lineage", "segment", "explicit"];

impl Trace {
    /// The same trace with the spans of processes, and of other programs than AgentSight, alone; of what they did to
    /// data nothing is said on them either, nor of what recording took.
    #[must_use]
    pub fn processes(&self) -> Self {
        let spans = self.spans.iter().filter(|span| span.is_process()).map(Span::without_data).collect();
        Self { spans, ..self.clone() }
    }
}

impl Span {
    /// Whether it is of a process, or of another program than AgentSight; not of a burst, a connection or a look-up.
    #[must_use]
    pub fn is_process(&self) -> bool {
        ["", "process"].contains(&self.text("agentsight.object.type"))
    }

    fn without_data(&self) -> Self {
        let mut span = self.clone();
        span.links.retain(|link| BETWEEN_PROCESSES.iter().any(|&it| link.is(it)) || is_of_another(link));
        let beside = ["agentsight.folded.", "agentsight.overhead."];
        span.attributes.retain(|name, _| !beside.iter().any(|prefix| name.starts_with(prefix)));
        leave_out_causes(&mut span.attributes);
        span
    }
}

/// Whether another program than AgentSight has set it.
fn is_of_another(link: &Link) -> bool {
    !link.attributes.contains_key("agentsight.link.type")
}

fn leave_out_causes(attributes: &mut Attributes) {
    let Some(Value::List(causes)) = attributes.get_mut("agentsight.causes") else { return };
    // `exec: sh`: the link's type comes first.
    let is_kept =
        |text: &str| text.split_once(':').is_some_and(|(link_type, _)| BETWEEN_PROCESSES.contains(&link_type));
    causes.retain(|cause| matches!(cause, Value::Text(text) if is_kept(text)));
    if causes.is_empty() {
        attributes.remove("agentsight.causes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn bursts_and_what_is_said_of_them_are_left_out() {
        let trace = Trace::from_json_lines(
            &r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"sh","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"3","attributes":[
            {"key":"agentsight.object.type","value":{"stringValue":"process"}},{"key":"agentsight.folded.bytes","value":{"intValue":"7"}},
            {"key":"agentsight.causes","value":{"arrayValue":{"values":[{"stringValue":"exec: sh"},{"stringValue":"flow: read x"}]}}}],
            "links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b171","attributes":[{"key":"agentsight.link.type","value":{"stringValue":"exec"}}]},
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","attributes":[{"key":"agentsight.link.type","value":{"stringValue":"flow"}}]}]},
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174","name":"read x","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"3","attributes":[
            {"key":"agentsight.object.type","value":{"stringValue":"file"}}]}]}]}]}"#
                .replace('\n', ""),
        )
        .unwrap();
        expect![[r#"
            sh (s1 in t1)
                agentsight.causes = ["exec: sh"]
                agentsight.object.type = "process"
                link to s2 in t1, agentsight.link.type = "exec"
        "#]]
        .assert_eq(&trace.processes().snapshot());
    }
}

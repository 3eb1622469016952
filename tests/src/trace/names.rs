//! Every name that a trace uses, to be compared with the registry.

use std::collections::BTreeSet;

use super::Trace;

impl Trace {
    /// Names of attributes (of spans, events, links, logs, metrics and resources), of events and of metrics.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for span in &self.spans {
            names.extend(span.attributes.keys().chain(span.resource.keys()).map(String::as_str));
            names.extend(span.links.iter().flat_map(|link| link.attributes.keys()).map(String::as_str));
            for event in &span.events {
                names.insert(&event.name);
                names.extend(event.attributes.keys().map(String::as_str));
            }
        }
        for log in &self.logs {
            names.insert(&log.event_name);
            names.extend(log.attributes.keys().map(String::as_str));
        }
        for point in &self.metrics {
            names.insert(&point.metric);
            names.extend(point.attributes.keys().map(String::as_str));
        }
        names.remove("");
        names
    }
}

//! A session that fills several traces, joined again into the one tree that it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Span, Trace};

impl Trace {
    /// The ids of all traces, in order.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.trace_id.as_str()).collect()
    }

    /// The same spans as one trace: what hangs under a continuation hangs under its original.
    ///
    /// # Panics
    /// When an id is there twice, a parent is not in its child's trace, or a continuation is not what it should be: a
    /// moment, without a link but to the span of the same image in an earlier trace.
    #[must_use]
    #[track_caller]
    pub fn joined(&self) -> Self {
        let mut by_id: BTreeMap<(&str, &str), &Span> = BTreeMap::new();
        for span in &self.spans {
            let before = by_id.insert((&span.trace_id, &span.id), span);
            assert!(before.is_none(), "twice: {} {}", span.id, span.name);
        }
        let mut originals: BTreeMap<(&str, &str), &Span> = BTreeMap::new();
        for span in self.spans.iter().filter(|span| span.is_continuation()) {
            let [link] = &span.links[..] else { panic!("{} links: {span:?}", span.links.len()) };
            let original = by_id.get(&(link.trace_id.as_str(), link.span_id.as_str()));
            let original = original.unwrap_or_else(|| panic!("the original is nowhere: {span:?}"));
            assert!(link.is("segment") && !original.is_continuation(), "{span:?} continues {original:?}");
            assert_eq!(span.image(), original.image(), "{span:?} continues {original:?}");
            assert_eq!(span.start_nanos + 1, span.end_nanos, "{span:?}");
            assert_ne!(span.trace_id, original.trace_id, "{span:?}");
            originals.insert((&span.trace_id, &span.id), original);
        }
        let first = self.spans.first().map(|span| span.trace_id.clone()).unwrap_or_default();
        let mut joined = Self::default();
        for span in self.spans.iter().filter(|span| !span.is_continuation()) {
            let mut span = span.clone();
            if let Some(parent) = span.parent.as_deref() {
                let place = (span.trace_id.as_str(), parent);
                assert!(by_id.contains_key(&place), "orphan: {span:?}");
                span.parent = Some(originals.get(&place).map_or(parent, |original| original.id.as_str()).to_owned());
            }
            span.trace_id.clone_from(&first);
            joined.spans.push(span);
        }
        joined
    }
}

impl Span {
    /// Whether it stands for an image of an earlier trace.
    #[must_use]
    pub fn is_continuation(&self) -> bool {
        self.text("agentsight.action") == "continue"
    }

    fn image(&self) -> (Option<i64>, &str, Option<i64>) {
        let number = self.int("agentsight.process.exec_number");
        (self.int("process.pid"), self.text("agentsight.process.start"), number)
    }
}

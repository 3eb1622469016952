//! What must hold of every trace: one tree, every span once, every parent there, no time that runs backwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Span, Trace};

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its parent is nowhere.
    Orphan(String),
    /// Its id is another span's too.
    Twice(String),
    /// It is its own ancestor.
    Cycle(String),
    /// Its parent is in another trace.
    ParentElsewhere(String),
    /// It, or one of its events, ends before it starts.
    Backwards(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphan(span) => write!(f, "orphan: {span}"),
            Self::Twice(span) => write!(f, "twice: {span}"),
            Self::Cycle(span) => write!(f, "its own ancestor: {span}"),
            Self::ParentElsewhere(span) => write!(f, "its parent is in another trace: {span}"),
            Self::Backwards(span) => write!(f, "ends before it starts: {span}"),
        }
    }
}

impl Trace {
    /// All faults, in a stable order. `outside` are ids of parents that other programs have sent.
    #[must_use]
    pub fn faults(&self, outside: &[&str]) -> Vec<Fault> {
        let by_id: BTreeMap<&str, &Span> = self.spans.iter().map(|span| (span.id.as_str(), span)).collect();
        let mut seen = BTreeSet::new();
        let mut faults = BTreeSet::new();
        for span in &self.spans {
            let said = || format!("{} {}", span.id, span.name);
            if !seen.insert(&span.id) {
                faults.insert(Fault::Twice(said()));
            }
            if span.end_nanos < span.start_nanos || span.start_nanos == 0 {
                faults.insert(Fault::Backwards(said()));
            }
            match span.parent.as_deref().map(|parent| (parent, by_id.get(parent))) {
                Some((parent, None)) if !outside.contains(&parent) => {
                    faults.insert(Fault::Orphan(said()));
                }
                Some((_, Some(parent))) if parent.trace_id != span.trace_id => {
                    faults.insert(Fault::ParentElsewhere(said()));
                }
                _ => {}
            }
            let mut ancestor = span.parent.as_deref();
            for _ in 0..self.spans.len() {
                if ancestor == Some(&span.id) {
                    faults.insert(Fault::Cycle(said()));
                    break;
                }
                ancestor = ancestor.and_then(|id| by_id.get(id)).and_then(|span| span.parent.as_deref());
            }
        }
        faults.into_iter().collect()
    }

    /// Parents that other programs must have sent: of spans with a lineage link (TRACEPARENT named another), and of the first span.
    #[must_use]
    pub fn outside_parents(&self) -> Vec<&str> {
        let adopted = |span: &&Span| span.links.iter().any(|link| link.is("lineage"));
        let first = self.spans.iter().min_by_key(|span| span.start_nanos);
        self.spans.iter().filter(adopted).chain(first).filter_map(|span| span.parent.as_deref()).collect()
    }

    /// Asserts that this is one whole tree.
    ///
    /// # Panics
    /// When a fault is found, there is no span, or there are several roots.
    #[track_caller]
    pub fn assert_whole(&self) {
        self.assert_whole_under(&[]);
    }

    /// Asserts that there is no fault, and one root, which may have one of `outside` as its parent.
    ///
    /// # Panics
    /// When there is.
    #[track_caller]
    pub fn assert_whole_under(&self, outside: &[&str]) {
        let faults: Vec<_> = self.faults(outside).iter().map(Fault::to_string).collect();
        assert!(faults.is_empty(), "{}\nin\n{self}", faults.join("\n"));
        let roots = self.roots().len();
        assert!(roots == 1 || (roots > 0 && !outside.is_empty()), "{roots} roots in\n{self}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `id parent name`, `-` for no parent.
    fn trace(lines: &str) -> Trace {
        let spans = lines.lines().map(|line| {
            let [id, parent, name] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
            let parent = if parent == "-" { "" } else { parent };
            format!(
                r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{id}","parentSpanId":"{parent}","name":"{name}","startTimeUnixNano":"1","endTimeUnixNano":"2"}}]}}]}}]}}"#,
                7
            )
        });
        Trace::from_json_lines(&spans.collect::<Vec<_>>().join("\n")).unwrap()
    }

    #[test]
    fn a_whole_tree_has_no_fault() {
        trace("000000000000000a - a\n000000000000000b 000000000000000a b").assert_whole();
    }

    #[test]
    fn a_span_without_its_parent_is_an_orphan() {
        let trace = trace("000000000000000a - a\n000000000000000b 000000000000000c b");
        assert_eq!(trace.faults(&[]), [Fault::Orphan("000000000000000b b".into())]);
        assert_eq!(trace.faults(&["000000000000000c"]), []);
    }

    #[test]
    fn an_id_that_comes_twice_is_found() {
        let trace = trace("000000000000000a - a\n000000000000000a - b");
        assert_eq!(trace.faults(&[]), [Fault::Twice("000000000000000a b".into())]);
    }

    #[test]
    fn spans_in_a_circle_are_found() {
        let trace = trace("000000000000000a 000000000000000b a\n000000000000000b 000000000000000a b");
        assert_eq!(
            trace.faults(&[]),
            [Fault::Cycle("000000000000000a a".into()), Fault::Cycle("000000000000000b b".into())]
        );
    }

    #[test]
    #[should_panic(expected = "2 roots")]
    fn two_trees_are_not_one() {
        trace("000000000000000a - a\n000000000000000b - b").assert_whole();
    }

    #[test]
    fn a_parent_in_another_trace_is_found() {
        let mut trace = trace("000000000000000a - a\n000000000000000b 000000000000000a b");
        trace.spans[1].trace_id = format!("{:032x}", 8);
        assert_eq!(trace.faults(&[]), [Fault::ParentElsewhere("000000000000000b b".into())]);
    }

    #[test]
    fn time_that_runs_backwards_is_found() {
        let mut trace = trace("000000000000000a - a");
        trace.spans[0].end_nanos = 0;
        assert_eq!(trace.faults(&[]), [Fault::Backwards("000000000000000a a".into())]);
    }
}

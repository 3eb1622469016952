//! Event → activity → signal: the pure middle, the same for a live session and for a replay.

use agentsight_ebpf::{Event, KernelNanos};

use crate::graph::{Activity, Graph};
use crate::session::Session;
use crate::spans::Spans;
use crate::spans::model::Signal;

/// Graph and spans of one session, joined.
pub struct Pipeline {
    graph: Graph,
    spans: Spans,
    activities: Vec<Activity>,
}

impl Pipeline {
    /// A session that has not begun.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self { graph: Graph::new(session), spans: Spans::new(session), activities: Vec::new() }
    }

    /// Takes one event, already redacted; appends what is now complete.
    pub fn apply(&mut self, event: &Event, out: &mut Vec<Signal>) {
        self.graph.apply(event, &mut self.activities);
        self.translate(out);
    }

    /// Ends the session: what still lives is incomplete.
    pub fn finish(&mut self, at: KernelNanos, out: &mut Vec<Signal>) {
        self.graph.finish(at, &mut self.activities);
        self.translate(out);
    }

    fn translate(&mut self, out: &mut Vec<Signal>) {
        for activity in self.activities.drain(..) {
            self.spans.translate(&activity, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::{BASE, events, session};
    use crate::recording::{Reader, Writer};

    fn signals(session: &Session, events: &[Event]) -> Vec<Signal> {
        let mut pipeline = Pipeline::new(session);
        let mut out = Vec::new();
        for event in events {
            pipeline.apply(event, &mut out);
        }
        pipeline.finish(KernelNanos(BASE.0 + 30_000_000_000), &mut out);
        out
    }

    #[test]
    fn a_recording_with_contents_replays_to_the_same_signals_bytes_included() {
        let events = events(
            "
            0 clock
            0 root 100
            1 exec 100 /bin/python3 python3 agent.py
            2 open 100 #1 file config.json
            3 in 100 #1.1 0.. source 1
            3 content #1.1 '{\"priority_folder_id\": \"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\"}'
            4 end #1.1 50
            5 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
            6 out 100 #2.1 0.. flow 0..1
            7 content #2.1 'POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty HTTP/1.1'
            8 end #2.1 51
            9 fork 100 101
            9 exec 101 /bin/curl curl fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty
            10 exit 100 0
            20s tick
        ",
        );
        let mut writer = Writer::begin(Vec::new(), &session()).expect("memory takes all");
        events.iter().for_each(|event| writer.write_event(event).expect("memory takes all"));
        let bytes = writer.finish(KernelNanos(BASE.0 + 30_000_000_000)).expect("memory takes all");
        let reader = Reader::open(bytes.as_slice()).expect("a recording");
        let session = reader.header().session.clone();
        let read: Vec<Event> = reader.map(|event| event.expect("whole")).collect();
        let live = signals(&session, &events);
        assert_eq!(signals(&session, &read), live);
        assert_eq!(live.iter().filter(|signal| matches!(signal, Signal::Content(_))).count(), 2);
    }

    #[test]
    fn without_contents_spans_are_what_they_are_with_contents_but_for_what_those_say() {
        let text = "
            0 clock
            0 root 100
            1 exec 100 /bin/python3 python3 agent.py
            2 open 100 #1 file config.json
            3 in 100 #1.1 0.. source 1
            3 content #1.1 'nothing of this comes out again'
            4 end #1.1 31
            5 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
            6 out 100 #2.1 0.. flow 0..1
            7 content #2.1 'GET /'
            8 end #2.1 5
            10 exit 100 0
            20s tick
        ";
        let spans = |events: &[Event]| {
            let all = signals(&session(), events).into_iter();
            let spans = all.filter_map(|it| if let Signal::Span(span) = it { Some(*span) } else { None });
            spans
                .map(|mut span| {
                    span.attributes.retain(|it| !it.name.as_str().starts_with("agentsight.content."));
                    span
                })
                .collect::<Vec<_>>()
        };
        let with = events(text);
        let without: Vec<Event> = with.iter().filter(|it| !matches!(it, Event::Content(_))).cloned().collect();
        assert_eq!(spans(&with), spans(&without));
    }
}

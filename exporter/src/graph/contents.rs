//! Rule: bytes that an image took in and that come out again led to what they came out in: a `flow` with its evidence.
//!
//! An input is remembered when it has ended, an output is compared when it leaves, a program's arguments when it is
//! started. Without captured contents nothing is remembered and nothing compared.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use agentsight_ebpf::{Address, BurstId, Content, ContentHole, Direction, Exec, Missing, Object};

use super::burst::{Burst, Shown};
use super::cause::Match;
use super::edges::{Edge, Edges};
use super::load::Load;
use super::moved::Moved;
use super::passage::{Passages, Reach};
use super::{Activity, CauseKind, Confidence, Graph, ImageId, object};
use crate::content::{
    ChannelId, Flow, Form, Matcher, Moment, Nearness, ObjectId, Origin, Redacted, Seed, Sink, Source, SourceId,
};

/// What the comparing of one session may take, bytes: it holds the last 4 MB of inputs or so.
const MATCHER_BYTES: usize = 32 << 20;
/// Contents of bursts that have not left, bytes.
const HELD_MAX: usize = 64 << 20;
/// Inputs that can still be named as causes: the newest.
const SOURCES_MAX: usize = 16_384;

/// What was captured in the session, as far as it may still come out.
#[derive(Default)]
pub(super) struct Contents {
    matcher: Option<Matcher>,
    sources: BTreeMap<SourceId, Arc<Moved>>,
    next: u64,
    pub(super) passages: Passages,
    /// Of bursts that have not left.
    held_bytes: usize,
}

impl Contents {
    /// Which inputs came out in this, by a `flow` each.
    fn edges(&mut self, sink: &Sink<'_>, reach: impl FnOnce(&Passages) -> Reach) -> Vec<Edge> {
        let Self { matcher: Some(matcher), sources, passages, .. } = self else { return Vec::new() };
        let reach = reach(passages);
        let hops = |id: SourceId| {
            let moved = sources.get(&id)?;
            reach.hops(moved.image.id, moved.last()?)
        };
        let flows = matcher.flows_into(sink, |id| hops(id).map_or(Nearness::Apart, Nearness::Hops));
        flows.into_iter().filter_map(|flow| edge(flow, sources)).collect()
    }
}

impl Graph {
    /// What a burst moved, right before its end.
    pub(super) fn content(&mut self, content: &Content, out: &mut Vec<Activity>) {
        if matches!(self.bursts.by_id.get(&content.burst), Some(Burst::Folded { .. })) {
            // A library that was mapped, say: nothing is known of it that it could be shown for.
            if content.runs.is_empty() {
                return;
            }
            self.unfold(content.burst, out);
        }
        let is_its = |shown: &&mut Shown| {
            shown.content.is_none() && shown.moved.end.get().is_none() && shown.moved.direction == content.direction
        };
        let has_room = self.contents.held_bytes.saturating_add(size_of(content)) <= HELD_MAX;
        match self.bursts.shown_mut(content.burst).filter(is_its) {
            None => self.oddities.odd_contents += 1,
            Some(_) if Redacted::of_event(content).is_err() => self.oddities.odd_contents += 1,
            Some(shown) => {
                let kept = if has_room { content.clone() } else { without_bytes(content) };
                self.contents.held_bytes += size_of(&kept);
                self.oddities.contents_dropped += u64::from(!has_room);
                shown.content = Some(Arc::new(kept));
            }
        }
    }

    /// An input has ended: what was captured of it may come out from here on.
    pub(super) fn take_in(&mut self, id: BurstId) {
        let Some(shown) = self.bursts.shown(id) else { return };
        if shown.content.is_none() && self.contents.matcher.is_none() {
            return;
        }
        let (moved, content) = (Arc::clone(&shown.moved), shown.content.clone());
        let Some(taken_at) = moved.last() else { return };
        let mut given = Edges::to(moved.first, taken_at);
        self.gather(shown, &mut given);
        let (given, _) = given.finish(usize::MAX);
        let contents = &mut self.contents;
        // Who gave it may be said late, and then it is noted when the burst leaves; an output does not wait for that.
        if content.is_some() {
            contents.passages.begin();
        }
        contents.passages.note_edges(&moved, &given);
        let Some(content) = content.as_deref().and_then(|content| Redacted::of_event(content).ok()) else { return };
        let is_data = |edge: &Edge| edge.kind != CauseKind::Flow;
        contents.next += 1;
        let id = SourceId(contents.next);
        let source = Source {
            id,
            object: ObjectId(number_of(&object::key(&moved.object))),
            taken_at: Moment(taken_at.0),
            origin: if given.iter().any(is_data) { Origin::Relayed } else { Origin::Entered },
            content: &content,
        };
        contents.matcher.get_or_insert_with(|| Matcher::new(Seed::shared(), MATCHER_BYTES)).take_in(&source);
        contents.sources.insert(id, moved);
        if contents.sources.len() > SOURCES_MAX {
            contents.sources.pop_first();
        }
    }

    /// What an output that leaves was made of, and it is no longer held; nor is an input.
    pub(super) fn matched_in_output(&mut self, shown: &Shown, edges: &mut Edges) {
        let Some(content) = &shown.content else { return };
        self.contents.held_bytes = self.contents.held_bytes.saturating_sub(size_of(content));
        let moved = &shown.moved;
        let Ok(redacted) = Redacted::of_event(content) else { return };
        if moved.direction == Direction::In || redacted.runs().is_empty() {
            return;
        }
        let (channel, given_at) = (self.channel_of(moved), Moment(moved.first.0));
        let sink = Sink { channel, given_at, form: Form::Bytes, content: &redacted };
        for edge in self.contents.edges(&sink, |passages| passages.reach(moved.image.id, moved.first)) {
            edges.push(edge);
        }
    }

    /// What the arguments of a program were made of that the image `by` starts in its own place.
    pub(super) fn matched_in_arguments(&mut self, by: ImageId, exec: &Exec) -> Vec<Edge> {
        if self.contents.matcher.is_none() {
            return Vec::new();
        }
        let redacted = Redacted::of_arguments(&exec.args);
        let channel = ChannelId(number_of(&("exec", &exec.executable.bytes)));
        let sink = Sink { channel, given_at: Moment(exec.at.0), form: Form::Arguments, content: &redacted };
        self.contents.edges(&sink, |passages| passages.reach(by, exec.at))
    }

    /// How much room it takes in a trace that something was captured.
    pub(super) fn load_of(&self, content: Option<&Content>) -> Load {
        content.map_or_else(Load::default, |_| Load::of_content(self.rules.content_on_spans))
    }

    /// Where an output goes: a host by its name where that is known, since it may have several addresses.
    fn channel_of(&self, moved: &Moved) -> ChannelId {
        let host = self.connections.host_of(moved.id.open);
        ChannelId(match (&*moved.object, host) {
            (Object::Inet(inet), Some((Some(name), _))) => number_of(&("name", name, inet.remote.map(|it| it.port()))),
            (Object::Inet(_), Some((None, Some(Address::Inet(to))))) => number_of(&("address", to)),
            (Object::Inet(inet), _) => number_of(&("address", inet.remote)),
            (Object::Unix(socket), _) if !socket.address.bytes.is_empty() => {
                number_of(&("unix", &socket.address.bytes))
            }
            (Object::Unix(_) | Object::File(_) | Object::Pipe { .. } | Object::Tty { .. }, _) => {
                number_of(&("object", object::key(&moved.object)))
            }
        })
    }
}

/// `None` where the input is too long ago to be named.
fn edge(flow: Flow, sources: &BTreeMap<SourceId, Arc<Moved>>) -> Option<Edge> {
    let cause = Arc::clone(sources.get(&flow.source)?);
    let best = flow.evidence.into_iter().next()?;
    let matched = Match {
        likeness: best.likeness,
        source: best.source,
        sink: best.sink,
        bytes: best.length as u64,
        coverage: flow.source_coverage,
        hash: best.hash,
        source_text: best.source_text,
        sink_text: best.sink_text,
    };
    let confidence = Confidence::of_fraction(flow.confidence);
    Some(Edge { kind: CauseKind::Flow, confidence, cause, bytes: None, matched: Some(Box::new(matched)) })
}

/// What holding it costs, bytes.
/// What there is no room for is said to be missing.
fn without_bytes(content: &Content) -> Content {
    let dropped = content.runs.iter().map(|run| ContentHole { range: run.range(), cause: Missing::Budget });
    let mut holes: Vec<_> = content.holes.iter().cloned().chain(dropped).collect();
    holes.sort_by_key(|hole| hole.range.start);
    Content { runs: Vec::new(), holes, redacted: Vec::new(), ..content.clone() }
}

fn size_of(content: &Content) -> usize {
    let runs: usize = content.runs.iter().map(|run| run.bytes.len() + 48).sum();
    runs + 24 * (content.holes.len() + content.redacted.len()) + 128
}

/// The same for the same thing within a session, and of 64 bits: that two meet is not to be feared.
fn number_of(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Event;
    use expect_test::expect;

    use super::*;
    use crate::graph::fixture::{check, events, session};

    const AGENT: &str = "
        0 root 100
        1 exec 100 /bin/python3 python3 agent.py
        2 open 100 #1 file config.json
        3 in 100 #1.1 0.. source 1
    ";

    #[test]
    fn contents_that_there_is_no_room_for_are_a_hole_wherever_they_stood() {
        let events = events(&format!("{AGENT}\n3 content #1.1 'some text'"));
        let Some(Event::Content(content)) = events.last() else { panic!("{events:?}") };
        let late = ContentHole { range: 20..30, cause: Missing::RingFull };
        let kept =
            without_bytes(&Content { holes: vec![late.clone()], redacted: vec![1..2, 3..4], ..(**content).clone() });
        let early = ContentHole { range: 0..9, cause: Missing::Budget };
        assert_eq!((kept.runs.len(), kept.redacted.len(), &kept.holes), (0, 0, &vec![early, late]));
        assert!(Redacted::of_event(&kept).is_ok());
    }

    #[test]
    fn the_value_that_was_read_and_is_sent_raises_the_flow() {
        check(
            &format!(
                "{AGENT}
                3 content #1.1 '{{\"comment\": \"where\", \"priority_folder_id\": 7}}'
                4 end #1.1 43
                5 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
                6 out 100 #2.1 0.. flow 0..1
                7 content #2.1 'POST /move?folder=7 HTTP/1.1'
                8 end #2.1 28
                9 exit 100 0
                20s tick
            "
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                ended    100#1 0..9 exit 0
                read     #1.1 100#1 config.json 0..43 at 3..4 under 100#1
                write    #2.1 100#1 tcp 0..28 at 6..8 under 100#1 <-Flow #1.1 (0.6) Value at 21 '"priority_folder_id": 7' as at 11 'folder=7'
            "#]],
        );
    }

    #[test]
    fn an_id_of_24_characters_is_sure_and_without_a_flow_point_too() {
        check(
            &format!(
                "{AGENT}
                3 content #1.1 '{{\"priority_folder_id\": \"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\"}}'
                4 end #1.1 52
                5 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
                6 out 100 #2.1 0..
                7 content #2.1 'POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty HTTP/1.1'
                8 end #2.1 51
                9 exit 100 0
                20s tick
            "
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                ended    100#1 0..9 exit 0
                read     #1.1 100#1 config.json 0..52 at 3..4 under 100#1
                write    #2.1 100#1 tcp 0..51 at 6..8 under 100#1 <-Flow #1.1 (0.95) Token at 24 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 18 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
            "#]],
        );
    }

    #[test]
    fn what_is_read_after_the_output_began_is_no_cause() {
        check(
            &format!(
                "{AGENT}
                4 open 100 #2 tcp 10.0.0.1:9 10.0.0.2:80
                5 out 100 #2.1 0..
                6 content #1.1 'target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                6 end #1.1 31
                7 content #2.1 'POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty HTTP/1.1'
                8 end #2.1 51
                9 exit 100 0
                20s tick
            "
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                ended    100#1 0..9 exit 0
                read     #1.1 100#1 config.json 0..31 at 3..6 under 100#1
                write    #2.1 100#1 tcp 0..51 at 5..8 under 100#1
            "#]],
        );
    }

    #[test]
    fn another_process_is_sure_only_where_something_leads_to_it() {
        let text = |pipe: &str| {
            format!(
                "{AGENT}
                3 content #1.1 'target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                4 end #1.1 31
                4 open 100 #3 pipe 7
                {pipe}
                7 open 101 #2 tcp 10.0.0.1:9 10.0.0.2:80
                8 out 101 #2.1 0..
                9 content #2.1 'POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty HTTP/1.1'
                9 end #2.1 51
                12 tick
                20s tick
            "
            )
            .replace("2 open 100 #1 ", "2 fork 100 101\n2 open 100 #1 ")
        };
        check(
            &text("5 out 100 #3.1 0..31\n6 in 101 #3.2 0..31"),
            &expect![[r#"
            began    100#1 Root python3 under -
            began    101#0 Forked python3/python3 under 100#1
            read     #1.1 100#1 config.json 0..31 at 3..4 under 100#1
            write    #3.1 100#1 pipe 0..31 at 5..5 under 100#1
            read     #3.2 101#0 pipe 0..31 at 6..6 under 101#0 <-Pipe #3.1 31
            write    #2.1 101#0 tcp 0..51 at 8..9 under 101#0 <-Flow #1.1 (0.95) Token at 7 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 18 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
            promoted 100#1 0..20000
            promoted 101#0 2..20000
            exited   100#1 0..20000 incomplete
            exited   101#0 2..20000 incomplete
        "#]],
        );
        // What went over was before.
        check(
            &text("").replace(
                "2 fork 100 101",
                "2 fork 100 101\n2 open 100 #5 pipe 8\n2 out 100 #5.1 0..1\n2 in 101 #5.2 0..1",
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#0 Forked python3/python3 under 100#1
                write    #5.1 100#1 pipe 0..1 at 2..2 under 100#1
                read     #5.2 101#0 pipe 0..1 at 2..2 under 101#0 dropped 1
                read     #1.1 100#1 config.json 0..31 at 3..4 under 100#1
                write    #2.1 101#0 tcp 0..51 at 8..9 under 101#0 <-Flow #1.1 (0.8) Token at 7 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 18 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                promoted 100#1 0..20000
                promoted 101#0 2..20000
                exited   100#1 0..20000 incomplete
                exited   101#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn arguments_that_were_read_lead_to_the_program() {
        check(
            &format!(
                "{AGENT}
                3 content #1.1 'target: fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                4 end #1.1 32
                5 fork 100 101
                6 exec 101 /bin/curl curl --target fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty
                7 exit 101 0
                20s tick
            "
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#1 Exec python3/curl under 100#1
                promised #1.1
                ended    101#1 5..7 exit 0 <-Flow #1.1 (0.95) Token at 8 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 14 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                read     #1.1 100#1 config.json 0..32 at 3..4 under 100#1
                promoted 100#1 0..20000
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn contents_that_fit_no_burst_are_counted_and_change_nothing() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3 agent.py
                2 open 100 #1 file a
                ! 3 in 100 #1.1 0..
                3 content #1.1 'abc'
                4 end #1.1 3
                5 content #1.1 'abc'
                5 open 100 #2 file b
                6 in 100 #2.1 0..
                6 content #2.1 'abc'
                6 content #2.1 'abc'
                7 end #2.1 3
                8 exit 100 0
                20s tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                ended    100#1 0..8 exit 0
                read     #1.1 100#1 a 0..3 at 3..4 under 100#1
                read     #2.1 100#1 b 0..3 at 6..7 under 100#1
                odd      odd_contents: 3
            "#]],
        );
    }

    #[test]
    fn what_was_captured_of_the_system_is_shown_and_not_counted_among_the_folded() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3 agent.py
                2 open 100 #1 file /etc/passwd
                3 in 100 #1.1 0..20 source 1
                4 open 100 #2 file /etc/passwd
                5 in 100 #2.1 0.. source 2
                6 content #2.1 'root:x:0:0:root:/root:/bin/fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                7 end #2.1 51
                8 open 100 #3 tcp 10.0.0.1:9 10.0.0.2:80
                9 out 100 #3.1 0.. flow 0..2
                10 content #3.1 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                10 end #3.1 24
                11 exit 100 0
                20s tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                ended    100#1 0..11 exit 0 folded 1 files 1 bursts 20 bytes
                read     #2.1 100#1 passwd 0..51 at 5..7 under 100#1
                write    #3.1 100#1 tcp 0..24 at 9..10 under 100#1 <-Flow #2.1 (0.95) Token at 27 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 0 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
            "#]],
        );
    }

    #[test]
    fn a_way_over_an_input_that_still_waits_for_its_writer_counts() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3 agent.py
                1 fork 100 101
                2 open 100 #1 file config.json
                3 in 100 #1.1 0.. source 1
                3 content #1.1 'target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                4 end #1.1 31
                4 open 100 #3 pipe 7
                5 out 100 #3.1 0..31
                6 in 101 #3.2 0..90
                7 open 101 #2 tcp 10.0.0.1:9 10.0.0.2:80
                8 out 101 #2.1 0..
                9 content #2.1 'POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty HTTP/1.1'
                9 end #2.1 51
                12 tick
                20s tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#0 Forked python3/python3 under 100#1
                read     #1.1 100#1 config.json 0..31 at 3..4 under 100#1
                write    #3.1 100#1 pipe 0..31 at 5..5 under 100#1
                write    #2.1 101#0 tcp 0..51 at 8..9 under 101#0 <-Flow #1.1 (0.95) Token at 7 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty' as at 18 'fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty'
                read     #3.2 101#0 pipe 0..90 at 6..6 under 101#0 <-Pipe #3.1 31
                promoted 100#1 0..20000
                promoted 101#0 1..20000
                exited   100#1 0..20000 incomplete
                exited   101#0 1..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn contents_are_let_go_with_their_bursts() {
        let session = session();
        let mut graph = Graph::new(&session);
        let mut out = Vec::new();
        let text = "0 root 100\n1 exec 100 /bin/python3 python3\n2 open 100 #1 file a\n2 open 100 #2 file b\n";
        let mut text = text.to_owned();
        for number in 1..500 {
            let body = format!("{number} x{}", "y".repeat(500));
            text += &format!("3 in 100 #1.{number} 0.. source {number}\n3 content #1.{number} '{body}'\n");
            text += &format!("4 end #1.{number} 500\n5 out 100 #2.{number} 0..\n5 content #2.{number} '{body}'\n");
            text += &format!("6 end #2.{number} 500\n");
        }
        for event in events(&text) {
            graph.apply(&event, &mut out);
        }
        assert!(graph.contents.held_bytes > 500_000);
        for event in events("20s tick\n40s tick") {
            graph.apply(&event, &mut out);
        }
        assert_eq!((graph.contents.held_bytes, graph.bursts.len()), (0, 0));
    }
}

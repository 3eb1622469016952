//! What the matcher promises, case by case.

use std::ops::Range;
use std::sync::Arc;

use agentsight::capture::redact::Redactor;
use agentsight::content::{
    ChannelId, Content, Flow, Form, Likeness, Matcher, Moment, Nearness, ObjectId, Origin, Redacted, Seed, Sink,
    Source, SourceId,
};

use crate::documents::made;
use crate::random::Random;

const MIB: usize = 1 << 20;

pub(crate) struct Session {
    redactor: Arc<Redactor>,
    pub(crate) matcher: Matcher,
    now: u64,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self::with_budget(MIB)
    }

    fn with_budget(bytes: usize) -> Self {
        Self {
            redactor: Arc::new(Redactor::new().unwrap()),
            matcher: Matcher::new(Arc::new(Seed::builtin()), bytes),
            now: 0,
        }
    }

    fn redacted(&self, text: &str) -> Redacted {
        Content::whole(text.as_bytes()).redact(&self.redactor)
    }

    /// Take in; the object's number is the source's too, plus 1,000 for each time.
    fn read(&mut self, object: u64, text: &str) -> SourceId {
        self.now += 1;
        let id = SourceId(object + 1000 * self.now);
        let content = self.redacted(text);
        let (object, taken_at) = (ObjectId(object), Moment(self.now));
        self.matcher.take_in(&Source { id, object, taken_at, origin: Origin::Entered, content: &content });
        id
    }

    fn send(&mut self, text: &str) -> Vec<Flow> {
        self.send_with(text, Form::Bytes, |_| Nearness::Hops(0))
    }

    fn send_with(&mut self, text: &str, form: Form, nearness: impl Fn(SourceId) -> Nearness) -> Vec<Flow> {
        self.now += 1;
        let content = self.redacted(text);
        let sink = Sink { channel: ChannelId(1), given_at: Moment(self.now), form, content: &content };
        self.matcher.flows_into(&sink, nearness)
    }
}

fn place(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

fn document(seed: u64) -> String {
    made(&mut Random::new(seed), 1500)
}

#[test]
fn the_reference_case_is_a_value_and_a_long_id_is_a_token() {
    let mut session = Session::new();
    let config = session.read(1, "{\n  \"comment\": \"where\",\n  \"priority_folder_id\": 7\n}\n");
    let flows = session.send("POST /move HTTP/1.1\r\nHost: x\r\n\r\nticket=12&folder=7");
    assert_eq!(flows.len(), 1);
    assert_eq!((flows[0].source, flows[0].evidence[0].likeness), (config, Likeness::Value));
    assert!(flows[0].confidence <= 0.8);

    let text = "{\n  \"priority_folder_id\": \"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\"\n}\n";
    let config = session.read(1, text);
    let flows = session.send("POST /move HTTP/1.1\r\nHost: x\r\n\r\nticket=12&target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty");
    assert_eq!(flows.len(), 1);
    let evidence = &flows[0].evidence[0];
    assert_eq!((flows[0].source, evidence.likeness, evidence.length), (config, Likeness::Token, 24));
    assert!(flows[0].confidence >= 0.95);
    assert_eq!(&text[place(&evidence.source)], "fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty");
}

#[test]
fn evidence_says_where_and_how_much() {
    let mut session = Session::new();
    let text = document(1);
    let id = session.read(1, &text);
    let part = &text[100..600];
    let body = format!("{{\"note\":{}}}", serde_json::to_string(part).unwrap());
    let flows = session.send(&body);
    assert_eq!((flows.len(), flows[0].source), (1, id));
    let evidence = &flows[0].evidence[0];
    assert_eq!(evidence.likeness, Likeness::Run);
    // White space at the ends is compared with what surrounds it.
    assert!(evidence.source.start.abs_diff(100) < 4 && evidence.source.end.abs_diff(600) < 4, "{evidence:?}");
    assert!(
        evidence.sink.start.abs_diff(9) < 4 && evidence.sink.end.abs_diff(body.len() as u64 - 2) < 4,
        "{evidence:?}"
    );
    assert!(flows[0].sink_coverage > 0.9 && (0.2..0.5).contains(&flows[0].source_coverage), "{:?}", flows[0]);
}

#[test]
fn the_nearest_source_wins_and_equally_near_ones_share() {
    let text = document(2);
    let mut session = Session::new();
    let (far, near) = (session.read(1, &text), session.read(2, &text));
    let hops = |id| if id == far { Nearness::Hops(2) } else { Nearness::Hops(0) };
    let flows = session.send_with(&text, Form::Bytes, hops);
    assert_eq!(flows.iter().map(|flow| flow.source).collect::<Vec<_>>(), [near]);

    let mut session = Session::new();
    let both = [session.read(1, &text), session.read(2, &text)];
    let flows = session.send(&text);
    assert_eq!(flows.iter().map(|flow| flow.source).collect::<Vec<_>>(), both);
    assert!(flows.iter().all(|flow| flow.confidence <= 0.5 && flow.evidence[0].alike == 2), "{flows:?}");
}

#[test]
fn of_one_object_read_twice_the_last_time_counts() {
    let text = document(3);
    let mut session = Session::new();
    let _ = session.read(1, &text);
    let second = session.read(1, &text);
    let flows = session.send(&text);
    assert_eq!(flows.iter().map(|flow| flow.source).collect::<Vec<_>>(), [second]);
}

#[test]
fn what_cannot_be_reached_is_never_above_four_fifths() {
    let mut session = Session::new();
    let text = document(4);
    session.read(1, &text);
    let flows = session.send_with(&text, Form::Bytes, |_| Nearness::Apart);
    assert_eq!(flows.len(), 1);
    assert!(flows[0].confidence <= 0.8);
}

#[test]
fn what_came_later_is_no_cause() {
    let mut session = Session::new();
    let text = document(5);
    session.read(1, &text);
    session.now -= 1;
    assert_eq!(session.send(&text), []);
}

#[test]
fn outputs_that_are_equal_are_never_linked() {
    let mut session = Session::new();
    assert_eq!(session.send(&document(6)), []);
    assert_eq!(session.send(&document(6)), []);
}

#[test]
fn a_request_that_repeats_the_one_before_is_matched_by_what_is_new() {
    let mut session = Session::new();
    let (first, second) = (document(7), document(8));
    let one = session.read(1, &first);
    let body = format!("[user] {first}");
    let sources = |flows: Vec<Flow>| flows.into_iter().map(|flow| flow.source).collect::<Vec<_>>();
    assert_eq!(sources(session.send(&body)), [one]);
    let two = session.read(2, &second);
    let body = format!("{body} [assistant] so be it [user] {second}");
    assert_eq!(sources(session.send(&body)), [two]);
    assert_eq!(sources(session.send(&format!("{body} [assistant] done"))), []);
    // Taken in again, it may be the cause again.
    let again = session.read(1, &first);
    assert_eq!(sources(session.send(&body)), [again]);
}

#[test]
fn what_four_documents_have_is_no_evidence() {
    let mut session = Session::new();
    let header = document(9)[..600].to_owned();
    for object in 0..12 {
        session.read(object, &format!("{header}\n{}", document(100 + object)));
    }
    let flows = session.send(&format!("{header}\n{}", document(200)));
    assert!(flows.iter().all(|flow| flow.confidence < 0.95), "{flows:?}");
    // What only one of them has still is.
    let flows = session.send(&document(103)[200..900]);
    assert!(flows.len() == 1 && flows[0].confidence >= 0.95, "{flows:?}");
}

#[test]
fn copies_on_their_way_make_nothing_common() {
    let mut session = Session::new();
    let text = document(10);
    for object in 0..12 {
        session.now += 1;
        let content = session.redacted(&format!("{text}{object}"));
        let origin = if object == 0 { Origin::Entered } else { Origin::Relayed };
        let (id, taken_at) = (SourceId(object), Moment(session.now));
        session.matcher.take_in(&Source { id, object: ObjectId(object), taken_at, origin, content: &content });
    }
    let nearest = |id: SourceId| Nearness::Hops(11 - u32::try_from(id.0).unwrap());
    let flows = session.send_with(&text, Form::Bytes, nearest);
    assert_eq!(flows.iter().map(|flow| flow.source).collect::<Vec<_>>(), [SourceId(11)]);
    assert!(flows[0].confidence >= 0.95);
}

#[test]
fn arguments_are_values_and_texts() {
    let mut session = Session::new();
    let text = document(11);
    let note = session.read(1, &text);
    let config = session.read(2, "host: build-7.internal\nfolder_name: incoming\n");
    let arguments = format!("upload\0--folder\0incoming\0build-7.internal\0--text\0{}\0", &text[300..500]);
    let flows = session.send_with(&arguments, Form::Arguments, |_| Nearness::Hops(0));
    assert_eq!(flows.iter().map(|flow| flow.source).collect::<Vec<_>>(), [note, config]);
    let likeness: Vec<_> = flows[1].evidence.iter().map(|evidence| evidence.likeness).collect();
    assert_eq!(likeness, [Likeness::Value, Likeness::Argument]);
}

#[test]
fn a_secret_is_no_evidence() {
    let mut session = Session::new();
    session.read(1, "api_key: a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7G\n");
    assert_eq!(session.send("X-Api-Key: a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7G\r\n\r\n"), []);
}

#[test]
fn memory_stays_within_the_budget_and_the_newest_is_kept() {
    let budget = 200_000;
    let mut session = Session::with_budget(budget);
    for object in 0..100 {
        session.read(object, &document(1000 + object));
        assert!(session.matcher.bytes_held() <= budget, "{}", session.matcher.bytes_held());
    }
    assert_eq!(session.send(&document(1000)), []);
    assert_eq!(session.send(&document(1099)).len(), 1);
    session.read(500, &document(3).repeat(200));
    assert_eq!(session.matcher.too_large(), 1);
}

#[test]
fn text_that_repeats_itself_is_compared_in_bounded_time() {
    let mut session = Session::new();
    let text = "the quick brown fox jumps over the lazy dog, 0123456789 times. ".repeat(2000);
    let start = std::time::Instant::now();
    for object in 0..4 {
        session.read(object, &text[usize::try_from(object).unwrap()..]);
    }
    let _ = session.send(&text);
    // About a second without optimization; every place with every other one would take an hour.
    assert!(start.elapsed().as_secs() < 60);
}

//! Precision and recall over generated flows and non-flows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use agentsight::capture::redact::Redactor;
use agentsight::content::{
    ChannelId, Content, Flow, Form, Matcher, Moment, Nearness, ObjectId, Origin, Redacted, Seed, Sink, Source, SourceId,
};

use crate::documents::{BOILERPLATE, IMPORTS, PROMPTS, made, repository, time, words};
use crate::escapes;
use crate::random::Random;

/// From this confidence on an edge says that the bytes were found.
const SURE: f64 = 0.95;
/// Two files that one hand wrote have the same lines where nothing flowed: counted, and bounded, by themselves.
const ALIKE: &str = "no flow: two files of this repository";
/// The share of such pairs that may be taken for a flow.
const MOST_ALIKE: f64 = 0.05;
/// Documents that a session has read beside the one in question.
const OTHERS: usize = 5;

struct Desk {
    redactor: Redactor,
    seed: Arc<Seed>,
    pool: Vec<Redacted>,
    files: Vec<(String, String)>,
}

impl Desk {
    fn new() -> Self {
        let redactor = Redactor::new().unwrap();
        let mut random = Random::new(1);
        let texts: Vec<String> = (0..120).map(|_| made(&mut random, 1500)).collect();
        let pool = texts.iter().map(|text| Content::whole(text.as_bytes()).redact(&redactor)).collect();
        let files = repository().into_iter().filter(|(_, text)| (1000..20_000).contains(&text.len())).collect();
        Self { redactor, seed: Arc::new(Seed::builtin()), pool, files }
    }

    fn redacted(&self, text: &str) -> Redacted {
        Content::whole(text.as_bytes()).redact(&self.redactor)
    }

    /// A session that read these texts (numbers from 0 on) and some of the pool (from 1,000 on), and then wrote the last.
    fn flows(&self, random: &mut Random, read: &[String], written: &str) -> Vec<Flow> {
        let mut matcher = Matcher::new(Arc::clone(&self.seed), 512 << 10);
        let mut moment = 0;
        let mut take_in = |matcher: &mut Matcher, number: u64, content: &Redacted| {
            moment += 1;
            let (id, object, taken_at) = (SourceId(number), ObjectId(number), Moment(moment));
            matcher.take_in(&Source { id, object, taken_at, origin: Origin::Entered, content });
        };
        for number in 0..OTHERS {
            take_in(&mut matcher, 1000 + number as u64, &self.pool[random.below(self.pool.len())]);
        }
        for (number, text) in (0..).zip(read) {
            take_in(&mut matcher, number, &self.redacted(text));
        }
        let content = self.redacted(written);
        let sink = Sink { channel: ChannelId(1), given_at: Moment(1000), form: Form::Bytes, content: &content };
        matcher.flows_into(&sink, |_| Nearness::Hops(0))
    }
}

/// A request with a text of its own around what is sent.
fn request(random: &mut Random, payload: &str) -> String {
    let (before, after) = (words(random, 12), words(random, 12));
    let body = format!("{before}: {payload}\n{after}.");
    let length = body.len();
    let time = time(random);
    format!(
        "POST /v1/messages HTTP/1.1\r\nHost: api.internal\r\nDate: {time}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A part of at least `least` bytes, white space counted once; on character boundaries.
fn part(random: &mut Random, text: &str, least: usize, most: usize) -> String {
    let compact = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").len();
    let wanted = least + random.below(most - least + 1);
    let mut start = random.below(text.len().saturating_sub(wanted * 2).max(1));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let ends = text[start..].char_indices().map(|(at, char)| start + at + char.len_utf8());
    let end = ends.into_iter().find(|&end| end - start >= wanted && compact(&text[start..end]) >= least);
    end.map_or_else(|| text.to_owned(), |end| text[start..end].to_owned())
}

type Writing = fn(&str) -> String;

/// The ways to send a text, whether recall is promised, and how many of each.
const FLOWS: &[(&str, bool, Writing)] = &[
    ("verbatim", true, str::to_owned),
    ("JSON", true, escapes::json),
    ("JSON, ASCII only", true, escapes::ascii_json),
    ("JSON in JSON", true, |text| escapes::json(&escapes::json(text))),
    ("HTML", true, escapes::html),
    ("percent-encoded", true, escapes::percent),
    ("numbered lines", true, escapes::numbered),
    ("numbered lines in JSON", true, |text| escapes::json(&escapes::numbered_with_arrows(text))),
    ("indented, CRLF", true, escapes::indented),
    ("wrapped as a comment", false, escapes::wrapped),
    ("wrapped in JSON", false, |text| escapes::json(&escapes::wrapped(text))),
];

#[derive(Default)]
struct Row {
    cases: usize,
    found: usize,
    found_below: usize,
    wrong: usize,
    wrong_below: usize,
}

impl Row {
    fn count(&mut self, flows: &[Flow], right: Option<u64>) {
        self.cases += 1;
        let is_right = |flow: &&Flow| Some(flow.source.0) == right;
        self.found += flows.iter().filter(is_right).filter(|flow| flow.confidence >= SURE).count();
        self.found_below += flows.iter().filter(is_right).filter(|flow| flow.confidence < SURE).count();
        self.wrong += flows.iter().filter(|flow| !is_right(flow) && flow.confidence >= SURE).count();
        self.wrong_below += flows.iter().filter(|flow| !is_right(flow) && flow.confidence < SURE).count();
    }
}

#[test]
fn edges_that_say_found_are_right_and_flows_are_found() {
    let desk = Desk::new();
    let mut random = Random::new(2);
    let mut rows: BTreeMap<String, (bool, Row)> = BTreeMap::new();
    generated_flows(&desk, &mut random, &mut rows);
    generated_others(&desk, &mut random, &mut rows);

    let mut table = String::from(
        "| what | cases | right, sure | right, less sure | wrong, sure | wrong, less sure |\n|---|---|---|---|---|---|\n",
    );
    let mut total = Row::default();
    let mut promised = Row::default();
    let (mut flows, mut others, mut alike) = (0, 0, 1.0);
    for (name, (is_promised, row)) in &rows {
        let Row { cases, found, found_below, wrong, wrong_below } = row;
        writeln!(table, "| {name} | {cases} | {found} | {found_below} | {wrong} | {wrong_below} |").unwrap();
        if name == ALIKE {
            alike = *wrong as f64 / *cases as f64;
            continue;
        }
        total.found += found;
        total.wrong += wrong;
        if *is_promised {
            promised.cases += cases;
            promised.found += found;
        }
        *(if name.starts_with("no flow") { &mut others } else { &mut flows }) += cases;
    }
    let precision = total.found as f64 / (total.found + total.wrong) as f64;
    let recall = promised.found as f64 / promised.cases as f64;
    println!(
        "{table}\n{flows} flows, {others} others; precision {precision:.4}, recall {recall:.4} of {}; alike {alike:.4}",
        promised.cases
    );
    assert!(flows >= 200 && others >= 2000, "{flows} flows, {others} others");
    assert!(precision >= 0.99, "precision {precision}\n{table}");
    assert!(alike <= MOST_ALIKE, "{alike} of two files\n{table}");
    assert!(recall >= 0.98, "recall {recall}\n{table}");
}

fn generated_flows(desk: &Desk, random: &mut Random, rows: &mut BTreeMap<String, (bool, Row)>) {
    for (name, is_promised, write) in FLOWS {
        for case in 0..48 {
            let text =
                if case % 2 == 0 { made(random, 2500) } else { desk.files[random.below(desk.files.len())].1.clone() };
            let (size, least, most) =
                [("64 to 100 bytes", 64, 100), ("100 to 1,000 bytes", 100, 1000), ("whole", 9999, 9999)][case % 3];
            let sent = part(random, &text, least, most);
            let written = request(random, &write(&sent));
            let flows = desk.flows(random, &[text], &written);
            let row = rows.entry(format!("flow: {name}, {size}")).or_default();
            row.0 = *is_promised;
            row.1.count(&flows, Some(0));
        }
    }
    for _ in 0..40 {
        let id = random.id(24);
        let text = format!("{{\n  \"comment\": \"{}\",\n  \"folder_id\": \"{id}\"\n}}\n", words(random, 9));
        let written = request(random, &format!("ticket=4711&target={id}&notify=never"));
        let flows = desk.flows(random, &[text], &written);
        rows.entry("flow: an id of 24 characters".to_owned()).or_default().1.count(&flows, Some(0));
        let number = 2 + random.below(90_000);
        let text = format!("{{\n  \"comment\": \"{}\",\n  \"priority_folder_id\": {number}\n}}\n", words(random, 9));
        let written = request(random, &format!("ticket=4711&folder={number}&notify=never"));
        let flows = desk.flows(random, &[text], &written);
        rows.entry("flow: a number under a like name".to_owned()).or_default().1.count(&flows, Some(0));
        let text = made(random, 2500);
        let kept: Vec<String> = (0..3).map(|_| part(random, &text, 64, 120)).collect();
        let written = request(random, &kept.join(" ... and then ... "));
        let flows = desk.flows(random, &[text], &written);
        rows.entry("flow: three parts of a text".to_owned()).or_default().1.count(&flows, Some(0));
        let text = made(random, 2500);
        let short = part(random, &text, 20, 31);
        let written = request(random, &short);
        let flows = desk.flows(random, &[text], &written);
        rows.entry("flow: 20 to 31 bytes".to_owned()).or_default().1.count(&flows, Some(0));
    }
}

/// Whatever is found here is wrong.
fn generated_others(desk: &Desk, random: &mut Random, rows: &mut BTreeMap<String, (bool, Row)>) {
    let mut count =
        |name: &str, flows: &[Flow]| rows.entry(format!("no flow: {name}")).or_default().1.count(flows, None);
    let lines = |random: &mut Random, text: &str, count: usize| {
        let all: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let start = random.below(all.len().saturating_sub(count).max(1));
        all[start..all.len().min(start + count)].join("\n")
    };
    for _ in 0..340 {
        // The same licence, each time in another comment.
        let licence = random.pick(BOILERPLATE);
        let text = format!("# {}\n\n{}", licence.lines().collect::<Vec<_>>().join("\n# "), made(random, 1200));
        let written =
            format!("/*\n * {}\n */\n{}", licence.lines().collect::<Vec<_>>().join("\n * "), made(random, 1200));
        count("a shared licence", &desk.flows(random, &[text], &written));

        let prompt = lines(random, PROMPTS, 6);
        let text = format!("{prompt}\n{}", made(random, 1200));
        let prompt = escapes::json(&prompt);
        let question = words(random, 60);
        let written = request(random, &format!("{prompt}\\n{question}"));
        count("a shared prompt", &desk.flows(random, &[text], &written));

        // A prompt of its own that the session has seen in many documents.
        let own = (0..4).map(|_| words(random, 15)).collect::<Vec<_>>().join(". ");
        let texts: Vec<String> = (0..10).map(|_| format!("{own}\n{}", made(random, 500))).collect();
        let question = words(random, 60);
        let written = request(random, &format!("{own}\n{question}"));
        count("a text of many documents", &desk.flows(random, &texts, &written));

        let time = time(random);
        let text = format!("{{\"created_at\": \"{time}\", \"updated_at\": \"{time}\"}}\n{}", made(random, 1200));
        let rest = words(random, 40);
        let written = request(random, &format!("created_at={time}&state=open&{rest}"));
        count("equal times", &desk.flows(random, &[text], &written));

        let imports = lines(random, IMPORTS, 12);
        let text = format!("{imports}\n\n{}", made(random, 1200));
        let written = format!("{imports}\n\n{}", made(random, 1200));
        count("shared imports", &desk.flows(random, &[text], &written));

        let (text, written) = (made(random, 2500), made(random, 2500));
        count("common words", &desk.flows(random, &[text], &written));

        let (one, other) = (random.below(desk.files.len()), random.below(desk.files.len()));
        if one != other {
            let flows = desk.flows(random, &[desk.files[one].1.clone()], &desk.files[other].1);
            count("two files of this repository", &flows);
        }
    }
}

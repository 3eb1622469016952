//! What an image did, in words that nothing in it can drive a terminal by.

use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use agentsight_semconv::value::action;

use super::amount::bytes;
use super::attribute::{int, is_set, text, texts};
use super::because::because;
use super::deed::{Deed, Deeds, Kind};
use super::escape::printable;
use super::family::{Family, Member};
use super::object::{base, target};
use crate::spans::model::SpanEvent;

/// One thing that an image did, escaped.
pub(super) struct Told {
    pub(super) text: String,
    /// What it followed from, or where it went; may be empty.
    pub(super) because: String,
    pub(super) failed: bool,
}

pub(super) fn told<'a>(deeds: &Deeds<'a>, family: &Family<'a>, place: usize, deed: &Deed<'a>) -> Told {
    let mut text = what(deeds, deed);
    if let Some(error) = deed.error {
        text += &format!(" {error}");
    }
    let because = because(deeds, family, place, deed).join("  ");
    Told {
        text: printable(&text).into_owned(),
        because: printable(&because).into_owned(),
        failed: deed.error.is_some(),
    }
}

/// A look-up whose answer was connected to stands in the connection's line.
pub(super) fn is_told_by_another(deed: &Deed<'_>, others: &[Deed<'_>]) -> bool {
    let first =
        |deed: &Deed<'_>, name| deed.spans.first().and_then(|span| text(&span.attributes, name)).map(str::to_owned);
    let name = first(deed, semconv::DNS_QUESTION_NAME);
    matches!(deed.kind, Kind::Resolve)
        && deed.error.is_none()
        && others.iter().any(|it| matches!(it.kind, Kind::Connect) && first(it, semconv::SERVER_ADDRESS) == name)
}

/// What could not be seen of the image.
pub(super) fn unseen(member: &Member<'_>) -> Option<Told> {
    let ways = [
        (semconv::AGENTSIGHT_BLIND_SHARED_MEMORY, "shared memory"),
        (semconv::AGENTSIGHT_BLIND_IO_URING, "io_uring"),
        (semconv::AGENTSIGHT_BLIND_COMPAT_CALLS, "32-bit system calls"),
    ];
    let is_used = |name| member.spans().any(|span| is_set(&span.attributes, name));
    let used: Vec<_> = ways.iter().filter(|(name, _)| is_used(*name)).map(|(_, way)| *way).collect();
    let text = format!("not seen: what it did by {}", used.join(", "));
    (!used.is_empty()).then_some(Told { text, because: String::new(), failed: false })
}

/// What was folded on the image's span.
pub(super) fn folded(member: &Member<'_>) -> Option<String> {
    let counts = |name: Name| member.spans().filter_map(move |span| u64::try_from(int(&span.attributes, name)?).ok());
    let sum = |name: Name| counts(name).fold(0, u64::saturating_add);
    let (files, size) = (sum(semconv::AGENTSIGHT_FOLDED_FILES), sum(semconv::AGENTSIGHT_FOLDED_BYTES));
    (files > 0).then(|| format!("{files} system files read, {}", bytes(size)))
}

fn what<'a>(deeds: &Deeds<'a>, deed: &Deed<'a>) -> String {
    let name = || deed.spans.first().map(|span| target(deeds, span)).unwrap_or_default();
    match deed.kind {
        Kind::Read => format!("{} {}{}", action::READ, name(), amount(deed, deed.received)),
        Kind::Write => format!("{} {}{}", action::WRITE, name(), amount(deed, deed.sent)),
        Kind::Connect => format!("{} {}{}", action::CONNECT, name(), both_ways(deed)),
        Kind::Accept => format!("{} {}{}", action::ACCEPT, name(), both_ways(deed)),
        Kind::Resolve => {
            let answers = deed.spans.iter().flat_map(|span| texts(&span.attributes, semconv::DNS_ANSWERS));
            let answers: Vec<_> = answers.take(2).map(String::as_str).collect();
            let mut codes =
                deed.spans.iter().filter_map(|span| text(&span.attributes, semconv::AGENTSIGHT_DNS_RESPONSE_CODE));
            let outcome = match answers.as_slice() {
                // An error is said of any deed.
                [] if deed.error.is_none() => codes.next_back().map(|code| format!(" {code}")).unwrap_or_default(),
                [] => String::new(),
                answers => format!(" → {}", answers.join(", ")),
            };
            format!("{} {}{outcome}", action::RESOLVE, name())
        }
        Kind::Change(event) => change(event),
    }
}

/// Nothing where no sum is known.
fn amount(deed: &Deed<'_>, count: u64) -> String {
    let is_known = deed.spans.iter().any(|span| int(&span.attributes, semconv::AGENTSIGHT_IO_BYTES).is_some());
    if is_known { format!(" {}", bytes(count)) } else { String::new() }
}

fn both_ways(deed: &Deed<'_>) -> String {
    let ways = [("sent", deed.sent), ("received", deed.received)];
    ways.iter().filter(|(_, count)| *count > 0).map(|(way, count)| format!(", {way} {}", bytes(*count))).collect()
}

/// `rename config.tmp → config.json`, `chmod 0755 run.sh`, `kill SIGTERM python3 102`.
fn change(event: &SpanEvent) -> String {
    let of = |name| text(&event.attributes, name);
    let mut words = event.name.as_str().to_owned();
    for name in [semconv::FILE_MODE, semconv::AGENTSIGHT_SIGNAL_NAME, semconv::AGENTSIGHT_CALL_ARGUMENTS] {
        words += &of(name).map(|value| format!(" {value}")).unwrap_or_default();
    }
    for name in [semconv::FILE_PATH, semconv::NETWORK_PEER_ADDRESS] {
        words += &of(name).map(|path| format!(" {}", base(path))).unwrap_or_default();
    }
    let to = of(semconv::AGENTSIGHT_FILE_NEW_PATH).or_else(|| of(semconv::FILE_SYMBOLIC_LINK_TARGET_PATH));
    words += &to.map(|path| format!(" → {}", base(path))).unwrap_or_default();
    words += &of(semconv::AGENTSIGHT_TARGET_NAME).map(|name| format!(" {name}")).unwrap_or_default();
    for name in [semconv::AGENTSIGHT_TARGET_PID, semconv::NETWORK_LOCAL_PORT, semconv::PROCESS_USER_ID] {
        words += &int(&event.attributes, name).map(|number| format!(" {number}")).unwrap_or_default();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agentsight_ebpf::{
        BurstId, Captured, Change, ChangeKind, Direction, DnsAnswer, Doer, ExecNumber, FileId, Object, OpenId, Tid,
    };
    use expect_test::{Expect, expect};

    use crate::content::{ContentHash, Likeness};
    use crate::graph::fixture::{activities, events, session};
    use crate::graph::{
        Account, Activity, Blind, Cause, CauseKind, Confidence, Connection, ConnectionAt, Folded, Image, Match, Note,
        Resolution, Side, Target, Transfer, Under,
    };
    use crate::spans::fixture::{at, file, images, own_span, spans_of_activities, tcp, transfer};
    use crate::terminal::{TreeStyle, tree};

    const TEXT: &str = "
        0 clock
        0 root 100
        1 exec 100 /bin/bash bash -c 'sh refresh.sh; python3 agent.py'
        2 fork 100 101
        3 exec 101 /bin/sh sh refresh.sh
        5 fork 101 103
        6 exec 103 /bin/mv mv config.tmp config.json
        8 exit 103 0
        9 exit 101 0
        10 fork 100 102
        11 exec 102 /usr/bin/python3 python3 agent.py
        90 exit 102 0
        91 exit 100 0
    ";

    /// What happened in `TEXT`, and `more`; the accounts go to the images that they are of.
    fn check(width: u16, more: impl Fn(u32, &Arc<Image>) -> (Account, Vec<Activity>), expect: &Expect) {
        let (mut all, _) = activities(&session(), &events(TEXT), None);
        let images = images(TEXT);
        let mut data = Vec::new();
        for activity in &mut all {
            if let Activity::ImageEnded(ended) = activity {
                let pid = ended.image.id.process.tgid.0;
                let (account, deeds) = more(pid, &images[&pid]);
                ended.account = account;
                data.extend(deeds);
            }
        }
        all.extend(data);
        expect.assert_eq(&tree(&spans_of_activities(&all), TreeStyle { width, colour: false }, &[]));
    }

    fn burst(open: u64, times: (u64, u64), transfer: Transfer) -> Transfer {
        let id = BurstId { open: OpenId(open), number: 1 };
        Transfer { id, start: at(times.0), end: at(times.1), ..transfer }
    }

    fn cause(kind: CauseKind, of: &Transfer) -> Cause {
        let (image, object) = (Arc::clone(&of.image), Arc::clone(&of.object));
        let trace = Arc::clone(&image.trace);
        let target = Target::Burst { id: of.id, image, direction: of.direction, object, trace, before_nanos: 1 };
        Cause { kind, confidence: Confidence::CERTAIN, target, bytes: None, matched: None }
    }

    fn said(transfer: &Transfer) -> Activity {
        Activity::Transferred(Box::new(transfer.clone()))
    }

    fn renamed(image: &Image) -> Note {
        let by = Doer { process: image.id.process, exec: ExecNumber(1), tid: Tid(1) };
        let (path, new_path) = (Captured::whole("/home/me/config.tmp"), Captured::whole("/home/me/config.json"));
        let (kind, file) = (ChangeKind::Rename, None);
        Note::Change(Box::new(Change { at: at(7), by, kind, file, path, new_path, value: 0, space: None, error: 0 }))
    }

    /// The reference case: what each process of `TEXT` did.
    fn stale_cache(pid: u32, image: &Arc<Image>) -> (Account, Vec<Activity>) {
        let images = images(TEXT);
        let written = burst(1, (4, 4), transfer(&images[&101], Direction::Out, file("/home/me/config.tmp", 42)));
        match pid {
            101 => (Account::default(), vec![said(&written)]),
            102 => {
                let mut read = burst(2, (16, 17), transfer(image, Direction::In, file("/home/me/config.json", 42)));
                read.causes.push(cause(CauseKind::File, &written));
                let connection = Connection {
                    open: OpenId(3),
                    image: Arc::clone(image),
                    under: own_span(image),
                    side: Side::Client,
                    object: tcp(),
                    to: None,
                    host_name: Some("tickets.example".to_owned()),
                    start: at(18),
                    error: 0,
                    causes: Vec::new(),
                    causes_dropped: 0,
                };
                let under = Under::Connection { open: OpenId(3), place: own_span(image) };
                let mut sent = burst(3, (19, 20), transfer(image, Direction::Out, tcp()));
                (sent.under, sent.sums.bytes) = (under, 1_059);
                sent.causes.push(cause(CauseKind::Flow, &read));
                let bytes = (0, 1_059);
                let ended = ConnectionAt { connection, at: at(30), bytes, incomplete: false, close_under: None };
                let folded = Folded { files: 41, bursts: 57, bytes: 183_204 };
                let account = Account { folded, ..Account::default() };
                (account, vec![said(&read), said(&sent), Activity::ConnectionEnded(Box::new(ended))])
            }
            103 => (Account { notes: vec![renamed(image)], ..Account::default() }, Vec::new()),
            _ => (Account::default(), Vec::new()),
        }
    }

    #[test]
    fn the_tree_says_whom_a_request_went_to_what_was_read_before_and_who_had_written_that() {
        check(
            120,
            stale_cache,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  │  write config.tmp 47 B
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            │        rename config.tmp → config.json
            └─ python3 agent.py                        102  80 ms  exit 0
                  connect tickets.example:8080, sent 1.0 kB  ← had read config.json
                  read config.json 47 B  ← written by refresh.sh as config.tmp, renamed by mv, 12 ms before
                  … and 41 system files read, 183 kB
        "#]],
        );
    }

    #[test]
    fn what_was_found_again_stands_next_to_the_request_that_it_came_out_in() {
        let found = |pid, image: &Arc<Image>| {
            let (account, mut data) = stale_cache(pid, image);
            for activity in &mut data {
                let Activity::Transferred(transfer) = activity else { continue };
                for cause in transfer.causes.iter_mut().filter(|cause| cause.kind == CauseKind::Flow) {
                    cause.matched = Some(Box::new(Match {
                        likeness: Likeness::Value,
                        source: 24..47,
                        sink: 113..121,
                        bytes: 1,
                        coverage: 0.1,
                        hash: ContentHash::of(b"7"),
                        source_text: "\"priority_folder_id\": 7".to_owned(),
                        sink_text: "folder=7".to_owned(),
                    }));
                }
            }
            (account, data)
        };
        check(
            120,
            found,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  │  write config.tmp 47 B
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            │        rename config.tmp → config.json
            └─ python3 agent.py                        102  80 ms  exit 0
                  connect tickets.example:8080, sent 1.0 kB  ← had read config.json ("priority_folder_id": 7 → folder=7)
                  read config.json 47 B  ← written by refresh.sh as config.tmp, renamed by mv, 12 ms before
                  … and 41 system files read, 183 kB
        "#]],
        );
    }

    #[test]
    fn on_a_narrow_terminal_the_cause_gives_way_first() {
        check(
            44,
            stale_cache,
            &expect![[r#"
            bash -c 'sh refresh.sh;…  100  91 ms  exit 0
            ├─ sh refresh.sh          101   7 ms  exit 0
            │  │  write config.tmp 47 B
            │  └─ mv config.tmp con…  103   3 ms  exit 0
            │        rename config.tmp → config.json
            └─ python3 agent.py       102  80 ms  exit 0
                  connect tickets.example:8080, sent 1.…
                  read config.json 47 B  ← written by r…
                  … and 41 system files read, 183 kB
        "#]],
        );
    }

    #[test]
    fn of_many_files_the_most_telling_come_first_and_the_others_are_counted() {
        let many = |pid, image: &Arc<Image>| {
            let reads = (0..40).map(|n| {
                let file = file(&format!("/home/me/src/{n}.c"), 100 + n);
                said(&burst(10 + n, (20 + n, 20 + n), transfer(image, Direction::In, file)))
            });
            let written = burst(60, (70, 71), transfer(image, Direction::Out, file("/home/me/a.out", 99)));
            let refused = Connection {
                open: OpenId(61),
                image: Arc::clone(image),
                under: own_span(image),
                side: Side::Client,
                object: tcp(),
                to: None,
                host_name: None,
                start: at(80),
                error: 111,
                causes: Vec::new(),
                causes_dropped: 0,
            };
            let refused =
                ConnectionAt { connection: refused, at: at(81), bytes: (0, 0), incomplete: false, close_under: None };
            let last = [said(&written), Activity::ConnectionEnded(Box::new(refused))];
            let blind = Blind { io_uring: true, ..Blind::default() };
            match pid {
                102 => (Account { blind, ..Account::default() }, reads.chain(last).collect()),
                _ => (Account::default(), Vec::new()),
            }
        };
        check(
            80,
            many,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            └─ python3 agent.py                        102  80 ms  exit 0
                  connect 127.0.0.1:8080 ECONNREFUSED
                  write a.out 47 B
                  read 0.c 47 B
                  read 1.c 47 B
                  read 2.c 47 B
                  read 3.c 47 B
                  read 4.c 47 B
                  read 5.c 47 B
                  not seen: what it did by io_uring
                  … and 34 more
        "#]],
        );
    }

    #[test]
    fn a_name_that_was_looked_up_stands_with_its_connection_or_with_what_came_of_it() {
        let looked_up = |pid, image: &Arc<Image>| {
            let resolution = |number, name: &str, response_code, address: Option<&str>| Resolution {
                image: Arc::clone(image),
                under: own_span(image),
                query: BurstId { open: OpenId(7), number: 1 },
                number,
                server: None,
                name: name.to_owned(),
                query_type: 1,
                start: at(12),
                end: at(13),
                response_code,
                answers: address
                    .map(|address| DnsAnswer { address: address.parse().unwrap(), ttl_seconds: 9 })
                    .into_iter()
                    .collect(),
                causes: Vec::new(),
            };
            let all = [
                resolution(0, "tickets.example", Some(0), Some("127.0.0.1")),
                resolution(1, "other.example", Some(0), Some("10.0.0.7")),
                resolution(2, "no.example", Some(3), None),
                resolution(3, "bad.example", Some(2), None),
            ];
            let (account, mut data) = stale_cache(pid, image);
            if pid == 102 {
                data.extend(all.map(|it| Activity::Resolved(Box::new(it))));
            }
            (account, data)
        };
        check(
            80,
            looked_up,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  │  write config.tmp 47 B
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            │        rename config.tmp → config.json
            └─ python3 agent.py                        102  80 ms  exit 0
                  resolve bad.example SERVFAIL
                  resolve other.example → 10.0.0.7
                  resolve no.example NXDOMAIN
                  connect tickets.example:8080, sent 1.0 kB  ← had read config.json
                  read config.json 47 B  ← written by refresh.sh as config.tmp, renamed by …
                  … and 41 system files read, 183 kB
        "#]],
        );
    }

    #[test]
    fn a_tree_of_very_many_processes_keeps_what_tells_most() {
        let mut text = "0 clock\n0 root 100\n1 exec 100 /bin/make make\n".to_owned();
        for n in 0..150 {
            let pid = 200 + n;
            text += &format!("2 fork 100 {pid}\n3 exec {pid} /bin/c{n} c{n}\n");
            text += &format!("4 open {pid} #{pid} file /home/me/{n}.c\n5 in {pid} #{pid}.1 0..47\n6 exit {pid} 0\n");
        }
        text +=
            "7 open 100 #9 created file /home/me/log\n8 out 100 #9.1 0..5\n9 fork 100 400\n9 exec 400 /bin/tail tail\n";
        text += "10 open 400 #10 file /home/me/log\n11 in 400 #10.1 0..5\n12 exit 400 0\n13 exit 100 0\n20s tick";
        let drawn =
            tree(&crate::spans::fixture::spans_of(&session(), &text), TreeStyle { width: 80, colour: false }, &[]);
        assert!(!drawn.contains("read 7.c") && drawn.contains("read log 5 B  ← written by make"), "{drawn}");
        assert_eq!(drawn.lines().count(), 1 + 150 + 2, "{drawn}");
    }

    #[test]
    fn a_pipe_says_who_is_at_its_other_end() {
        let piped = |pid, _: &Arc<Image>| {
            let images = images(TEXT);
            let id = FileId { device: 14, inode: 9_001, generation: 0 };
            let pipe = Arc::new(Object::Pipe { id, path: Captured::default() });
            let written = burst(1, (4, 4), transfer(&images[&101], Direction::Out, Arc::clone(&pipe)));
            let mut read = burst(2, (5, 6), transfer(&images[&103], Direction::In, pipe));
            read.causes.push(cause(CauseKind::Pipe, &written));
            let deeds = if pid == 100 { vec![said(&written), said(&read)] } else { Vec::new() };
            (Account::default(), deeds)
        };
        check(
            100,
            piped,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  │  write pipe 47 B  → mv
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            │        read pipe 47 B  ← from refresh.sh
            └─ python3 agent.py                        102  80 ms  exit 0
        "#]],
        );
    }

    #[test]
    fn names_of_files_cannot_drive_the_terminal() {
        let evil = |pid, image: &Arc<Image>| {
            let read = transfer(image, Direction::In, file("/tmp/\u{1b}[2Jx\n", 1));
            (Account::default(), if pid == 102 { vec![said(&read)] } else { Vec::new() })
        };
        check(
            80,
            evil,
            &expect![[r#"
            bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 0
            ├─ sh refresh.sh                           101   7 ms  exit 0
            │  └─ mv config.tmp config.json            103   3 ms  exit 0
            └─ python3 agent.py                        102  80 ms  exit 0
                  read \e[2Jx\n 47 B
        "#]],
        );
    }
}

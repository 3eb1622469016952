//! The same bytes at each hop: whatever way a file takes through pipes, sockets and files, what is captured of each burst is
//! what was moved, and what is not captured is said.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::scenario::{self, Failure, Scenario, Stage, all_in, own_folder};
use agentsight_tests::trace::{Span, Trace};

const CAPTURE: [&str; 6] = ["--capture", "**", "--capture-net", "*", "--capture-pipes", "--capture-unix"];
/// What `in.txt` of the scenarios is the beginning of, and how much of it.
const IN_TXT: (&str, usize) = ("/usr/include/stdio.h", 3000);

fn int(span: &Span, name: &str) -> i64 {
    if span.attributes.contains_key(name) { span.int(name).unwrap_or_else(|| panic!("{name} is a number")) } else { 0 }
}

fn hash(span: &Span) -> Option<&str> {
    let name = "agentsight.content.hash";
    span.attributes.contains_key(name).then(|| span.text(name))
}

/// Everything that it moved was captured; what is a secret is so at each hop.
fn is_whole(span: &Span) -> bool {
    let moved = int(span, "agentsight.io.bytes");
    moved > 0 && int(span, "agentsight.content.bytes") == moved
}

fn sha256(bytes: &[u8]) -> String {
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are installed");
    sum.stdin.take().expect("it is piped").write_all(bytes).expect("it reads all");
    let printed = sum.wait_with_output().expect("it ends").stdout;
    String::from_utf8(printed).expect("it is hex").split(' ').next().expect("it prints the sum first").to_owned()
}

/// Pairs of spans of which the one was given all that it has by the other, over an exact edge; with both hashes.
fn hops(trace: &Trace) -> Vec<(&Span, &Span)> {
    let exact = ["file", "pipe", "unix", "tcp", "udp"];
    let links = trace.spans.iter().flat_map(|effect| effect.links.iter().map(move |link| (effect, link)));
    let pairs = links.filter_map(|(effect, link)| {
        let cause = trace.span(&link.span_id)?;
        let bytes = link.attributes.get("agentsight.link.bytes")?.to_string().parse::<i64>().ok()?;
        let is_all = [cause, effect].iter().all(|span| is_whole(span) && int(span, "agentsight.io.bytes") == bytes);
        (is_all && exact.iter().any(|kind| link.is(kind))).then_some((cause, effect))
    });
    pairs.collect()
}

/// What is known and what is missing are together what was moved.
#[track_caller]
fn assert_sums_are_right(trace: &Trace) {
    for span in trace.spans.iter().filter(|span| hash(span).is_some()) {
        let (known, missing) = (int(span, "agentsight.content.bytes"), int(span, "agentsight.content.missing_bytes"));
        let moved = int(span, "agentsight.io.bytes");
        // What was moved twice at one place is there once.
        let is_once = moved == int(span, "agentsight.io.end") - int(span, "agentsight.io.offset");
        assert!(known <= moved, "{}: {known} bytes of {moved}\n{trace}", span.name);
        assert!(!is_once || known + missing == moved, "{}: {known} and {missing} of {moved}\n{trace}", span.name);
    }
}

#[test]
fn every_scenario_that_moves_a_file_has_the_same_bytes_at_each_hop() {
    let in_txt = fs::read(IN_TXT.0).expect("the C library's headers are installed");
    let in_txt = sha256(&in_txt[..IN_TXT.1]);
    let scenarios = all_in(&own_folder()).expect("the folder is there");
    let moving = |scenario: &&Scenario| scenario.text.contains("in.txt") || scenario.text.contains("secret.txt");
    let (mut hop_count, mut original_count, mut mistakes) = (0, 0, Vec::new());
    for scenario in scenarios.iter().filter(moving) {
        let mut captured = scenario.clone();
        captured.options.extend(CAPTURE.map(str::to_owned));
        let (trace, finished) = Stage::new(&captured).run();
        if finished.stderr.contains("lost") {
            mistakes.push(format!("{}: {}", scenario.name, finished.stderr));
        }
        mistakes.extend(scenario::failures(scenario, &trace).iter().map(Failure::to_string));
        assert_sums_are_right(&trace);
        for (cause, effect) in hops(&trace) {
            hop_count += 1;
            assert_eq!(hash(cause), hash(effect), "{}: {} → {}\n{trace}", scenario.name, cause.name, effect.name);
        }
        let is_original = |span: &&Span| span.name == "read in.txt" && !span.links.iter().any(|link| link.is("file"));
        let reads = trace.spans.iter().filter(|span| is_original(span) && is_whole(span));
        for read in reads.filter(|read| int(read, "agentsight.io.bytes") == IN_TXT.1 as i64) {
            original_count += 1;
            assert_eq!(hash(read), Some(in_txt.as_str()), "{}\n{trace}", scenario.name);
        }
    }
    assert!(mistakes.is_empty(), "capturing changes what is said:\n{}", mistakes.join("\n"));
    assert!(hop_count >= 12 && original_count >= 8, "{hop_count} hops and {original_count} originals prove too little");
}

/// `program` in a folder with `in.bin`; the trace, and the sum of `in.bin`.
fn traced(agentsight: &Agentsight, options: &[&str], bytes: &[u8], program: &str) -> (Trace, String) {
    let folder = agentsight.directory().join("files");
    fs::create_dir(&folder).expect("the directory is ours");
    fs::write(folder.join("in.bin"), bytes).expect("the directory is ours");
    let script = format!("cd {} && {program}", path_text(&folder));
    let options = [CAPTURE.as_slice(), &["--no-daemon"], options].concat();
    let traced = agentsight.trace(&options, &["sh", "-c", &script]);
    assert_eq!(traced.finished.code(), 0, "{}", traced.finished.stderr);
    assert_sums_are_right(&traced.trace);
    (traced.trace, sha256(bytes))
}

/// No word of it is a secret, and no two blocks are the same.
fn text(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|number| format!("line {number} of many\n").into_bytes()).take(length).collect()
}

#[test]
fn single_bytes_and_pieces_of_all_sizes_come_to_the_same_contents() {
    let program = r#"/usr/bin/python3 -c '
import os
source, (out, into) = os.open("in.bin", os.O_RDONLY), os.pipe()[::-1]
if os.fork() == 0:
    os.close(out)
    buffers = [bytearray(n) for n in (1, 700, 3)]
    target = os.open("out.bin", os.O_WRONLY | os.O_CREAT)
    while got := os.readv(into, buffers):
        os.write(target, b"".join(buffers)[:got])
    os._exit(0)
os.close(into)
data = b""
while byte := os.read(source, 1):
    data += byte
for at in range(0, len(data), 600):
    os.writev(out, [data[at:at + 1], data[at + 1:at + 599], data[at + 599:at + 600]])
os.close(out)
os.wait()
'"#;
    let agentsight = Agentsight::as_root();
    let (trace, sum) = traced(&agentsight, &[], &text(6000), program);
    let whole = trace.spans.iter().filter(|span| int(span, "agentsight.io.bytes") == 6000);
    let hashes: Vec<_> = whole.map(|span| (span.name.as_str(), hash(span))).collect();
    // What is read from the pipe is cut where the first of it is written on.
    assert_eq!(hashes.len(), 3, "read, written to the pipe, written to the file:\n{trace}");
    assert!(hashes.iter().all(|(_, hash)| *hash == Some(&sum)), "{hashes:?}\n{sum}\n{trace}");
}

#[test]
fn a_write_of_a_mebibyte_is_there_as_a_whole_where_the_budget_allows_it_and_else_as_its_beginning() {
    let program = "/usr/bin/python3 -c 'd = open(\"in.bin\", \"rb\", 0).read(); open(\"out.bin\", \"wb\", 0).write(d)'";
    let bytes = text(1 << 20);
    let agentsight = Agentsight::as_root();
    // To redact so much once takes a build without optimization long enough.
    let room = ["--no-capture", "in.bin", "--capture-burst-bytes", "2000000", "--capture-session-bytes", "100000000"];
    let (trace, sum) = traced(&agentsight, &room, &bytes, program);
    let written = trace.only("write out.bin");
    assert_eq!((int(written, "agentsight.content.bytes"), hash(written)), (1 << 20, Some(sum.as_str())), "{trace}");

    let agentsight = Agentsight::as_root();
    let (trace, _) = traced(&agentsight, &["--capture-burst-bytes", "10000"], &bytes, program);
    let written = trace.only("write out.bin");
    assert_eq!(int(written, "agentsight.content.missing_bytes"), (1 << 20) - 10_000, "{trace}");
    assert_eq!(hash(written), Some(sha256(&bytes[..10_000]).as_str()), "{trace}");
}

#[test]
fn with_a_ring_that_is_too_small_holes_are_said_and_nothing_is_invented() {
    let program = "for n in 1 2 3 4 5 6 7 8; do cat in.bin | cat > /dev/null; done";
    let bytes = text(60_000);
    let agentsight = Agentsight::as_root();
    let (trace, sum) = traced(&agentsight, &["--content-ring-bytes", "65536"], &bytes, program);
    let whole = |span: &&Span| int(span, "agentsight.io.bytes") == 60_000 && hash(span).is_some();
    let bursts: Vec<&Span> = trace.spans.iter().filter(whole).collect();
    let (holed, complete): (Vec<&Span>, Vec<&Span>) =
        bursts.into_iter().partition(|span| int(span, "agentsight.content.missing_bytes") > 0);
    assert!(!holed.is_empty(), "the ring held all of it, and this proves nothing:\n{trace}");
    for span in complete {
        assert_eq!(hash(span), Some(sum.as_str()), "{}\n{trace}", span.name);
    }
    let mut known = 0;
    for span in holed {
        let shown = agentsight.run(["content", &span.id, "--hex"]).expect_code(0).stdout;
        let count = known_bytes_are_right(&shown, &bytes);
        assert_eq!(i64::try_from(count), Ok(int(span, "agentsight.content.bytes")), "{shown}");
        known += count;
    }
    assert!(known > 0, "nothing but holes proves too little:\n{trace}");
}

/// Each byte that is shown stands at its place in the file; how many are shown.
#[track_caller]
fn known_bytes_are_right(shown: &str, bytes: &[u8]) -> usize {
    let mut count = 0;
    for line in shown.lines() {
        let Some((offset, rest)) = line.split_once("  ") else { continue };
        // What is missing is said in words.
        let (Ok(offset), Some((digits, _))) = (usize::from_str_radix(offset, 16), rest.split_once('|')) else {
            continue;
        };
        for (at, digits) in (offset..).zip(digits.split_whitespace()) {
            let byte = u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no byte at {at}: {line}"));
            assert_eq!(Some(&byte), bytes.get(at), "at {at}: {line}");
            count += 1;
        }
    }
    count
}

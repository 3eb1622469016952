//! Over files: ranges, copies, flow points, other parties.

use std::process::Command;

use agentsight_ebpf::live::Carrier;
use agentsight_ebpf::{Cut, Direction, Object};

use crate::observe::{observe_command, on_both};
use crate::place::Place;
use crate::story::Story;

/// Over both carriers, in a directory of its own, whose name is `$T` in the script.
fn shell(script: &str, claim: impl Fn(&Story)) {
    for carrier in [Carrier::RingBuffer, Carrier::PerfBuffers] {
        let place = Place::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("T", &place.0);
        let story = Story::of(&observe_command(carrier, &mut command));
        println!("{carrier:?}:\n{}", story.tell());
        claim(&story);
    }
}

const MADE: &str = "head -c 3000 /dev/zero >$T/in; ";

#[test]
fn a_copy_by_the_kernel_is_two_bursts_and_what_went_from_one_to_the_other() {
    shell(&format!("{MADE} cat <$T/in >$T/out"), |story| {
        let (from, to) = (story.only("/in", Direction::In), story.only("/out", Direction::Out));
        assert_eq!((from.end.bytes, from.end.offset, from.end.end), (3000, 0, 3000));
        assert_eq!((to.end.bytes, to.end.offset, to.end.end), (3000, 0, 3000));
        let copied = story.copies.first().expect("cat lets the kernel copy");
        assert_eq!((copied.from, copied.to, copied.bytes), (from.end.burst, to.end.burst, 3000));
    });
}

#[test]
fn many_small_operations_are_one_burst_and_a_copy_loop_is_one_flow_point() {
    shell(&format!("{MADE} dd if=$T/in of=$T/out bs=1 status=none"), |story| {
        let out = story.only("/out", Direction::Out);
        assert_eq!((out.end.bytes, out.end.operations, out.end.cut), (3000, 3000, Cut::Close));
        assert!(out.begin.flow.is_some(), "{out:?}");
        // The first byte led to the first write; reading on is nothing new.
        let inputs = story.over("/in", Direction::In);
        assert_eq!(
            inputs.iter().map(|burst| (burst.end.bytes, burst.end.cut)).collect::<Vec<_>>(),
            [(1, Cut::Flow), (2999, Cut::Close)]
        );
        assert!(inputs[0].begin.source.is_some() && inputs[1].begin.source.is_none());
    });
}

#[test]
fn ranges_are_what_was_touched_and_a_hole_is_said() {
    let script = "dd if=/dev/zero of=$T/out bs=10 count=3 seek=7 status=none; \
                  dd if=$T/out of=/dev/null bs=10 skip=8 count=1 status=none";
    shell(script, |story| {
        let (out, back) = (story.only("/out", Direction::Out), story.only("/out", Direction::In));
        assert_eq!((out.end.offset, out.end.end, out.end.sparse), (70, 100, false));
        assert_eq!((back.end.offset, back.end.end), (80, 90));
    });
}

#[test]
fn creating_and_emptying_are_said_once_and_no_more_than_happened() {
    shell("echo one >$T/out; echo two >>$T/out; echo three >$T/out; cat $T/out", |story| {
        let said: Vec<_> = story
            .opens
            .iter()
            .filter_map(|open| match &open.object {
                Object::File(file) if file.path.bytes.ends_with(b"/out") => Some((file.created, file.truncated)),
                _ => None,
            })
            .collect();
        assert_eq!(said, [(true, false), (false, false), (false, true), (false, false)]);
    });
}

#[test]
fn another_party_ends_a_burst() {
    // Both keep their descriptor: the second write is another version.
    let script = "exec 3>$T/file; echo one >&3; cat $T/file >$T/copy; echo two >&3; cat $T/file >$T/copy2";
    shell(script, |story| {
        let writes = story.over("/file", Direction::Out);
        assert_eq!(
            writes.iter().map(|burst| (burst.end.offset, burst.end.end, burst.end.cut)).collect::<Vec<_>>(),
            [(0, 4, Cut::OtherParty), (4, 8, Cut::OtherParty)]
        );
        assert!(story.over("/file", Direction::In).iter().all(|burst| burst.begin.source.is_some()));
    });
}

#[test]
fn what_is_open_at_the_end_ends_with_the_process() {
    shell("exec 3>$T/file; echo one >&3; exec 4<$T/file; read line <&4", |story| {
        assert_eq!(story.only("/file", Direction::In).end.cut, Cut::Exit);
        let Object::File(file) = story.object("/file") else { panic!("it is a file") };
        let opens = story.opens.iter().filter(|open| matches!(&open.object, Object::File(it) if it.id == file.id));
        assert!(opens.clone().count() >= 2 && opens.clone().all(|open| story.closed.contains(&open.open)));
    });
}

#[test]
fn ten_thousand_reads_make_few_records() {
    shell("dd if=/dev/zero of=/dev/null bs=1 count=10007 status=none", |story| {
        let reads = story.over("/dev/zero", Direction::In);
        assert!(reads.len() <= 2, "{}", story.tell());
        assert_eq!(reads.iter().map(|burst| burst.end.operations).sum::<u64>(), 10_007);
    });
}

#[test]
fn what_is_mapped_says_so_and_what_is_mapped_for_writing_lasts() {
    let program = "
import mmap, os, tempfile
place = tempfile.mkdtemp() + '/mapped'
f = open(place, 'wb+'); f.write(b'x' * 5000); f.flush()
m = mmap.mmap(f.fileno(), 0); m[0:3] = b'abc'
os.close(os.open(place, os.O_RDONLY))
open(place, 'rb').read()
";
    on_both(program, |events| {
        let story = Story::of(events);
        let mapped: Vec<_> = story.over("/mapped", Direction::Out).into_iter().filter(|it| it.begin.mapped).collect();
        assert_eq!(mapped.len(), 1, "{}", story.tell());
        assert_eq!((mapped[0].end.offset, mapped[0].end.end, mapped[0].end.cut), (0, 5000, Cut::Exit));
        assert!(story.over("/mapped", Direction::In).iter().any(|it| it.begin.mapped), "{}", story.tell());
    });
}

#[test]
fn every_way_of_moving_bytes_inside_the_kernel_is_a_copy() {
    let program = "
import os, tempfile
place = tempfile.mkdtemp()
a = os.open(place + '/from', os.O_RDWR | os.O_CREAT); os.write(a, b'x' * 4001)
def to(name): return os.open(place + '/' + name, os.O_RDWR | os.O_CREAT)
assert os.copy_file_range(a, to('range'), 1001, 10, 5) == 1001
assert os.sendfile(to('sendfile'), a, 20, 2001) == 2001
r, w = os.pipe()
assert os.splice(a, w, 301, 30) == 301
assert os.splice(r, to('splice'), 301) == 301
";
    on_both(program, |events| {
        let story = Story::of(events);
        for (name, offset, bytes, from) in [("/range", 5, 1001, 10), ("/sendfile", 0, 2001, 20), ("/splice", 0, 301, 0)]
        {
            let to = story.only(name, Direction::Out);
            assert_eq!((to.end.offset, to.end.bytes), (offset, bytes), "{name}");
            let copied = story.copies.iter().find(|copied| copied.to == to.end.burst).expect("it is a copy");
            assert_eq!(copied.bytes, bytes, "{name}");
            let burst = story.bursts.iter().find(|burst| burst.end.burst == copied.from).expect("it was read");
            assert!((burst.end.offset..=burst.end.end).contains(&from), "{name}: {burst:?}");
        }
    });
}

#[test]
fn what_an_exec_closes_is_closed_when_its_place_is_taken() {
    // Whose places the kernel gives out again is its own affair, but among so many some are.
    let program = "
import os, tempfile
place = tempfile.mkdtemp() + '/'
for i in range(40): os.write(os.open(place + str(i), os.O_WRONLY | os.O_CREAT), b'x')
os.execlp('python3', 'python3', '-S', '-c', 'import os; a = [os.open(\"/dev/null\", 0) for i in range(400)]')
";
    on_both(program, |events| {
        let story = Story::of(events);
        let is_numbered = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.len() <= 2);
        let written: Vec<_> = story
            .opens
            .iter()
            .filter(|open| matches!(&open.object, Object::File(it) if it.created && is_numbered(&it.path.bytes)))
            .collect();
        assert_eq!(written.len(), 40);
        let closed = written.iter().filter(|open| story.closed.contains(&open.open)).count();
        assert!(closed > 0, "none of the 40 places was taken");
    });
}

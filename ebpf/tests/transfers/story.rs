//! What was said of opens and bursts, told by the names of the objects: one line for each burst.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use agentsight_ebpf::{
    BurstBegin, BurstEnd, BurstId, Copied, Direction, Event, Fork, Object, Open, OpenId, ProcessKey,
};

/// The opens and bursts of a run, joined.
pub(crate) struct Story {
    pub(crate) opens: Vec<Open>,
    pub(crate) bursts: Vec<Burst>,
    pub(crate) copies: Vec<Copied>,
    pub(crate) forks: Vec<Fork>,
    pub(crate) closed: Vec<OpenId>,
}

/// A burst from its begin to its end.
#[derive(Clone, Debug)]
pub(crate) struct Burst {
    /// Path, address or kind of what it went over.
    pub(crate) object: String,
    pub(crate) begin: BurstBegin,
    pub(crate) end: BurstEnd,
}

impl Story {
    /// Every burst that began has ended, once; every open file was announced before its first burst.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut story =
            Self { opens: Vec::new(), bursts: Vec::new(), copies: Vec::new(), forks: Vec::new(), closed: Vec::new() };
        let mut names: BTreeMap<OpenId, String> = BTreeMap::new();
        let mut begun: BTreeMap<BurstId, BurstBegin> = BTreeMap::new();
        for event in events {
            match event {
                Event::Open(open) => {
                    names.insert(open.open, name_of(&open.object));
                    story.opens.push((**open).clone());
                }
                Event::BurstBegin(begin) => {
                    assert!(names.contains_key(&begin.burst.open), "not announced: {begin:?}");
                    assert_eq!(begun.insert(begin.burst, *begin), None, "a number was given twice: {begin:?}");
                }
                Event::BurstEnd(end) => {
                    let begin = begun.remove(&end.burst).unwrap_or_else(|| panic!("did not begin: {end:?}"));
                    assert_eq!((begin.by.process, begin.direction), (end.by.process, end.direction), "{end:?}");
                    assert!(end.first <= end.last && end.last <= end.at, "{end:?}");
                    let object = names[&end.burst.open].clone();
                    story.bursts.push(Burst { object, begin, end: *end });
                }
                Event::Copied(copied) => story.copies.push(*copied),
                Event::Fork(fork) => story.forks.push(*fork),
                Event::Close(close) => story.closed.push(close.open),
                _ => {}
            }
        }
        assert!(begun.is_empty(), "these did not end: {:?}", begun.values());
        story.bursts.sort_by_key(|burst| (burst.end.burst.open, burst.end.burst.number));
        story
    }

    /// The bursts over objects whose name has this in it, in the order of their numbers.
    pub(crate) fn over(&self, name: &str, direction: Direction) -> Vec<&Burst> {
        let wanted = |burst: &&Burst| burst.object.contains(name) && burst.end.direction == direction;
        self.bursts.iter().filter(wanted).collect()
    }

    /// The only burst over such an object.
    pub(crate) fn only(&self, name: &str, direction: Direction) -> &Burst {
        let all = self.over(name, direction);
        assert_eq!(all.len(), 1, "{name} {direction:?}:\n{}", self.tell());
        all[0]
    }

    /// The last announcement of an object.
    pub(crate) fn object(&self, name: &str) -> &Object {
        let found = self.opens.iter().rev().find(|open| name_of(&open.object).contains(name));
        &found.unwrap_or_else(|| panic!("{name} was not announced:\n{}", self.tell())).object
    }

    /// For a failed assertion.
    pub(crate) fn tell(&self) -> String {
        let mut text = String::new();
        for Burst { object, begin, end } in &self.bursts {
            writeln!(
                text,
                "{} {}.{} {object} {:?}{} {}..{} {} bytes {} ops [{}, {}] source {:?} flow {:?} cut {:?}{}{}",
                end.by.process.tgid.0,
                end.burst.open.0,
                end.burst.number,
                end.direction,
                if begin.mapped { " mapped" } else { "" },
                end.first.0 / 1000 % 100_000_000,
                end.last.0 / 1000 % 100_000_000,
                end.bytes,
                end.operations,
                end.offset,
                end.end,
                begin.source,
                begin.flow.map(|flow| (flow.before, flow.now)),
                end.cut,
                if end.sparse { " sparse" } else { "" },
                if end.coalesced { " coalesced" } else { "" },
            )
            .expect("a String takes all");
        }
        text
    }
}

/// Which processes took part, in order of first appearance.
pub(crate) fn processes(bursts: &[&Burst]) -> Vec<ProcessKey> {
    let mut found = Vec::new();
    for burst in bursts {
        if !found.contains(&burst.end.by.process) {
            found.push(burst.end.by.process);
        }
    }
    found
}

fn name_of(object: &Object) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "@");
    match object {
        Object::File(file) => text(&file.path.bytes),
        Object::Pipe { id, path } if path.bytes.is_empty() => format!("pipe:{}", id.inode),
        Object::Pipe { path, .. } => format!("fifo:{}", text(&path.bytes)),
        Object::Tty { path, .. } => format!("tty:{}", text(&path.bytes)),
        Object::Unix(socket) => format!("unix:{}:{}", socket.inode, text(&socket.address.bytes)),
        Object::Inet(inet) => format!("{:?}:{}:{:?}", inet.protocol, inet.local, inet.remote),
    }
}

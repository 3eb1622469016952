//! How much room a span will take in its trace, estimated from its image before the span is made.
//!
//! Never too low, but for what a span says of lost events and of overhead: an image is counted when it begins, and what its end adds is
//! in the sum already. The tests of the spans hold it against what is encoded.

use std::ops::Add;

use agentsight_ebpf::{Address, Captured, Exec, Object};

use super::edges::EDGES_MAX;
use super::image::{base_name, executable_name};
use super::object::path;
use super::{Account, Cause, Connection, Image, Note, Target};

/// Ids, times, status, and the attributes that every span of an image has, names included, without their texts.
const FIXED: usize = 320;
/// What the span of an image has besides.
const OF_IMAGE: usize = 560;
/// The link to the original, and what it says in words.
const OF_CONTINUATION: usize = 220;
/// How it ended, and the real start.
const OF_EXIT: usize = 270;
/// An attribute that few spans have: its name, and a value that is a number or true.
const OF_ODDITY: usize = 56;
/// What the span of a burst has besides, without the path and what may be missing of it.
const OF_TRANSFER: usize = 900;
/// What the span of a connection has besides: addresses, names and sums.
const OF_CONNECTION: usize = 900;
/// What the span of a look-up has besides, without its name and the answers.
const OF_RESOLUTION: usize = 420;
/// The numbers of what was folded, and the blind spots.
const OF_NUMBERS: usize = 6 * OF_ODDITY;
/// One span event with its attributes, without its texts.
const OF_NOTE: usize = 330;
/// The `close` of a connection.
const OF_CLOSE: usize = 330;
/// An address in words.
const OF_ADDRESS: usize = 64;
/// One link with its attributes and its words, without the target's name.
const OF_CAUSE: usize = 170;
/// What is said of a burst as a cause beside names: the action, `by`, and how long before.
const OF_WORDS: usize = 64;
/// The evidence of a match, without its texts: the names of eight attributes, numbers and a hash.
const OF_MATCH: usize = 500;
/// What is said of captured contents: the names of five attributes, numbers and a hash.
const OF_CONTENT: usize = 330;
/// Causes that are named in words.
const CAUSES_IN_WORDS: usize = 4;
/// Bytes of one text attribute, of all texts of a list, and what one text of a list costs beside its bytes.
const TEXT_LIMIT: usize = 2048;
const TEXTS_LIMIT: usize = 16 * 1024;
const OF_LIST_ITEM: usize = 8;
/// The base name of a script in the span's name.
const NAME_LIMIT: usize = 255;

/// Spans and their encoded bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
}

impl Load {
    /// The span of an image, however it will end.
    pub(crate) fn of_image(image: &Image) -> Self {
        let causes: usize = image.causes.iter().map(of_cause).sum();
        let program = image.program.as_deref().map_or(0, of_program);
        Self::one(identity(image) + OF_IMAGE + OF_NUMBERS + causes + image.trace_state.len() + program)
    }

    /// The span that continues an image in a later trace.
    pub(crate) fn of_continuation(image: &Image) -> Self {
        Self::one(identity(image) + OF_CONTINUATION)
    }

    /// The span that says how a promoted image ended, and what it did since.
    pub(crate) fn of_exit(image: &Image, account: &Account) -> Self {
        let causes: usize = image.causes.iter().map(of_cause).sum();
        Self::one(identity(image) + OF_EXIT + OF_NUMBERS + causes) + Self::of_account(account)
    }

    /// The notes of an image; its numbers are in the sum of its span.
    pub(crate) fn of_account(account: &Account) -> Self {
        account.notes.iter().map(Self::of_note).fold(Self::default(), Self::add)
    }

    /// One span event.
    pub(crate) fn of_note(note: &Note) -> Self {
        let texts = match note {
            Note::Change(change) => [&change.path, &change.new_path].map(of_captured).iter().sum(),
            Note::Kill(_, name) => name.as_ref().map_or(0, |name| name.len().min(TEXT_LIMIT)),
            Note::Call(_) => 0,
            Note::Connect(connect) => of_address(&connect.to),
        };
        Self { spans: 0, bytes: (OF_NOTE + texts) as u64 }
    }

    /// The spans of a connection: its own, and that of its close should it be promoted.
    pub(crate) fn of_connection(connection: &Connection) -> Self {
        let causes: usize = connection.causes.iter().map(of_cause).sum();
        let host = connection.host_name.as_ref().map_or(0, |name| 2 * name.len().min(TEXT_LIMIT));
        // The `connect` at the other end may turn up later.
        let other_end = OF_CAUSE + OF_WORDS + TEXT_LIMIT;
        let to = connection.to.as_ref().map_or(0, of_address);
        let own = identity(&connection.image)
            + OF_CONNECTION
            + of_object(&connection.object)
            + to
            + host
            + causes
            + other_end;
        Self::one(own) + Self::of_close(connection)
    }

    /// The span that says how a promoted connection ended.
    pub(crate) fn of_close(connection: &Connection) -> Self {
        Self::one(identity(&connection.image) + OF_CLOSE)
    }

    /// The span that continues a connection in a later trace.
    pub(crate) fn of_connection_continuation(connection: &Connection) -> Self {
        Self::one(identity(&connection.image) + OF_CONTINUATION)
    }

    /// The span of a look-up.
    pub(crate) fn of_resolution(image: &Image, name: &str, answer_count: usize) -> Self {
        let answers = answer_count * (OF_ADDRESS + OF_LIST_ITEM);
        Self::one(identity(image) + OF_RESOLUTION + 2 * name.len().min(TEXT_LIMIT) + answers)
    }

    /// The span of a burst.
    pub(crate) fn of_transfer(image: &Image, object: &Object, causes: &[Cause]) -> Self {
        let causes: usize = causes.iter().map(of_cause).sum();
        Self::one(identity(image) + OF_TRANSFER + of_object(object) + causes)
    }

    /// The span of a burst that may have as many causes as a span shows, with the longest of names.
    pub(crate) fn of_transfer_at_most(image: &Image, object: &Object) -> Self {
        let causes = EDGES_MAX * OF_CAUSE + CAUSES_IN_WORDS * (OF_WORDS + TEXT_LIMIT + NAME_LIMIT);
        Self::one(identity(image) + OF_TRANSFER + of_object(object) + causes)
    }

    /// What the span of a burst says of what was captured, and the text itself where that goes onto spans.
    pub(crate) fn of_content(has_text: bool) -> Self {
        Self { spans: 0, bytes: (OF_CONTENT + if has_text { 2 * OF_ODDITY + TEXT_LIMIT } else { 0 }) as u64 }
    }

    /// One more link, and what it says in words.
    pub(crate) fn of_cause(cause: &Cause) -> Self {
        Self { spans: 0, bytes: of_cause(cause) as u64 }
    }

    fn one(bytes: usize) -> Self {
        Self { spans: 1, bytes: bytes as u64 }
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { spans: self.spans.saturating_add(other.spans), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

fn of_cause(cause: &Cause) -> usize {
    let names = match &cause.target {
        Target::Burst { image, object, .. } => {
            OF_WORDS + image.program.as_deref().map_or(0, in_words) + base_name_of(object)
        }
        other => other.name().map_or(0, str::len),
    };
    let matched = cause.matched.as_ref().map_or(0, |it| OF_MATCH + it.source_text.len() + it.sink_text.len());
    OF_CAUSE + names + matched
}

/// What people call a program: the name that it has or was asked for by, and that of a script.
fn in_words(program: &Exec) -> usize {
    let name = executable_name(program).map_or(0, |name| name.len());
    name.max(text(&program.requested.bytes)).min(NAME_LIMIT) + text(&program.args.bytes).min(NAME_LIMIT)
}

/// What was cut is named once more.
fn of_captured(captured: &Captured) -> usize {
    text(&captured.bytes) + if captured.gap.is_some() || captured.bytes.len() > TEXT_LIMIT { OF_ODDITY } else { 0 }
}

fn of_address(address: &Address) -> usize {
    match address {
        Address::Unix(path) => 2 * of_captured(path),
        Address::Inet(_) | Address::Family(_) => OF_ADDRESS,
    }
}

/// The path stands as an attribute, and its last part as another and in the span's name.
fn of_object(object: &Object) -> usize {
    path(object).map_or(0, of_captured) + 2 * base_name_of(object)
}

fn base_name_of(object: &Object) -> usize {
    let name = path(object).and_then(|path| base_name(&path.bytes));
    // An address is no longer than this.
    name.map_or(64, |name| name.len().min(TEXT_LIMIT))
}

fn identity(image: &Image) -> usize {
    // The name stands three times: as the span's, as an attribute, and in words as a cause.
    let name = image.program.as_deref().and_then(executable_name).map_or(0, |name| name.len().min(TEXT_LIMIT));
    FIXED + 3 * name + image.lineage.as_str().len() + image.trace_state.len()
}

fn of_program(program: &Exec) -> usize {
    let args = &program.args.bytes;
    let mut list = 0;
    let mut script = 0;
    for arg in args.split(|byte| *byte == 0) {
        let length = text(arg);
        script = script.max(length.min(NAME_LIMIT));
        list += length + 1 + OF_LIST_ITEM;
        if list > TEXTS_LIMIT * (1 + OF_LIST_ITEM) {
            break;
        }
    }
    let paths = [&program.executable, &program.requested, &program.working_directory];
    // What was cut is named once more.
    let of_path = |path: &Captured| text(&path.bytes) + if path.gap.is_some() { OF_ODDITY } else { 0 };
    let oddities = [
        program.requested.bytes != program.executable.bytes,
        program.executable_deleted,
        program.environment.incomplete,
        program.redactions > 0,
        program.args.gap.is_some() || args.len() > TEXT_LIMIT,
        program.args.gap.is_some() || args.len() > TEXT_LIMIT,
    ];
    let odd = oddities.iter().filter(|is_odd| **is_odd).count();
    paths.map(of_path).iter().sum::<usize>() + list + script + odd * OF_ODDITY
}

/// A text attribute's bytes: what is no UTF-8 is replaced, which makes it longer.
fn text(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).len().min(TEXT_LIMIT)
}

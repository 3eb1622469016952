//! What did not fit: counted, so that a hole in the input is never a silent return.

/// How often an event contradicted or exceeded what was known. None of these is an error of the traced program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// A process that was first heard of by something other than its fork.
    pub unseen_forks: u64,
    /// An image that was first heard of by something other than its exec.
    pub unseen_execs: u64,
    /// A fork of a process that is known already.
    pub repeated_forks: u64,
    /// An exec that is not newer than the image it should replace, or that comes after the exit.
    pub stale_execs: u64,
    /// A second exit of the same process.
    pub repeated_exits: u64,
    /// A process whose id was used again while it was thought to be alive.
    pub unseen_exits: u64,
    /// An event of a process that, if it was known, is forgotten by now.
    pub late_events: u64,
    /// An event that names an open file which was not said, or is forgotten.
    pub unseen_opens: u64,
    /// An open file that is known already.
    pub repeated_opens: u64,
    /// A second beginning or end of the same burst.
    pub repeated_bursts: u64,
    /// Bytes copied between bursts of which one is not known.
    pub unseen_copies: u64,
    /// A cause of an image that came after its effect.
    pub edges_against_time: u64,
    /// A cause of an image that there was no room for.
    pub causes_dropped: u64,
    /// Contents of a burst that is not known, or has some already, or that contradict themselves.
    pub odd_contents: u64,
    /// Contents that there was no room for: their span says that they are missing.
    pub contents_dropped: u64,
    /// A `TRACEPARENT` that is not one.
    pub malformed_traceparents: u64,
}

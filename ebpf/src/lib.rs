//! What the kernel said: the eBPF programs, their loader (feature `live`), and [`Event`], the only
//! thing that leaves this crate.
//!
//! An event is a statement of the kernel without interpretation. It says what could not be seen
//! ([`Captured`]) and never guesses. This crate knows nothing of graphs, spans or backends.

mod burst;
mod captured;
mod change;
mod connection;
mod content;
mod control;
mod dns;
mod event;
mod exec;
mod exit;
mod fork;
mod identity;
#[cfg(feature = "live")]
pub mod live;
mod loss;
mod open;
mod overhead;
mod wire;

pub use burst::{BurstBegin, BurstEnd, BurstId, Copied, Cut, Direction, FlowPoint};
pub use captured::{Captured, Gap};
pub use change::{Change, ChangeKind, Space};
pub use connection::Connect;
pub use content::{
    Automaton, AutomatonError, Budgets, CapturePolicy, Chunk, Content, ContentHole, ContentRun, Glob, GlobError, Host,
    Missing, Network, NetworkError, PolicyError, StreamKind, Subnet,
};
pub use control::{Call, CallKind, Kill, Pass, PassSide, Wait};
pub use dns::{Dns, DnsAnswer};
pub use event::{Clock, Event, Tick};
pub use exec::{Container, Credentials, EarlierSpan, Environment, Exec, Runtime};
pub use exit::Exit;
pub use fork::Fork;
pub use identity::{Doer, ExecNumber, KernelNanos, ProcessKey, SessionNumber, Tgid, Tid, WallNanos};
pub use loss::{Loss, LossKind};
pub use open::{
    Address, Close, FileId, FileKind, Inet, Object, Open, OpenHow, OpenId, Protocol, RegularFile, UnixKind, UnixSocket,
};
pub use overhead::{Overhead, ProgramTime};
pub use wire::{DecodeError, decode};

//! One session from its request to its last span.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use agentsight_ebpf::live::{BtfSource, LiveError, Options, Probes, keep_statistics};
use agentsight_ebpf::{Tgid, WallNanos};

use super::begin::{self, RandomError};
use super::deliver::{Delivery, DeliveryError};
use super::drain::Drain;
use super::lifetime::Lifetime;
use super::privileges::{self, PrivilegesError};
use super::recorder::Recorder;
use super::shelf::Shelf;
use super::stub::{self, Stub};
use super::summary::{self, Seen};
use super::work::Work;
use crate::capture::redact::{Redactor, RulesError};
use crate::channel::{OutputFile, Request, ToStub};
use crate::ownership::Ownership;
use crate::pipeline::Pipeline;
use crate::recording::WriteError;
use crate::store::{Limits, Store, StoreError};
use crate::telemetry::{Account, ExporterError};

/// Where the store is, unless root's environment says otherwise.
const STORE_DIR: &str = "/var/lib/agentsight";
/// Root's own variable for it; `run` does not pass the caller's on.
const STORE_VARIABLE: &str = "AGENTSIGHT_STORE";

/// What the store may hold; the oldest go first.
const STORE_LIMITS: Limits = Limits { bytes: 1 << 30, age: Duration::from_secs(30 * 86_400) };
/// Events between the drain and the pipeline. When it is full the drain waits and the ring fills, which counts its losses.
const INPUTS_MAX: usize = 65_536;
/// How long the stub is kept for the delivery of the last spans; it waits 2 s in all.
const DELIVERY_WHILE_WAITED_FOR: Duration = Duration::from_millis(1_500);
/// How long the collector goes on delivering after that, by itself; the next one takes over what is left.
const DELIVERY_AFTERWARDS: Duration = Duration::from_secs(30);
/// For the last metrics and traces of AgentSight's own.
const TELEMETRY_LAST_WORDS: Duration = Duration::from_secs(1);
/// A stub that was stopped does not read what it is told.
const STUB_IS_DEAF_AFTER: Duration = Duration::from_secs(2);
/// The session's number in the programs: a collector of `run` has one session.
const SESSION: u32 = 1;

/// Tracing could not start; the stub shows it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("the stub {claimed} asked for {named} to be traced")]
    Stranger { claimed: u32, named: u32 },
    #[error(
        "agentsight runs in a pid namespace of its own and would not recognise the processes that the kernel names\n\
         Start the container with the host's pid namespace (docker run --pid=host)"
    )]
    PidNamespace,
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Recording(#[from] WriteError),
    #[error(transparent)]
    Telemetry(#[from] ExporterError),
    #[error("a thread of the collector could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

pub(super) fn serve(
    stub_id: u32,
    request: &Request,
    hears: std::os::unix::net::UnixStream,
    speaks: &std::os::unix::net::UnixStream,
) -> Result<(), ServeError> {
    if request.launcher != stub_id {
        return Err(ServeError::Stranger { claimed: stub_id, named: request.launcher });
    }
    check_pid_namespace()?;
    let dir = std::env::var_os(STORE_VARIABLE).map_or_else(|| PathBuf::from(STORE_DIR), PathBuf::from);
    let session = begin::begin_session(request)?;
    let redactor = Redactor::new()?;
    // The kernel's account of run times is switched on only while somebody holds this.
    let statistics = keep_statistics();
    let mut probes = Probes::attach(&options(request))?;
    probes.trace_next_child(Tgid(request.launcher), SESSION)?;
    let tree = probes.take_tree()?;
    privileges::drop_privileges()?;

    let mut store = Store::open(&dir)?;
    let clock = probes.clock();
    // Held until the end: while it is, no other collector takes this session for a dead one's.
    let _alive = store.begin_session(&session, clock.read_both().wall)?;
    let account = Account::default();
    let delivery = Delivery::start(&mut store, &dir, session.id, &request.destination, &account)?;
    let telemetry = delivery.start_telemetry(request, session.id, &account)?;
    let own_trace = tracing::info_span!("collector").entered();
    let _ownership = Ownership::answer(session.id, move |process| tree.contains(process))?;
    let (to, inputs) = mpsc::sync_channel(INPUTS_MAX);
    let drain = Drain::start(probes, to.clone(), account.clone())?;
    stub::hear(hears, to, drain.waker().try_clone()?)?;
    let stub = Stub::speak_over(speaks.try_clone()?)?;
    let recorder = match request.outputs.contains(&OutputFile::Recording) {
        true => Some(Recorder::begin(&stub, &session)?),
        false => None,
    };
    let mut work = Work {
        session: &session,
        clock,
        stub: &stub,
        shelf: Shelf::new(store, session.id, delivery.wakers(), account.clone()),
        account,
        redactor,
        recorder,
        writes_spans: request.outputs.contains(&OutputFile::Spans),
        keeps_spans: request.tree.is_some(),
        lifetime: Lifetime::new(request.linger),
        pipeline: Pipeline::new(&session),
        shown: Vec::new(),
        hidden: 0,
        lost: 0,
        started: false,
    };
    stub.say(ToStub::Attached);
    tracing::info_span!("trace").in_scope(|| work.run(&inputs));
    let drained = tracing::info_span!("drain").in_scope(|| drain.stop(|| work.take_waiting(&inputs)));
    tracing::info_span!("finish").in_scope(|| work.finish(&inputs));
    drop(statistics);

    let seen = Seen::of(&mut work, drained.as_ref());
    let mut shelf = work.shelf;
    shelf.retry();
    shelf.store().end_session(session.id, clock.read_both().wall)?;
    let delivered = tracing::info_span!("deliver").in_scope(|| delivery.drain(DELIVERY_WHILE_WAITED_FOR));
    for message in shelf.complaint().into_iter().chain(delivered.complaints()) {
        stub.say(ToStub::Notice { message });
    }
    if let Some(style) = request.tree {
        stub.say(ToStub::Summary { text: summary::draw(&seen, &delivered, style) });
    }
    stub.say(ToStub::Finished);
    stub.close(STUB_IS_DEAF_AFTER);
    // Detaches the programs: nobody waits for it any more.
    drop(drained);
    prune(shelf.store(), clock.read_both().wall);
    drop(own_trace);
    telemetry.end(TELEMETRY_LAST_WORDS);
    if seen.started && !delivered.complete() {
        delivery.drain(DELIVERY_AFTERWARDS);
    }
    delivery.end();
    Ok(())
}

/// Keeps the disk bounded. What is discarded before it was sent is counted with its destination, and said.
fn prune(store: &mut Store, now: WallNanos) {
    match store.prune(STORE_LIMITS, now) {
        Ok(pruned) if pruned.unsent > 0 => {
            tracing::warn!(pruned.rows, pruned.unsent, "old spans were discarded before they could be sent");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the store could not be pruned"),
    }
}

fn options(request: &Request) -> Options {
    let defaults = Options::default();
    Options {
        ring_bytes: request.ring_bytes.unwrap_or(defaults.ring_bytes),
        btf: request.btf.as_ref().map(|file| BtfSource { path: file.path.clone(), bytes: file.bytes.clone() }),
        verifier_log: std::env::var("AGENTSIGHT_LOG").is_ok_and(|level| level.contains("debug")),
    }
}

/// The programs name processes by their ids in the initial pid namespace, whose inode number is fixed
/// (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
fn check_pid_namespace() -> Result<(), ServeError> {
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(link) if link.as_os_str() != "pid:[4026531836]" => Err(ServeError::PidNamespace),
        _ => Ok(()),
    }
}

//! One session from its request to its last span.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentsight_ebpf::live::{self, BtfSource, CaptureRoom, Carrier, LiveError, Options, Probes, Statistics, Tree};
use agentsight_ebpf::{SessionNumber, Tgid, WallNanos};

use super::begin::{self, RandomError};
use super::deliver::{Delivery, DeliveryError, Heir};
use super::drain::{Drain, Reads};
use super::heap;
use super::hosts;
use super::lifetime::{Lifetime, Scope};
use super::privileges::{self, PrivilegesError, Still};
use super::queue::{Inlet, queue};
use super::sessions::{Input, Sessions, Workshop};
use super::shelf::Shelf;
use super::stub::{self, Stub};
use super::summary::{self, Seen};
use super::target;
use super::work::Work;
use crate::capture::container::Containers;
use crate::capture::redact::{Redactor, RulesError};
use crate::channel::{OutputFile, Request, Target, ToStub};
use crate::otlp::settings::Settings;
use crate::ownership::{Owner, Ownership};
use crate::recording::WriteError;
use crate::session::{SessionId, UserId};
use crate::store::{self, CONTENT_LIMITS, Limits, Store, StoreError};
use crate::telemetry::{Account, ExporterError};

/// What the store may hold; the oldest go first.
const STORE_LIMITS: Limits = Limits { bytes: 1 << 30, age: Duration::from_secs(30 * 86_400) };
/// Events between the drain and the pipeline. When it is full the drain waits and the ring fills, which counts its losses.
pub(crate) const INPUTS_MAX: usize = 65_536;
/// How long the stub is kept for the delivery of the last spans; it waits 2 s in all.
pub(crate) const DELIVERY_WHILE_WAITED_FOR: Duration = Duration::from_millis(1_500);
/// How long the collector goes on delivering after that, by itself; the next one takes over what is left.
pub(crate) const DELIVERY_AFTERWARDS: Duration = Duration::from_secs(30);
/// For the last metrics and traces of AgentSight's own.
pub(crate) const TELEMETRY_LAST_WORDS: Duration = Duration::from_secs(1);
/// A stub that was stopped does not read what it is told.
pub(crate) const STUB_IS_DEAF_AFTER: Duration = Duration::from_secs(2);

/// The kernel's process ids are not ours.
#[derive(Debug, thiserror::Error)]
#[error(
    "agentsight runs in a pid namespace of its own and would not recognise the processes that the kernel names\n\
     Start the container with the host's pid namespace (docker run --pid=host)"
)]
pub struct PidNamespaceError;

/// Tracing could not start; the stub shows it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("the stub {claimed} asked for {named} to be traced")]
    Stranger { claimed: u32, named: u32 },
    #[error(transparent)]
    PidNamespace(#[from] PidNamespaceError),
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
    (stub_id, asked_by): (u32, UserId),
    request: &Request,
    hears: std::os::unix::net::UnixStream,
    speaks: &std::os::unix::net::UnixStream,
) -> Result<(), ServeError> {
    if request.stub != stub_id {
        return Err(ServeError::Stranger { claimed: stub_id, named: request.stub });
    }
    check_pid_namespace()?;
    let dir = store::chosen_dir();
    let session = begin::begin_session(&request.context, &request.options)?;
    let id = session.id;
    let redactor = Redactor::new()?;
    // A process of its own: it must not hold the programs, nor the store's locks.
    let statistics = Statistics::start();
    let mut probes = Probes::attach(&options(request)?)?;
    let tree = Arc::new(probes.take_tree()?);
    let mut ring = probes.take_ring()?;
    let harvest = probes.take_harvest()?;
    probes.attach_syscalls()?;
    if !request.capture.is_empty() {
        probes.capture(SessionNumber::FIRST, &request.capture)?;
    }
    let prelude = target::trace(request, &mut probes, &mut ring, &tree)?;
    privileges::drop_privileges(Still::Draining)?;
    heap::give_back();
    for (name, addresses) in hosts::resolve(&request.capture) {
        for address in addresses {
            probes.capture_at(SessionNumber::FIRST, &name, address)?;
        }
    }

    let mut store = Store::open_for_ingest(&dir)?;
    let clock = probes.clock();
    let owner = begin::owner(request.target, UserId(request.uid), asked_by);
    // Held until the end: while it is, no other collector takes this session for a dead one's.
    let _alive = store.begin_session(&session, owner, clock.read_both().wall)?;
    let account = Account::default();
    let mut delivery = Delivery::start(&dir)?;
    let couriers = delivery.send_for(&mut store, id, &request.destination, &account)?;
    delivery.inherit(&mut store, Heir::Run);
    let nowhere = Settings::default();
    let settings = if request.self_telemetry { &request.destination } else { &nowhere };
    let telemetry = delivery.start_telemetry(settings, Some(id), &account)?;
    let own_trace = tracing::info_span!("collector").entered();
    let (to, inputs) = queue(INPUTS_MAX);
    let _ownership = listen(ThisSession { id, tree: Arc::clone(&tree), to: to.clone() });
    let reads = Reads { probes: Arc::new(Mutex::new(probes)), ring, harvest, statistics };
    let drain = Drain::start(reads, prelude, to.clone(), account.clone())?;
    drain.count_for(SessionNumber::FIRST);
    stub::hear(hears, SessionNumber::FIRST, to, drain.waker().try_clone()?)?;
    let stub = Arc::new(Stub::speak_over(speaks.try_clone()?)?);
    let shelf = Shelf::new(id, couriers.wakers(), account.clone());
    let mut work = Work::new(session, request.target, Lifetime::new(scope(request.target), request.linger), shelf);
    if request.outputs.contains(&OutputFile::Recording) {
        work.record_to(Arc::clone(&stub))?;
    }
    work.speak_to(Arc::clone(&stub), &request.outputs, request.summary.is_some());
    let containers = Containers::default();
    let mut sessions = Sessions::new(Workshop { tree, clock, store, account, containers, redactor });
    sessions.add(SessionNumber::FIRST, work);
    stub.say(ToStub::Attached);
    tracing::info_span!("trace").in_scope(|| sessions.run(&inputs));
    let drained = tracing::info_span!("drain").in_scope(|| {
        drain.stop(|| {
            sessions.take(inputs.try_iter());
        })
    });
    let finished = tracing::info_span!("finish").in_scope(|| {
        sessions.take(inputs.try_iter());
        sessions.finish(SessionNumber::FIRST)
    });
    // Nobody else takes it out.
    let Some(mut work) = finished else { return Ok(()) };

    let cost = drained.as_ref().map(|drained| drained.cost).unwrap_or_default();
    let seen = Seen::of(&mut work, Some(cost));
    let complaint = work.shelf.complaint();
    drop(work);
    let store = &mut sessions.shop.store;
    let ended = store.end_session(id, clock.read_both().wall);
    if let Err(error) = &ended {
        // On a full disk, say. The next collector ends it, as it would after our death.
        tracing::warn!(%error, "the session is left open");
    }
    let delivered = tracing::info_span!("deliver").in_scope(|| delivery.drain(&couriers, DELIVERY_WHILE_WAITED_FOR));
    for message in seen.complaint().into_iter().chain(complaint).chain(delivered.complaints()) {
        stub.say(ToStub::Notice { message });
    }
    if let Some(format) = request.summary {
        stub.say(ToStub::Summary { text: summary::text(&seen, &delivered, format) });
    }
    stub.say(ToStub::Finished);
    if let Some(stub) = Arc::into_inner(stub) {
        stub.close(STUB_IS_DEAF_AFTER);
    }
    // Detaches the programs: nobody waits for it any more.
    drop(drained);
    prune(store, CONTENT_LIMITS, clock.read_both().wall);
    drop(own_trace);
    telemetry.end(TELEMETRY_LAST_WORDS);
    if seen.started && !delivered.complete() {
        delivery.drain(&couriers, DELIVERY_AFTERWARDS);
    }
    drop(couriers);
    delivery.end();
    Ok(())
}

/// Keeps the disk bounded. What is discarded before it was sent is counted with its destination, and said.
pub(crate) fn prune(store: &mut Store, contents: Limits, now: WallNanos) {
    if let Err(error) = store.prune_contents(contents, now) {
        tracing::warn!(%error, "old contents could not be discarded");
    }
    match store.prune(STORE_LIMITS, now) {
        Ok(pruned) if pruned.unsent > 0 => {
            tracing::warn!(pruned.rows, pruned.unsent, "old spans were discarded before they could be sent");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the store could not be pruned"),
    }
}

/// A session that nobody can ask is traced all the same; a nested run would trace it twice.
pub(crate) fn listen(owner: impl Owner) -> Option<Ownership> {
    Ownership::answer(owner)
        .inspect_err(|error| tracing::warn!(%error, "nested runs cannot find out about this session"))
        .ok()
}

/// What others may know and want of this session.
struct ThisSession {
    id: SessionId,
    tree: Arc<Tree>,
    to: Inlet<Input>,
}

impl Owner for ThisSession {
    fn owner_of(&self, process: Tgid) -> Option<SessionId> {
        self.tree.contains(process).then_some(self.id)
    }

    fn end_of(&self, _process: Tgid) {
        // A session that has ended by itself needs no telling.
        let _ = self.to.send(Input::End(SessionNumber::FIRST));
    }
}

fn scope(target: Target) -> Scope {
    match target {
        Target::NextChild => Scope::Command,
        Target::Running(_) => Scope::RunningTree,
    }
}

pub(crate) fn wants_verifier_log() -> bool {
    std::env::var("AGENTSIGHT_LOG").is_ok_and(|level| level.contains("debug"))
}

fn options(request: &Request) -> Result<Options, LiveError> {
    let defaults = Options::default();
    let capture = match request.capture.is_empty() {
        true => None,
        false => {
            let room = CaptureRoom::of(&request.capture)?;
            Some(CaptureRoom { ring_bytes: request.content_ring_bytes.unwrap_or(room.ring_bytes), ..room })
        }
    };
    Ok(Options {
        carrier: request.perf_buffer.then_some(Carrier::PerfBuffers),
        ring_bytes: request.ring_bytes.unwrap_or(defaults.ring_bytes),
        data_ring_bytes: request.data_ring_bytes.unwrap_or(defaults.data_ring_bytes),
        btf: request.btf.as_ref().map(|file| BtfSource { path: file.path.clone(), bytes: file.bytes.clone() }),
        adopts: matches!(request.target, Target::Running(_)),
        watches: false,
        sessions: live::Sessions::One,
        capture,
        object: None,
        verifier_log: wants_verifier_log(),
    })
}

/// The programs name processes by their ids in the initial pid namespace, whose inode number is fixed
/// (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
pub(crate) fn check_pid_namespace() -> Result<(), PidNamespaceError> {
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(link) if link.as_os_str() != "pid:[4026531836]" => Err(PidNamespaceError),
        _ => Ok(()),
    }
}

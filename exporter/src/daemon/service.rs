//! The daemon's loop, and what it has at hand.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agentsight_ebpf::live::{self, BtfSource, CaptureRoom, LiveError, Options, Probes, Statistics, Tree, look_at};
use agentsight_ebpf::{Event, Exec, SessionNumber, Tgid};
use nix::sys::signal::SigSet;

use super::desk::Desk;
use super::notify::Notifier;
use super::settle::{Capturing, Overrides, Settled};
use super::socket::Door;
use super::{rules, settle, signals};
use crate::capture::container::Containers;
use crate::capture::redact::{Redactor, RulesError};
use crate::collector::deliver::{Delivery, DeliveryError, Heir};
use crate::collector::drain::{Drain, Reads, SharedProbes, lock};
use crate::collector::heap;
use crate::collector::hosts;
use crate::collector::privileges::{self, PrivilegesError, Still};
use crate::collector::queue::{Arrivals, Inlet, queue};
use crate::collector::serve::{self, INPUTS_MAX};
use crate::collector::sessions::{BATCH, IDLE, Input, Sessions, Workshop};
use crate::otlp::settings::Settings;
use crate::ownership::{Owner, Ownership};
use crate::session::SessionId;
use crate::store::{self, CONTENT_LIMITS, Store, StoreError};
use crate::telemetry::{Account, ExporterError, Telemetry};

use super::beginning::Standing;

/// Looking after the dead, and saying how we are.
const SOON: Duration = Duration::from_secs(1);
/// Looking after the store and what others left behind.
const LATER: Duration = Duration::from_secs(60);

/// The service could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The process ids of the kernel would not be ours.
    #[error(transparent)]
    PidNamespace(#[from] serve::PidNamespaceError),
    /// `btf` cannot be read.
    #[error("{path} cannot be read: {reason}\nbtf wants a file of kernel type information")]
    Btf {
        /// As given.
        path: std::path::PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The programs.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Capabilities.
    #[error("{0}")]
    Privileges(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rules of redaction.
    #[error(transparent)]
    Redaction(#[from] RulesError),
    /// The senders.
    #[error("{0}")]
    Delivery(String),
    /// AgentSight's own telemetry.
    #[error(transparent)]
    Telemetry(#[from] ExporterError),
    /// The socket.
    #[error("the socket {path} could not be opened: {reason}")]
    Door {
        /// As configured.
        path: std::path::PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A thread.
    #[error("a thread of the daemon could not be started: {0}")]
    Thread(#[source] io::Error),
    /// The ring cannot be read any more.
    #[error("the kernel's events cannot be read any more: {0}")]
    Ring(String),
}

impl From<PrivilegesError> for ServiceError {
    fn from(error: PrivilegesError) -> Self {
        Self::Privileges(error.to_string())
    }
}

impl From<DeliveryError> for ServiceError {
    fn from(error: DeliveryError) -> Self {
        Self::Delivery(error.to_string())
    }
}

/// The sessions' ids by their numbers, for whoever asks who traces them.
pub(super) type Ids = Arc<Mutex<HashMap<SessionNumber, SessionId>>>;

/// Everything that the daemon has while it serves.
pub(crate) struct Service {
    pub(super) sessions: Sessions,
    /// What a session has besides its work.
    pub(super) standing: BTreeMap<SessionNumber, Standing>,
    pub(super) ids: Ids,
    pub(super) probes: SharedProbes,
    pub(super) drain: Drain,
    pub(super) delivery: Delivery,
    pub(super) settled: Settled,
    /// What the programs were loaded with.
    capture_room: Option<CaptureRoom>,
    pub(super) to: Inlet<Input>,
    pub(super) last_number: SessionNumber,
    pub(super) telemetry: Telemetry,
    door: Option<Door>,
    _ownership: Option<Ownership>,
    /// An exec may have been missed: everybody is looked at again.
    looks_again: bool,
    soon: Instant,
    later: Instant,
}

impl Service {
    /// Attaches the programs and opens the store; nothing is traced yet.
    pub(crate) fn start(mut settled: Settled) -> Result<(Self, Arrivals<Input>), ServiceError> {
        serve::check_pid_namespace()?;
        let redactor = Redactor::new()?;
        let statistics = Statistics::start();
        let mut probes = Probes::attach(&options(&settled)?)?;
        let tree = Arc::new(probes.take_tree()?);
        let ring = probes.take_ring()?;
        let harvest = probes.take_harvest()?;
        privileges::drop_privileges(Still::Adopting)?;
        heap::give_back();
        settled.capture.iter_mut().for_each(know_addresses);
        let capture_room = settled.capture.as_ref().map(|capturing| capturing.room);

        let dir = store::chosen_dir();
        let store = Store::open_for_ingest(&dir)?;
        let clock = probes.clock();
        let account = Account::default();
        let delivery = Delivery::start(&dir)?;
        let nowhere = Settings::default();
        let own = if settled.self_telemetry { &settled.destination } else { &nowhere };
        let telemetry = delivery.start_telemetry(own, None, &account)?;
        let (to, inputs) = queue(INPUTS_MAX);
        let ids = Ids::default();
        let ownership = serve::listen(Everyone { ids: Arc::clone(&ids), tree: Arc::clone(&tree), to: to.clone() });
        let probes = Arc::new(Mutex::new(probes));
        let reads = Reads { probes: Arc::clone(&probes), ring, harvest, statistics };
        let drain = Drain::start(reads, Vec::new(), to.clone(), account.clone())?;
        drain.count_for(SessionNumber::NOBODY);
        let containers = Containers::default();
        let service = Self {
            sessions: Sessions::new(Workshop { tree, clock, store, account, containers, redactor }),
            standing: BTreeMap::new(),
            ids,
            probes,
            drain,
            delivery,
            settled,
            capture_room,
            to,
            last_number: SessionNumber::NOBODY,
            telemetry,
            door: None,
            _ownership: ownership,
            looks_again: false,
            soon: Instant::now(),
            later: Instant::now(),
        };
        Ok((service, inputs))
    }

    /// Takes over what a dead daemon left, applies the rules, and opens the door.
    pub(crate) fn open_up(&mut self, held: SigSet) -> Result<(), ServiceError> {
        self.succeed_the_dead();
        self.delivery.inherit(&mut self.sessions.shop.store, Heir::Daemon);
        self.apply_rules()?;
        let path = self.settled.socket.clone();
        let desk = Desk::new(self.sessions.shop.store.dir().to_owned());
        let door = Door::open(&path, self.to.clone(), desk).map_err(|reason| ServiceError::Door { path, reason })?;
        self.door = Some(door);
        signals::hear(held, self.to.clone()).map_err(ServiceError::Thread)
    }

    /// Until a signal says that it is enough.
    pub(crate) fn work(
        &mut self,
        inputs: &Arrivals<Input>,
        overrides: &Overrides,
        notifier: &mut Notifier,
    ) -> Result<(), ServiceError> {
        notifier.ready(&self.status());
        loop {
            let left = match inputs.recv_timeout(IDLE) {
                Ok(first) => self.sessions.take(std::iter::once(first).chain(inputs.try_iter().take(BATCH))),
                Err(RecvTimeoutError::Timeout) => {
                    self.sessions.deliver();
                    Vec::new()
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ServiceError::Ring("its thread ended".to_owned())),
            };
            for input in left {
                // What takes long must not keep from the store what has come.
                if matches!(input, Input::Reload | Input::Call(_)) {
                    self.sessions.deliver();
                }
                match input {
                    Input::Stop => return Ok(()),
                    Input::Reload => self.reload(overrides, notifier),
                    Input::Failed(reason) => return Err(ServiceError::Ring(reason)),
                    other => self.heed(other),
                }
            }
            self.close_what_is_over();
            self.keep_house(notifier);
            notifier.show_life();
        }
    }

    fn heed(&mut self, input: Input) {
        match input {
            Input::Call(caller) => self.answer(caller),
            Input::Drained(mark) => self.reach(mark),
            Input::EndOf(process) => {
                if let Some(number) = self.sessions.shop.tree.session_of(process) {
                    self.sessions.take(std::iter::once(Input::End(number)));
                }
            }
            Input::Event(SessionNumber::NOBODY, Event::Exec(exec)) => self.consider(exec),
            Input::Event(SessionNumber::NOBODY, Event::Loss(_)) => self.looks_again = true,
            // Forked in the very moment in which its session let it go.
            Input::Event(number, Event::Fork(fork)) => self.let_go(fork.process.tgid, number),
            Input::Event(number, Event::Exec(exec) | Event::Snapshot(exec)) => self.let_go(exec.process.tgid, number),
            _ => {}
        }
    }

    fn let_go(&self, process: Tgid, number: SessionNumber) {
        self.sessions.shop.tree.release(process, number);
    }

    /// A process that nobody traces runs something: perhaps a rule wants it.
    fn consider(&mut self, exec: Box<Exec>) {
        let process = exec.process.tgid;
        if self.sessions.shop.tree.contains(process) {
            return;
        }
        let mut event = Event::Exec(exec);
        self.sessions.shop.containers.place(&mut event);
        let Event::Exec(exec) = event else { return };
        if let Some(rule) = rules::find_rule(&self.settled.rules, &exec).cloned() {
            self.sessions.deliver();
            self.begin_by_rule(&rule, process);
        }
    }

    /// From here on the rules hold, for those who run already too.
    fn apply_rules(&mut self) -> Result<(), LiveError> {
        // First the execs to come, then those that were: whoever execs in between is seen twice and taken once.
        let has_rules = !self.settled.rules.is_empty();
        lock(&self.probes).watch_execs(has_rules)?;
        self.drain.be_prompt(has_rules);
        self.look_at_everybody();
        Ok(())
    }

    /// The eldest first: whoever is taken brings its descendants along.
    fn look_at_everybody(&mut self) {
        self.looks_again = false;
        if self.settled.rules.is_empty() {
            return;
        }
        self.sessions.deliver();
        let own = Tgid(std::process::id());
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Tgid));
        let mut running: Vec<Exec> = ids.filter(|process| *process != own).filter_map(look_at).collect();
        running.sort_by_key(|found| found.process.start);
        for found in running {
            self.consider(Box::new(found));
        }
    }

    fn reload(&mut self, overrides: &Overrides, notifier: &Notifier) {
        notifier.reloading();
        let outcome =
            settle::settle(overrides, &self.settled.socket).map_err(|error| error.to_string()).and_then(|new| {
                let old = &self.settled;
                if (&new.socket, new.ring_bytes, &new.btf, new.self_telemetry)
                    != (&old.socket, old.ring_bytes, &old.btf, old.self_telemetry)
                {
                    tracing::warn!(
                        "socket, ring_bytes, btf and self_telemetry take effect when the daemon is started again"
                    );
                }
                let room = new.capture.as_ref().map(|capturing| capturing.room);
                if room.is_some() && room != self.capture_room {
                    tracing::warn!("a new `capture:`, and its ring_bytes and bytes_per_minute, take effect likewise");
                }
                let mut capture = new.capture.filter(|_| self.capture_room.is_some());
                capture.iter_mut().for_each(know_addresses);
                let kept = self.settled.clone();
                self.settled = Settled {
                    socket: kept.socket,
                    ring_bytes: kept.ring_bytes,
                    btf: kept.btf,
                    self_telemetry: kept.self_telemetry,
                    capture,
                    ..new
                };
                self.apply_rules().map_err(|error| error.to_string())
            });
        match outcome {
            Ok(()) => notifier.ready(&self.status()),
            Err(error) => {
                tracing::error!("the new configuration is refused, the old one stays: {error}");
                notifier.ready(&format!("the new configuration is refused, the old one stays: {error}"));
            }
        }
    }

    fn keep_house(&mut self, notifier: &Notifier) {
        if self.soon.elapsed() >= SOON {
            self.soon = Instant::now();
            self.sessions.forget_the_dead();
            if self.looks_again {
                self.look_at_everybody();
            }
        }
        if self.later.elapsed() >= LATER {
            self.later = Instant::now();
            let wall = self.sessions.shop.clock.read_both().wall;
            self.delivery.inherit(&mut self.sessions.shop.store, Heir::Daemon);
            let keep = self.settled.capture.as_ref().map_or(CONTENT_LIMITS, |capturing| capturing.keep);
            serve::prune(&mut self.sessions.shop.store, keep, wall);
            notifier.status(&self.status());
        }
    }

    fn status(&self) -> String {
        format!("{} rules, {} sessions", self.settled.rules.len(), self.standing.len())
    }

    /// Nobody new is taken in.
    pub(super) fn close_the_door(&mut self) {
        self.door = None;
        if let Err(error) = lock(&self.probes).watch_execs(false) {
            tracing::warn!(%error, "execs are still watched");
        }
    }
}

/// The names of hosts among what is allowed.
fn know_addresses(capturing: &mut Capturing) {
    capturing.allowed.addresses = hosts::resolve(&capturing.allowed);
}

fn options(settled: &Settled) -> Result<Options, ServiceError> {
    let defaults = Options::default();
    let btf = match &settled.btf {
        None => None,
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|reason| ServiceError::Btf { path: path.clone(), reason })?;
            Some(BtfSource { path: path.clone(), bytes })
        }
    };
    Ok(Options {
        carrier: None,
        ring_bytes: settled.ring_bytes.unwrap_or(defaults.ring_bytes),
        data_ring_bytes: defaults.data_ring_bytes,
        btf,
        adopts: true,
        watches: true,
        sessions: live::Sessions::Many,
        capture: settled.capture.as_ref().map(|capturing| capturing.room),
        object: None,
        verifier_log: serve::wants_verifier_log(),
    })
}

/// What others may know and want of the daemon's sessions.
struct Everyone {
    ids: Ids,
    tree: Arc<Tree>,
    to: Inlet<Input>,
}

impl Owner for Everyone {
    fn owner_of(&self, process: Tgid) -> Option<SessionId> {
        let number = self.tree.session_of(process)?;
        lock(&self.ids).get(&number).copied()
    }

    fn end_of(&self, process: Tgid) {
        // A session that has ended by itself needs no telling.
        let _ = self.to.send(Input::EndOf(process));
    }
}

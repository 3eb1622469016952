//! The sessions of one collector: what comes from the kernel and from stubs is given to whom it belongs.
//!
//! `run` and `attach` have one session, the daemon has many. Knows nothing of how a session begins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use agentsight_ebpf::live::{KernelClock, Tree};
use agentsight_ebpf::{EarlierSpan, Event, ProcessKey, SessionNumber, Tgid};

use super::drain::Mark;
use super::queue::Arrivals;
use super::work::Work;
use crate::capture::container::Containers;
use crate::capture::redact::Redactor;
use crate::channel::ToStub;
use crate::daemon::socket::Caller;
use crate::store::Store;
use crate::telemetry::Account;

/// What the loop takes in, in order of arrival.
#[derive(Debug)]
pub(crate) enum Input {
    /// From the kernel, of one session.
    Event(SessionNumber, Event),
    /// The passing of time, and losses that nobody can say whose they are.
    Everyone(Event),
    /// The stub reaped the command, or its user has seen enough.
    End(SessionNumber),
    /// The stub is gone; the command may live on.
    StubGone(SessionNumber),
    /// All that was emitted before this mark was asked for has come before this.
    Drained(Mark),
    /// The ring cannot be read any more.
    Failed(String),
    /// Somebody wants something traced: the daemon's alone, as all that follows.
    Call(Caller),
    /// End the session that traces this process.
    EndOf(Tgid),
    /// Read the configuration again.
    Reload,
    /// Be done.
    Stop,
}

/// No more inputs share one transaction of the store.
pub(crate) const BATCH: usize = 4096;
/// What comes in this time after a delivery is stored together: each page of the store's indexes is written once for all
/// of it, and what began and ended within it needs no draft. What comes after a longer rest is stored at once.
const DELIVERY: Duration = Duration::from_millis(200);
/// How long the loop sleeps when nothing comes.
pub(crate) const IDLE: Duration = Duration::from_millis(100);

/// What the sessions of one collector share.
pub(crate) struct Workshop {
    pub(crate) tree: Arc<Tree>,
    pub(crate) clock: KernelClock,
    pub(crate) store: Store,
    pub(crate) account: Account,
    pub(crate) containers: Containers,
    pub(crate) redactor: Redactor,
}

/// The sessions that run, by their numbers.
pub(crate) struct Sessions {
    pub(crate) shop: Workshop,
    works: BTreeMap<SessionNumber, Work>,
    /// Inputs since the last delivery.
    undelivered: usize,
    delivered_at: Option<Instant>,
}

impl Sessions {
    pub(crate) fn new(shop: Workshop) -> Self {
        Self { shop, works: BTreeMap::new(), undelivered: 0, delivered_at: None }
    }

    /// From here on the session gets what is its own.
    pub(crate) fn add(&mut self, number: SessionNumber, work: Work) {
        self.works.insert(number, work);
    }

    /// Until one of the sessions is over, or the ring has failed: the whole life of a collector that has one.
    pub(super) fn run(&mut self, inputs: &Arrivals<Input>) {
        loop {
            match inputs.recv_timeout(IDLE) {
                Ok(first) => {
                    let rest = inputs.try_iter().take(BATCH);
                    for left in self.take(std::iter::once(first).chain(rest)) {
                        if let Input::Failed(reason) = left {
                            self.say_to_all(&format!("tracing stopped early: {reason}"));
                            return;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.deliver();
                    self.forget_the_dead();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.over().is_empty() {
                return;
            }
        }
    }

    /// Gives each its own, and delivers where that is due; returns what is no running session's.
    pub(crate) fn take(&mut self, inputs: impl Iterator<Item = Input>) -> Vec<Input> {
        let Self { shop, works, undelivered, .. } = self;
        let mut left = Vec::new();
        for input in inputs {
            *undelivered += 1;
            match input {
                Input::Event(number, event) => match works.get_mut(&number) {
                    Some(work) => {
                        shop.account.count_event(&event);
                        work.take_event(event, shop);
                    }
                    None => left.push(Input::Event(number, event)),
                },
                Input::Everyone(event) => {
                    shop.account.count_event(&event);
                    for work in works.values_mut() {
                        work.take_event(event.clone(), shop);
                    }
                }
                Input::End(number) => {
                    works.get_mut(&number).into_iter().for_each(|work| work.end(shop));
                }
                Input::StubGone(number) => works.get_mut(&number).into_iter().for_each(Work::lose_stub),
                Input::Drained(_)
                | Input::Failed(_)
                | Input::Call(_)
                | Input::EndOf(_)
                | Input::Reload
                | Input::Stop => left.push(input),
            }
        }
        if self.undelivered >= BATCH || self.delivered_at.is_none_or(|at| at.elapsed() >= DELIVERY) {
            self.deliver();
        }
        left
    }

    /// Stores and hands on what has come together; to be called when nothing comes, too.
    pub(crate) fn deliver(&mut self) {
        if self.undelivered == 0 {
            return;
        }
        let mut delivered = false;
        for work in self.works.values_mut() {
            delivered |= work.deliver(&mut self.shop);
        }
        self.undelivered = 0;
        // What makes no signal, such as the fork before the first exec, begins no rest.
        if delivered {
            self.delivered_at = Some(Instant::now());
        }
    }

    /// The ring is drained far more often than this is called: whoever is not in the tree, and whose exit has not come
    /// by now, will not be heard of.
    pub(crate) fn forget_the_dead(&mut self) {
        for work in self.works.values_mut() {
            work.lifetime.forget_the_dead(|process| self.shop.tree.exec_number(process).is_some());
        }
    }

    /// Sessions that are over now, and not yet finished.
    pub(crate) fn over(&self) -> Vec<SessionNumber> {
        let now = self.shop.clock.now();
        let is_over = |work: &Work| work.abandoned || work.lifetime.is_over(now);
        self.works.iter().filter(|(_, work)| is_over(work)).map(|(number, _)| *number).collect()
    }

    /// Takes a session out, with the end of everything in it that still lives.
    pub(crate) fn finish(&mut self, number: SessionNumber) -> Option<Work> {
        let mut work = self.works.remove(&number)?;
        work.finish(&mut self.shop);
        work.shelf.retry(&mut self.shop.store);
        Some(work)
    }

    /// One that runs.
    pub(crate) fn get_mut(&mut self, number: SessionNumber) -> Option<&mut Work> {
        self.works.get_mut(&number)
    }

    /// The numbers of all that run.
    pub(crate) fn numbers(&self) -> Vec<SessionNumber> {
        self.works.keys().copied().collect()
    }

    /// What came while a running tree was adopted goes its way, those who were adopted first.
    pub(crate) fn let_go(&mut self, number: SessionNumber, earlier: &HashMap<ProcessKey, EarlierSpan>) {
        if let Some(work) = self.works.get_mut(&number) {
            work.let_go(&mut self.shop, earlier);
        }
    }

    /// Takes a session out as it is: what is open in it stays open in the store.
    pub(crate) fn pause(&mut self, number: SessionNumber) -> Option<Work> {
        let mut work = self.works.remove(&number)?;
        work.deliver(&mut self.shop);
        work.shelf.retry(&mut self.shop.store);
        work.recorder = None;
        Some(work)
    }

    fn say_to_all(&self, message: &str) {
        for work in self.works.values() {
            work.say(ToStub::Notice { message: message.to_owned() });
        }
    }
}

//! The one thread that drains the ring: events out, in order, with the passing of time and what was lost.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agentsight_ebpf::live::{Cost, Harvest, KernelClock, LiveError, Meter, Probes, Ring, Statistics, Woken};
use agentsight_ebpf::{
    DecodeError, Dns, Event, KernelNanos, Loss, LossKind, Overhead, ProcessKey, ProgramTime, SessionNumber, Tick,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::queue::Inlet;
use super::sessions::Input;
use crate::telemetry::Account;
use crate::usage::{ProcessorTime, resident_bytes};

/// Events of a busy tree are taken together: the ring holds far more than comes in this time, and what is stored together
/// is written once.
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// The same while execs of processes that nobody traces are looked at: one that a rule names is taken over when it is read.
const PROMPT_DELAY: Duration = Duration::from_millis(2);
/// Who brings so many in one batch may bring more in the next than the ring holds: then there is no delay.
const FLOOD: usize = 8192;
/// Ticks, and a look at the kernel's loss counters.
const TICK: Duration = Duration::from_secs(1);

/// The thread, and the means to wake, ask and stop it.
#[derive(Debug)]
pub(crate) struct Drain {
    waker: Waker,
    wishes: Arc<Wishes>,
    thread: JoinHandle<Drained>,
}

/// A moment in the stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

/// The programs, for the thread that reads their counters and the one that points them at processes.
pub(crate) type SharedProbes = Arc<Mutex<Probes>>;

/// What the thread reads from.
pub(crate) struct Reads {
    pub(crate) probes: SharedProbes,
    pub(crate) ring: Ring,
    pub(crate) harvest: Harvest,
    pub(crate) statistics: Option<Statistics>,
}

/// What the thread is asked to do.
#[derive(Debug, Default)]
struct Wishes {
    stop: AtomicBool,
    /// What comes is awaited by rules.
    prompt: AtomicBool,
    /// Marks that were asked for.
    marks: AtomicU64,
    /// Whose losses are reported.
    counted: Mutex<BTreeSet<SessionNumber>>,
    /// Sessions that end with the next mark.
    closing: Mutex<BTreeSet<SessionNumber>>,
}

/// What the thread hands back when it has stopped.
#[derive(Debug)]
pub(crate) struct Drained {
    /// The kernel's account of the programs, estimated from moments.
    pub(crate) cost: Cost,
    /// The programs, still attached: detaching takes time that nobody need wait for.
    _probes: SharedProbes,
}

/// Ends the thread's sleep.
#[derive(Debug)]
pub(crate) struct Waker(UnixStream);

impl Waker {
    pub(crate) fn wake(&self) {
        // A full socket means that the thread is being woken already.
        let _ = (&self.0).write(&[1]);
    }

    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Drain {
    /// `prelude` is what was drained before, of the only session: it comes first.
    pub(crate) fn start(
        reads: Reads,
        prelude: Vec<Event>,
        to: Inlet<Input>,
        account: Account,
    ) -> Result<Self, LiveError> {
        let (wake, woken) = UnixStream::pair().map_err(LiveError::Wait)?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(LiveError::Wait)?;
        }
        let wishes = Arc::new(Wishes::default());
        let wished = Arc::clone(&wishes);
        let Reads { probes, ring, harvest, statistics } = reads;
        let clock = lock(&probes).clock();
        let thread = thread::Builder::new()
            .name("drain".to_owned())
            .spawn(move || {
                let meter = Meter::start(statistics, clock.now());
                let outlet = Outlet {
                    probes,
                    harvest,
                    clock,
                    to,
                    wishes: wished,
                    roots: HashMap::new(),
                    meter,
                    prices: HashMap::new(),
                    undecodable: 0,
                };
                Worker { outlet, ring, woken, account, next_tick: KernelNanos(0), marked: Mark(0) }.work(prelude)
            })
            .map_err(LiveError::Wait)?;
        Ok(Self { waker: Waker(wake), wishes, thread })
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether rules wait for what comes: then it is read sooner.
    pub(crate) fn be_prompt(&self, prompt: bool) {
        self.wishes.prompt.store(prompt, Ordering::Release);
    }

    /// From here on the losses of a session are reported.
    pub(crate) fn count_for(&self, session: SessionNumber) {
        lock(&self.wishes.counted).insert(session);
    }

    /// The session is finished.
    pub(crate) fn forget(&self, session: SessionNumber) {
        lock(&self.wishes.counted).remove(&session);
    }

    /// Asks for a sign when all that has been emitted by now, and what was lost of it, has been handed over.
    pub(crate) fn mark(&self) -> Mark {
        let mark = Mark(self.wishes.marks.fetch_add(1, Ordering::AcqRel) + 1);
        self.waker.wake();
        mark
    }

    /// A session has let go of its processes: what its bursts came to is handed over before the mark.
    pub(crate) fn close(&self, session: SessionNumber) -> Mark {
        lock(&self.wishes.closing).insert(session);
        self.mark()
    }

    /// Drains what is left and ends the thread. `None` if it had failed.
    ///
    /// What is left may be more than the way to the pipeline holds, so `take` is called to empty it meanwhile.
    pub(crate) fn stop(self, mut take: impl FnMut()) -> Option<Drained> {
        self.wishes.stop.store(true, Ordering::Release);
        self.waker.wake();
        while !self.thread.is_finished() {
            take();
            thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().ok()
    }
}

struct Worker {
    outlet: Outlet,
    ring: Ring,
    woken: UnixStream,
    account: Account,
    next_tick: KernelNanos,
    /// The last mark that was given.
    marked: Mark,
}

impl Worker {
    fn work(mut self, prelude: Vec<Event>) -> Drained {
        self.outlet.send_to_all(Event::Clock(self.outlet.clock.read_both()));
        for event in prelude {
            self.outlet.take(Ok((SessionNumber::FIRST, event)));
        }
        loop {
            // Read before the drain: what was emitted before the stop is drained after it.
            let stopping = self.outlet.wishes.stop.load(Ordering::Acquire);
            let mark = Mark(self.outlet.wishes.marks.load(Ordering::Acquire));
            let outlet = &mut self.outlet;
            let drained = self.ring.drain(|record| outlet.take(record));
            let now = outlet.clock.now();
            outlet.meter.look(now, || lock(&outlet.probes).cost());
            if stopping || now >= self.next_tick {
                outlet.end_bursts(now, stopping);
                outlet.report_all_losses();
                outlet.report_all_overheads(now);
                // A short session may be over before the first measured moment is.
                let read = || lock(&outlet.probes).cost();
                let cost = if stopping { outlet.meter.total(now, read) } else { outlet.meter.so_far() };
                self.account.set_bpf_cost(nanos(cost.run_time), cost.run_count);
                // A trace that begins from here on takes its times from this reading.
                outlet.send_to_all(Event::Clock(outlet.clock.read_both()));
                outlet.send_to_all(Event::Tick(Tick { at: now }));
                self.next_tick = KernelNanos(now.0.saturating_add(TICK.as_nanos().try_into().unwrap_or(u64::MAX)));
            }
            if mark > self.marked {
                // One whose mark is still to come may be among them; it has let go of its processes all the same.
                let closing = std::mem::take(&mut *lock(&outlet.wishes.closing));
                outlet.end_bursts_of(&closing, now);
                outlet.report_all_losses();
                outlet.to.send(Input::Drained(mark)).unwrap_or_default();
                self.marked = mark;
            }
            if stopping {
                break;
            }
            if drained > 0 {
                if drained < FLOOD {
                    self.rest();
                }
                continue;
            }
            match self.ring.wait(self.woken.as_fd(), TICK) {
                Ok(Woken::Ring) => {}
                Ok(Woken::Other) => self.swallow_wake_ups(),
                Err(error) => {
                    self.outlet.to.send(Input::Failed(error.to_string())).unwrap_or_default();
                    break;
                }
            }
        }
        let Outlet { mut meter, probes, clock, .. } = self.outlet;
        let cost = meter.total(clock.now(), || lock(&probes).cost());
        Drained { cost, _probes: probes }
    }

    /// Until there is something to do that does not wait for more events to come.
    fn rest(&self) {
        let mut waker = [PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        let prompt = self.outlet.wishes.prompt.load(Ordering::Acquire);
        let delay = if prompt { PROMPT_DELAY } else { BATCH_DELAY };
        let limit = PollTimeout::try_from(delay).unwrap_or(PollTimeout::MAX);
        if poll(&mut waker, limit).is_ok_and(|ready| ready > 0) {
            self.swallow_wake_ups();
        }
    }

    fn swallow_wake_ups(&self) {
        let mut bytes = [0; 64];
        while std::io::Read::read(&mut (&self.woken), &mut bytes).is_ok_and(|read| read > 0) {}
    }
}

/// The way to the sessions, with what goes there besides the ring's records.
struct Outlet {
    probes: SharedProbes,
    harvest: Harvest,
    clock: KernelClock,
    to: Inlet<Input>,
    wishes: Arc<Wishes>,
    /// Of the sessions whose losses are reported.
    roots: HashMap<SessionNumber, ProcessKey>,
    meter: Meter,
    /// Of the same sessions.
    prices: HashMap<SessionNumber, Price>,
    /// Records that could not be decoded, and were not reported yet.
    undecodable: u64,
}

impl Outlet {
    fn take(&mut self, record: Result<(SessionNumber, Event), DecodeError>) {
        let (session, event) = match record {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "a record of the kernel could not be decoded");
                self.undecodable += 1;
                return;
            }
        };
        match &event {
            Event::Fork(fork) if fork.root => {
                self.roots.insert(session, fork.process);
                self.begin_price(session);
            }
            Event::Snapshot(running) => {
                self.roots.entry(session).or_insert(running.process);
                self.begin_price(session);
            }
            Event::Dns(dns) => self.learn_addresses(session, dns),
            // The root's span is sent at its end, and what was lost until then belongs on it.
            Event::Exit(exit) if self.roots.get(&session) == Some(&exit.process) => {
                self.report_losses(session);
                // A short session may be over before the first measured moment is.
                let now = self.clock.now();
                self.meter.total(now, || lock(&self.probes).cost());
                self.report_overhead(session, now);
            }
            _ => {}
        }
        if let Some(price) = self.prices.get_mut(&session) {
            price.events += 1;
        }
        let Self { harvest, to, .. } = self;
        harvest.hear(session, &event, |end| send(to, session, end));
        self.send(session, event);
    }

    /// What goes to a name that is wanted goes to these addresses from here on.
    fn learn_addresses(&self, session: SessionNumber, dns: &Dns) {
        if dns.answers.is_empty() {
            return;
        }
        let mut probes = lock(&self.probes);
        for answer in &dns.answers {
            if let Err(error) = probes.capture_at(session, &dns.name, answer.address) {
                tracing::warn!(%error, "an address of a host is not captured");
            }
        }
    }

    /// What no call of the traced processes ends.
    fn end_bursts(&mut self, now: KernelNanos, all: bool) {
        let Self { harvest, to, .. } = self;
        if all {
            harvest.finish(now, |session, end| send(to, session, end));
        } else {
            harvest.sweep(now, |session, end| send(to, session, end));
        }
    }

    fn end_bursts_of(&mut self, sessions: &BTreeSet<SessionNumber>, now: KernelNanos) {
        let Self { harvest, to, .. } = self;
        for closing in sessions {
            harvest.finish_session(*closing, now, |session, end| send(to, session, end));
        }
    }

    fn report_all_losses(&mut self) {
        let counted = lock(&self.wishes.counted).clone();
        self.roots.retain(|session, _| counted.contains(session));
        self.prices.retain(|session, _| counted.contains(session));
        for session in counted {
            self.report_losses(session);
        }
        let missed = lock(&self.probes).take_missed();
        for (kind, count) in
            [(LossKind::Missed, missed), (LossKind::Undecodable, std::mem::take(&mut self.undecodable))]
        {
            if count > 0 {
                self.send_to_all(Event::Loss(Loss { at: self.clock.now(), kind, count }));
            }
        }
    }

    fn begin_price(&mut self, session: SessionNumber) {
        let (now, meter) = (self.clock.now(), &self.meter);
        self.prices.entry(session).or_insert_with(|| Price {
            programs: meter.estimate(now).unwrap_or_default(),
            cpu: ProcessorTime::so_far().unwrap_or_default().sum(),
            events: 0,
        });
    }

    fn report_all_overheads(&mut self, now: KernelNanos) {
        for session in self.prices.keys().copied().collect::<Vec<_>>() {
            self.report_overhead(session, now);
        }
    }

    /// What the collector took since the session began.
    fn report_overhead(&self, session: SessionNumber, now: KernelNanos) {
        let Some(before) = self.prices.get(&session) else { return };
        let programs = self.meter.estimate(now).map(|cost| ProgramTime {
            nanos: nanos(cost.run_time.saturating_sub(before.programs.run_time)),
            runs: cost.run_count.saturating_sub(before.programs.run_count),
        });
        let cpu = ProcessorTime::so_far().unwrap_or_default().sum();
        let overhead = Overhead {
            at: now,
            programs,
            cpu_nanos: nanos(cpu.saturating_sub(before.cpu)),
            resident_bytes: resident_bytes(),
            events: before.events,
        };
        self.send(session, Event::Overhead(overhead));
    }

    fn report_losses(&mut self, session: SessionNumber) {
        let at = self.clock.now();
        let losses = lock(&self.probes).take_losses(session).unwrap_or_else(|error| {
            tracing::warn!(%error, "the loss counters could not be read");
            Vec::new()
        });
        for (kind, count) in losses {
            self.send(session, Event::Loss(Loss { at, kind, count }));
        }
    }

    fn send(&self, session: SessionNumber, event: Event) {
        send(&self.to, session, event);
    }

    fn send_to_all(&self, event: Event) {
        self.to.send(Input::Everyone(event)).unwrap_or_default();
    }
}

/// What a session is charged for: what was taken since this reading.
#[derive(Debug)]
struct Price {
    programs: Cost,
    cpu: Duration,
    /// Of the session.
    events: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

// The receiver outlives this thread but for a panic there, which ends the process.
fn send(to: &Inlet<Input>, session: SessionNumber, event: Event) {
    to.send(Input::Event(session, event)).unwrap_or_default();
}

/// A thread that panicked has left a set of numbers or a map behind, which is as good as it was.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

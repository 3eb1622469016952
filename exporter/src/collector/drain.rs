//! The one thread that drains the ring: events out, in order, with the passing of time and what was lost.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agentsight_ebpf::live::{Cost, Harvest, KernelClock, LiveError, Probes, Ring, Woken};
use agentsight_ebpf::{DecodeError, Event, KernelNanos, Loss, LossKind, ProcessKey, Tick};

use super::work::Input;
use crate::telemetry::Account;

/// Events of a busy tree are taken together: the ring holds far more than comes in this time.
const BATCH_DELAY: Duration = Duration::from_millis(5);
/// Ticks, and a look at the kernel's loss counters.
const TICK: Duration = Duration::from_secs(1);

/// The thread, and the means to wake and stop it.
#[derive(Debug)]
pub(super) struct Drain {
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Drained>,
}

/// What the thread hands back when it has stopped.
#[derive(Debug)]
pub(super) struct Drained {
    /// The kernel's account of the programs.
    pub(super) cost: Cost,
    /// The programs, still attached: detaching takes time that nobody need wait for.
    _probes: Probes,
}

/// Ends the thread's sleep.
#[derive(Debug)]
pub(super) struct Waker(UnixStream);

impl Waker {
    pub(super) fn wake(&self) {
        // A full socket means that the thread is being woken already.
        let _ = (&self.0).write(&[1]);
    }

    pub(super) fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Drain {
    /// `prelude` is what was drained before: it comes first.
    pub(super) fn start(
        probes: Probes,
        ring: Ring,
        harvest: Harvest,
        prelude: Vec<Event>,
        to: SyncSender<Input>,
        account: Account,
    ) -> Result<Self, LiveError> {
        let (wake, woken) = UnixStream::pair().map_err(LiveError::Wait)?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(LiveError::Wait)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clock = probes.clock();
        let thread = thread::Builder::new()
            .name("drain".to_owned())
            .spawn(move || {
                let outlet = Outlet { probes, harvest, clock, to, root: None, undecodable: 0 };
                Worker { outlet, ring, woken, stopped, account, next_tick: KernelNanos(0) }.work(prelude)
            })
            .map_err(LiveError::Wait)?;
        Ok(Self { waker: Waker(wake), stop, thread })
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Drains what is left and ends the thread. `None` if it had failed.
    ///
    /// What is left may be more than the way to the pipeline holds, so `take` is called to empty it meanwhile.
    pub(super) fn stop(self, mut take: impl FnMut()) -> Option<Drained> {
        self.stop.store(true, Ordering::Release);
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
    stopped: Arc<AtomicBool>,
    account: Account,
    next_tick: KernelNanos,
}

impl Worker {
    fn work(mut self, prelude: Vec<Event>) -> Drained {
        self.outlet.send(Event::Clock(self.outlet.clock.read_both()));
        for event in prelude {
            self.outlet.take(Ok(event));
        }
        loop {
            // Read before the drain: what was emitted before the stop is drained after it.
            let stopping = self.stopped.load(Ordering::Acquire);
            let outlet = &mut self.outlet;
            let drained = self.ring.drain(|event| outlet.take(event));
            let now = outlet.clock.now();
            if stopping || now >= self.next_tick {
                outlet.end_bursts(now, stopping);
                outlet.report_losses();
                let cost = outlet.probes.cost();
                self.account.set_bpf_cost(u64::try_from(cost.run_time.as_nanos()).unwrap_or(u64::MAX), cost.run_count);
                // A trace that begins from here on takes its times from this reading.
                outlet.send(Event::Clock(outlet.clock.read_both()));
                outlet.send(Event::Tick(Tick { at: now }));
                self.next_tick = KernelNanos(now.0.saturating_add(TICK.as_nanos().try_into().unwrap_or(u64::MAX)));
            }
            if stopping {
                break;
            }
            if drained > 0 {
                thread::sleep(BATCH_DELAY);
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
        Drained { cost: self.outlet.probes.cost(), _probes: self.outlet.probes }
    }

    fn swallow_wake_ups(&self) {
        let mut bytes = [0; 64];
        while std::io::Read::read(&mut (&self.woken), &mut bytes).is_ok_and(|read| read > 0) {}
    }
}

/// The way to the pipeline, with what goes there besides the ring's records.
struct Outlet {
    probes: Probes,
    harvest: Harvest,
    clock: KernelClock,
    to: SyncSender<Input>,
    root: Option<ProcessKey>,
    /// Records that could not be decoded, and were not reported yet.
    undecodable: u64,
}

impl Outlet {
    fn take(&mut self, record: Result<Event, DecodeError>) {
        let event = match record {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "a record of the kernel could not be decoded");
                self.undecodable += 1;
                return;
            }
        };
        match &event {
            Event::Fork(fork) if fork.root => self.root = Some(fork.process),
            Event::Snapshot(running) if self.root.is_none() => self.root = Some(running.process),
            // The root's span is sent at its end, and what was lost until then belongs on it.
            Event::Exit(exit) if self.root == Some(exit.process) => self.report_losses(),
            _ => {}
        }
        let Self { harvest, to, .. } = self;
        harvest.hear(&event, |end| send(to, end));
        self.send(event);
    }

    /// What no call of the traced processes ends.
    fn end_bursts(&mut self, now: KernelNanos, session_ends: bool) {
        let Self { harvest, to, .. } = self;
        if session_ends {
            harvest.finish(now, |end| send(to, end));
        } else {
            harvest.sweep(now, |end| send(to, end));
        }
    }

    fn report_losses(&mut self) {
        let at = self.clock.now();
        let mut losses = self.probes.take_losses().unwrap_or_else(|error| {
            tracing::warn!(%error, "the loss counters could not be read");
            Vec::new()
        });
        if self.undecodable > 0 {
            losses.push((LossKind::Undecodable, std::mem::take(&mut self.undecodable)));
        }
        for (kind, count) in losses {
            self.send(Event::Loss(Loss { at, kind, count }));
        }
    }

    fn send(&self, event: Event) {
        send(&self.to, event);
    }
}

fn send(to: &SyncSender<Input>, event: Event) {
    // The receiver outlives this thread but for a panic there, which ends the process.
    to.send(Input::Event(event)).unwrap_or_default();
}

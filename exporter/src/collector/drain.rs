//! The one thread that drains the ring: events out, in order, with the passing of time and what was lost.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agentsight_ebpf::live::{Cost, KernelClock, LiveError, Probes, Ring, Woken};
use agentsight_ebpf::{Event, KernelNanos, Loss, LossKind, Tick};

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
    pub(super) fn start(mut probes: Probes, to: SyncSender<Input>, account: Account) -> Result<Self, LiveError> {
        let ring = probes.take_ring()?;
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
                Worker { probes, ring, woken, stopped, clock, to, account, next_tick: KernelNanos(0) }.work()
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
    probes: Probes,
    ring: Ring,
    woken: UnixStream,
    stopped: Arc<AtomicBool>,
    clock: KernelClock,
    to: SyncSender<Input>,
    account: Account,
    next_tick: KernelNanos,
}

impl Worker {
    fn work(mut self) -> Drained {
        self.send(Event::Clock(self.clock.read_both()));
        loop {
            // Read before the drain: what was emitted before the stop is drained after it.
            let stopping = self.stopped.load(Ordering::Acquire);
            let drained = self.drain();
            let now = self.clock.now();
            if stopping || now >= self.next_tick {
                self.report_losses(now);
                let cost = self.probes.cost();
                self.account.set_bpf_cost(u64::try_from(cost.run_time.as_nanos()).unwrap_or(u64::MAX), cost.run_count);
                // A trace that begins from here on takes its times from this reading.
                self.send(Event::Clock(self.clock.read_both()));
                self.send(Event::Tick(Tick { at: now }));
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
                    self.to.send(Input::Failed(error.to_string())).unwrap_or_default();
                    break;
                }
            }
        }
        Drained { cost: self.probes.cost(), _probes: self.probes }
    }

    fn drain(&mut self) -> usize {
        let mut undecodable = 0;
        let to = &self.to;
        let records = self.ring.drain(|event| match event {
            // The receiver outlives this thread but for a panic there, which ends the process.
            Ok(event) => to.send(Input::Event(event)).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "a record of the kernel could not be decoded");
                undecodable += 1;
            }
        });
        if undecodable > 0 {
            let at = self.clock.now();
            self.send(Event::Loss(Loss { at, kind: LossKind::Undecodable, count: undecodable }));
        }
        records
    }

    fn report_losses(&mut self, at: KernelNanos) {
        match self.probes.take_losses() {
            Ok(losses) => {
                for (kind, count) in losses {
                    self.send(Event::Loss(Loss { at, kind, count }));
                }
            }
            Err(error) => tracing::warn!(%error, "the loss counters could not be read"),
        }
    }

    fn swallow_wake_ups(&self) {
        let mut bytes = [0; 64];
        while std::io::Read::read(&mut (&self.woken), &mut bytes).is_ok_and(|read| read > 0) {}
    }

    fn send(&self, event: Event) {
        self.to.send(Input::Event(event)).unwrap_or_default();
    }
}

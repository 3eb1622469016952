//! The way from the threads that bring things to the loop that decides.
//!
//! It holds so many at most, like a channel of the standard library with a bound, which would have room for all of them
//! from its beginning on: nine megabytes that are never used but in an overload. It knows nothing of what it carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SendError, Sender};
use std::thread;
use std::time::Duration;

/// Whoever brings something looks for room so often when there is none.
const PAUSE: Duration = Duration::from_millis(1);

/// A queue of at most `limit` things; a few more where several threads find the last place at once.
pub(crate) fn queue<T>(limit: usize) -> (Inlet<T>, Arrivals<T>) {
    let (sender, receiver) = mpsc::channel();
    let level = Arc::new(Level::default());
    (Inlet { sender, level: Arc::clone(&level), limit }, Arrivals { receiver, level })
}

#[derive(Debug, Default)]
struct Level {
    waiting: AtomicUsize,
    /// Nobody will take anything any more.
    closed: AtomicBool,
}

/// Where things are put in.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    sender: Sender<T>,
    level: Arc<Level>,
    limit: usize,
}

impl<T> Inlet<T> {
    /// Waits while the queue is full.
    ///
    /// # Errors
    /// Nobody takes anything any more; here it is again.
    pub(crate) fn send(&self, thing: T) -> Result<(), SendError<T>> {
        while self.level.waiting.load(Ordering::Acquire) >= self.limit && !self.level.closed.load(Ordering::Acquire) {
            thread::sleep(PAUSE);
        }
        self.level.waiting.fetch_add(1, Ordering::AcqRel);
        self.sender.send(thing)
    }
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), level: Arc::clone(&self.level), limit: self.limit }
    }
}

/// Where they come out.
#[derive(Debug)]
pub(crate) struct Arrivals<T> {
    receiver: Receiver<T>,
    level: Arc<Level>,
}

impl<T> Arrivals<T> {
    /// The next thing; waits for it for so long.
    ///
    /// # Errors
    /// There was none, or nobody can bring any.
    pub(crate) fn recv_timeout(&self, limit: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(limit).inspect(|_| self.take())
    }

    /// What is there now.
    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> {
        self.receiver.try_iter().inspect(|_| self.take())
    }

    fn take(&self) {
        self.level.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> Drop for Arrivals<T> {
    fn drop(&mut self) {
        self.level.closed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fills_it_waits_until_something_is_taken() {
        let (inlet, arrivals) = queue(3);
        let filler = thread::spawn(move || (0..100).try_for_each(|number| inlet.send(number)));
        let mut most = 0;
        let mut taken = Vec::new();
        while taken.len() < 100 {
            most = most.max(arrivals.level.waiting.load(Ordering::Acquire));
            taken.push(arrivals.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        assert!(most <= 3, "{most} were waiting");
        filler.join().unwrap().unwrap();
        assert_eq!(arrivals.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn whoever_waits_for_room_is_let_go_when_nobody_takes_any_more() {
        let (inlet, arrivals) = queue(1);
        inlet.send(1).unwrap();
        let waiting = thread::spawn(move || inlet.send(2));
        drop(arrivals);
        assert_eq!(waiting.join().unwrap(), Err(SendError(2)));
    }
}

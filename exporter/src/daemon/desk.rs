//! Where callers have their questions answered: on their own threads, over their own read-only connections to the store, a few
//! at a time, so that neither the loop nor those who want to be traced wait for them.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_ebpf::WallNanos;
use jiff::Timestamp;

use crate::channel::{self, ChannelError, ToCollector, ToStub};
use crate::inquiry::{Inquiry, Reply, TIME_LIMIT, answer};
use crate::session::{SpanRef, UserId};
use crate::store::{Door, Reader, Store, StoreError};

/// A question, in bytes: a thousand ids, or words that nobody types.
pub(super) const QUESTION_BYTES_MAX: u32 = 256 << 10;
/// Between two questions; whoever reads an answer for longer calls again.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// For taking an answer.
const TAKE_LIMIT: Duration = Duration::from_secs(10);
/// Callers who may sit here, and of one user.
const SEATS: usize = 32;
const SEATS_OF_A_USER: usize = 4;
/// Answers at a time, and one of a user's: a question may keep a processor busy, which the loop needs too.
const TURNS: usize = 2;
/// For a turn.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    store_dir: PathBuf,
    seated: Mutex<HashMap<u32, usize>>,
    at_work: Mutex<Vec<UserId>>,
    turn_over: Condvar,
}

/// Given back when it is dropped.
struct Seat<'d> {
    desk: &'d Desk,
    user: UserId,
}

/// Given back when it is dropped.
struct Turn<'d> {
    desk: &'d Desk,
    user: UserId,
}

impl Desk {
    /// Answers from the store in this folder.
    pub(crate) fn new(store_dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { store_dir, seated: Mutex::default(), at_work: Mutex::default(), turn_over: Condvar::new() })
    }

    /// Answers a caller until they have no more questions.
    pub(super) fn serve(&self, socket: &UnixStream, user: UserId, first: Inquiry) -> Result<(), ChannelError> {
        socket.set_read_timeout(Some(IDLE_LIMIT))?;
        socket.set_write_timeout(Some(TAKE_LIMIT))?;
        let Some(_seat) = self.sit_down(user) else {
            let why =
                "you have as many questions at the daemon as it takes at a time: try again when they are answered";
            return channel::send(socket, &reply(Reply::Refused(why.to_owned())));
        };
        let store = match Store::open_reading(&self.store_dir) {
            Ok(Some(store)) => store,
            Ok(None) => return channel::send(socket, &reply(Reply::Refused("nothing was traced yet".to_owned()))),
            Err(error) => return channel::send(socket, &reply(self.refusal(&error))),
        };
        let mut inquiry = first;
        loop {
            let answered = self.answer(&store, user, inquiry);
            channel::send(socket, &reply(answered))?;
            inquiry = match channel::receive_within(socket, QUESTION_BYTES_MAX) {
                Ok(Some(ToCollector::Question(next))) => *next,
                Err(error @ ChannelError::Frame(_)) => {
                    return channel::send(socket, &reply(Reply::Refused(error.to_string())));
                }
                _ => return Ok(()),
            };
        }
    }

    fn answer(&self, store: &Store, user: UserId, inquiry: Inquiry) -> Reply {
        let Some(_turn) = self.take_turn(user) else {
            return Reply::Refused("the daemon has too many questions at the moment: try again".to_owned());
        };
        let begun = Instant::now();
        let contents_of = if let Inquiry::Content { of } = &inquiry { Some(SpanRef::from(*of)) } else { None };
        match within_time(store, || answer(store, user, inquiry)) {
            Ok(reply @ Reply::Content(Some(_))) => {
                let logged = contents_of.map_or(Ok(()), |of| self.log_reading(of, user));
                logged.map_or_else(|error| self.refusal(&error), |()| reply)
            }
            Ok(reply) => reply,
            // What was interrupted says so in SQLite's words.
            Err(_) if begun.elapsed() >= TIME_LIMIT => Reply::Refused(crate::query::SourceError::TooLong.to_string()),
            Err(crate::inquiry::Trouble::Store(error)) => self.refusal(&error),
            Err(error) => Reply::Refused(error.to_string()),
        }
    }

    /// Written by a connection of its own: the others only read.
    fn log_reading(&self, of: SpanRef, user: UserId) -> Result<(), StoreError> {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let by = Reader { user, door: Door::Daemon };
        Store::open(&self.store_dir)?.log_reading(of, by, WallNanos(now))
    }

    /// What is wrong with the store is root's to know.
    fn refusal(&self, error: &StoreError) -> Reply {
        tracing::warn!(%error, store = %self.store_dir.display(), "a question could not be answered");
        Reply::Refused("the store cannot be read; the daemon's log says why".to_owned())
    }

    fn sit_down(&self, user: UserId) -> Option<Seat<'_>> {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = seated.values().sum();
        let of_user = seated.get(&user.0).copied().unwrap_or_default();
        if user != UserId::ROOT && (all >= SEATS || of_user >= SEATS_OF_A_USER) {
            return None;
        }
        seated.insert(user.0, of_user + 1);
        Some(Seat { desk: self, user })
    }

    fn take_turn(&self, user: UserId) -> Option<Turn<'_>> {
        let is_taken =
            |at_work: &mut Vec<UserId>| at_work.len() >= TURNS || (user != UserId::ROOT && at_work.contains(&user));
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut at_work, waited) =
            self.turn_over.wait_timeout_while(at_work, TURN_LIMIT, is_taken).unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then(|| {
            at_work.push(user);
            Turn { desk: self, user }
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seated = self.desk.seated.lock().unwrap_or_else(PoisonError::into_inner);
        let left = seated.get(&self.user.0).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            seated.remove(&self.user.0);
        } else {
            seated.insert(self.user.0, left);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut at_work = self.desk.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = at_work.iter().position(|user| *user == self.user) {
            at_work.swap_remove(place);
        }
        // Of those who wait one may still have to: whose turn it is they find out themselves.
        self.desk.turn_over.notify_all();
    }
}

fn reply(reply: Reply) -> ToStub {
    ToStub::Answer(Box::new(reply))
}

/// A statement that looks through a million rows finds none of the moments at which the time is checked: another thread
/// interrupts it.
fn within_time<T>(store: &Store, work: impl FnOnce() -> T) -> T {
    let interrupter = store.interrupter();
    let (done, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = thread::Builder::new().name("patience".to_owned()).spawn_scoped(scope, move || {
            if over.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
                interrupter.interrupt();
            }
        });
        if let Err(error) = watch {
            tracing::warn!(%error, "a question is answered without a look at the clock");
        }
        let worked = work();
        drop(done);
        worked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_seats_and_no_more_and_root_has_one_always() {
        let desk = Desk::new(PathBuf::from("/nonexistent"));
        let mut seats: Vec<_> =
            (0..SEATS_OF_A_USER).map(|_| desk.sit_down(UserId(1000)).expect("there is room")).collect();
        assert!(desk.sit_down(UserId(1000)).is_none());
        assert!(desk.sit_down(UserId(1001)).is_some());
        seats.pop();
        assert!(desk.sit_down(UserId(1000)).is_some(), "a seat is given back");
        let crowd: Vec<_> = (2000..2100).filter_map(|user| desk.sit_down(UserId(user))).collect();
        assert_eq!(crowd.len() + seats.len(), SEATS);
        assert!(desk.sit_down(UserId::ROOT).is_some());
        drop((seats, crowd));
        assert!(desk.seated.lock().unwrap().is_empty());
    }

    #[test]
    fn a_turn_is_given_back_and_a_user_has_one_at_a_time() {
        let desk = Desk::new(PathBuf::from("/nonexistent"));
        for _ in 0..3 {
            let one = desk.take_turn(UserId(1000)).expect("it is free");
            let other = desk.take_turn(UserId(1001)).expect("it is free");
            drop(one);
            thread::scope(|scope| {
                let waits = scope.spawn(|| desk.take_turn(UserId(1001)).is_some());
                drop(desk.take_turn(UserId(1000)).expect("others are not held up"));
                assert!(!waits.is_finished(), "one at a time");
                drop(other);
                assert!(waits.join().expect("it does not panic"), "it is told when the turn is over");
            });
        }
        assert!(desk.at_work.lock().unwrap().is_empty());
    }
}

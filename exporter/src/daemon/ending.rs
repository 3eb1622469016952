//! How sessions of the daemon end: one by one, while the others go on, or all at once.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use agentsight_ebpf::SessionNumber;

use super::beginning::{Inheritance, Line, Standing};
use super::service::Service;
use crate::channel::ToStub;
use crate::collector::deliver::{Couriers, Heir};
use crate::collector::drain::{Mark, lock};
use crate::collector::queue::Arrivals;
use crate::collector::serve::{
    DELIVERY_AFTERWARDS, DELIVERY_WHILE_WAITED_FOR, STUB_IS_DEAF_AFTER, TELEMETRY_LAST_WORDS,
};
use crate::collector::sessions::{Input, Sessions};
use crate::collector::stub::Stub;
use crate::collector::summary::{self, Seen};

/// When the daemon is stopped, for the delivery of what is stored; systemd waits 90 s before it kills.
const LAST_DELIVERY: Duration = Duration::from_secs(5);
/// For the last word to each stub then.
const LAST_WORD: Duration = Duration::from_millis(100);

impl Service {
    /// All that was emitted before `mark` has been taken in.
    pub(super) fn reach(&mut self, mark: Mark) {
        let mut inherited = false;
        for (number, standing) in &mut self.standing {
            if let Some(adopting) = standing.adopting.take_if(|adopting| adopting.until <= mark) {
                inherited |= adopting.inheritance.from.is_some();
                let_go(&mut self.sessions, *number, adopting.inheritance);
            }
        }
        if inherited {
            // The dead daemon's open spans are stored only now, and nobody sends them yet.
            self.delivery.inherit(&mut self.sessions.shop.store, Heir::Daemon);
        }
        let is_whole = |standing: &Standing| standing.closing.is_some_and(|until| until <= mark);
        let whole: Vec<_> =
            self.standing.iter().filter(|(_, standing)| is_whole(standing)).map(|(number, _)| *number).collect();
        for number in whole {
            self.finish(number);
        }
    }

    /// What is over is let go of; it is finished when all that was emitted by now has come.
    pub(super) fn close_what_is_over(&mut self) {
        for number in self.sessions.over() {
            let Some(standing) = self.standing.get_mut(&number) else { continue };
            if standing.closing.is_none() {
                self.sessions.shop.tree.release_all(number);
                standing.closing = Some(self.drain.close(number));
            }
        }
    }

    fn finish(&mut self, number: SessionNumber) {
        let Some(mut work) = self.sessions.finish(number) else { return };
        let Some(standing) = self.standing.remove(&number) else { return };
        self.capture_no_more(number);
        let shop = &mut self.sessions.shop;
        // Who was forked while the others were let go of.
        shop.tree.release_all(number);
        self.drain.forget(number);
        if self.standing.is_empty() {
            lock(&self.probes).detach_syscalls();
        }
        lock(&self.ids).remove(&number);
        if let Some(line) = &standing.caller
            && let Err(error) = lock(&self.probes).forget_launcher(line.stub)
        {
            tracing::warn!(%error, "a launcher is not forgotten");
        }
        if let Err(error) = shop.store.end_session(work.session.id, shop.clock.read_both().wall) {
            // On a full disk, say. It is ended when others' are looked after.
            tracing::warn!(%error, "the session is left open");
        }
        tracing::info!(session = %work.session.id, "a session has ended");
        let mut words = Vec::from_iter(work.shelf.complaint());
        let seen = Seen::of(&mut work, None);
        words.splice(0..0, seen.complaint());
        let stub = work.stub.take();
        drop(work);
        let Standing { couriers, caller, .. } = standing;
        let goodbye = Goodbye { couriers, to: stub.zip(caller), seen, words };
        self.delivery.runtime().spawn(goodbye.say());
    }

    /// What is whole is ended; what still lives stays open in the store, where the next daemon finds it and goes on.
    pub(crate) fn end(mut self, inputs: &Arrivals<Input>) {
        self.close_the_door();
        let Self { drain, mut sessions, mut standing, delivery, telemetry, .. } = self;
        let drained = drain.stop(|| drop(sessions.take(inputs.try_iter())));
        sessions.take(inputs.try_iter());
        for (number, standing) in &mut standing {
            if let Some(adopting) = standing.adopting.take() {
                let_go(&mut sessions, *number, adopting.inheritance);
            }
        }
        sessions.forget_the_dead();
        let over = sessions.over();
        for number in sessions.numbers() {
            if over.contains(&number) {
                let Some(work) = sessions.finish(number) else { continue };
                let wall = sessions.shop.clock.read_both().wall;
                if let Err(error) = sessions.shop.store.end_session(work.session.id, wall) {
                    tracing::warn!(%error, "the session is left open");
                }
                farewell(work.stub, ToStub::Finished);
            } else if let Some(work) = sessions.pause(number) {
                farewell(work.stub, ToStub::Failed { message: "the daemon was stopped".to_owned() });
            }
        }
        let couriers: Vec<&Couriers> = standing.values().map(|standing| &standing.couriers).collect();
        delivery.drain_all(&couriers, LAST_DELIVERY);
        drop(standing);
        telemetry.end(TELEMETRY_LAST_WORDS);
        delivery.end();
        drop(drained);
    }
}

/// A tree is adopted: what came meanwhile goes its way, and the session that it follows is ended.
fn let_go(sessions: &mut Sessions, number: SessionNumber, inheritance: Inheritance) {
    sessions.let_go(number, &inheritance.spans);
    if let Some(old) = inheritance.from
        && let Err(error) = sessions.shop.store.end_session(old.session.id, old.last_stored)
    {
        tracing::warn!(%error, session = %old.session.id, "a dead daemon's session is left open");
    }
}

fn farewell(stub: Option<Arc<Stub>>, word: ToStub) {
    let Some(stub) = stub else { return };
    stub.say(word);
    if let Some(stub) = Arc::into_inner(stub) {
        stub.close(LAST_WORD);
    }
}

/// The last words of one session, said while the daemon goes on.
struct Goodbye {
    couriers: Couriers,
    to: Option<(Arc<Stub>, Line)>,
    seen: Seen,
    words: Vec<String>,
}

impl Goodbye {
    async fn say(self) {
        let Self { couriers, to, seen, words } = self;
        let delivered = couriers.drain(DELIVERY_WHILE_WAITED_FOR).await;
        if let Some((stub, line)) = to {
            for message in words.into_iter().chain(delivered.complaints()) {
                stub.say(ToStub::Notice { message });
            }
            if let Some(format) = line.summary {
                stub.say(ToStub::Summary { text: summary::text(&seen, &delivered, format) });
            }
            stub.say(ToStub::Finished);
            drop(stub);
            // A stub that was stopped does not read, and the two threads that serve it would wait for it for ever.
            tokio::time::sleep(STUB_IS_DEAF_AFTER).await;
            let _ = line.socket.shutdown(Shutdown::Both);
        } else {
            words.iter().for_each(|message| tracing::warn!("{message}"));
        }
        if !delivered.complete() {
            // What is left then is sent by whoever looks after what nobody sends.
            couriers.drain(DELIVERY_AFTERWARDS).await;
        }
    }
}

//! How sessions of the daemon begin: by a rule, for a caller, or in the place of a dead daemon's.

use std::collections::{BTreeSet, HashMap};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use agentsight_ebpf::live::{LiveError, is_alive, look_at, user_ids};
use agentsight_ebpf::{CapturePolicy, EarlierSpan, Event, PolicyError, ProcessKey, SessionNumber, Tgid};

use super::admission::{self, Refusal};
use super::rules::Rule;
use super::service::Service;
use super::socket::Caller;
use crate::channel::{self, OutputFile, Request, Target, ToStub};
use crate::collector::begin::{self, RandomError};
use crate::collector::deliver::{Couriers, DeliveryError};
use crate::collector::drain::{Mark, lock};
use crate::collector::lifetime::{Lifetime, Scope};
use crate::collector::shelf::Shelf;
use crate::collector::stub::{self, Stub};
use crate::collector::work::Work;
use crate::otlp::settings::Settings;
use crate::ownership;
use crate::recording::WriteError;
use crate::session::{CallerContext, Session, SessionId, SessionOptions, UserId};
use crate::store::{Lock, StoreError, UnendedSession};
use crate::terminal::Format;

/// The programs count for 1,024 sessions, of which one is nobody's.
const SESSIONS_MAX: usize = 1_023;
/// One user's runs must not keep others from theirs.
const SESSIONS_OF_A_USER_MAX: usize = 128;
/// For the one sentence to a caller who is refused.
const REFUSAL_LIMIT: Duration = Duration::from_millis(200);

/// A session did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("process {pid} is traced already, by session {session}, and a process belongs to one session")]
    Owned { pid: u32, session: SessionId },
    #[error("the daemon has {SESSIONS_MAX} sessions, and that is as many as it can have")]
    Full,
    #[error("you have {SESSIONS_OF_A_USER_MAX} sessions at the daemon, and that is as many as one user may have")]
    TooMany,
    #[error(
        "the daemon captures no contents: its configuration has no `capture:` section\n\
         Let it have one, leave --capture and its kin out, or trace without the daemon: sudo agentsight run --no-daemon"
    )]
    NoCapture,
    #[error("by the daemon's configuration {0}")]
    Capture(#[from] PolicyError),
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Recording(#[from] WriteError),
    #[error("the daemon could not start a thread for this session: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a session of the daemon has besides its work.
pub(super) struct Standing {
    pub(super) couriers: Couriers,
    /// While it is held nobody takes the session for a dead one's.
    pub(super) _alive: Lock,
    pub(super) caller: Option<Line>,
    pub(super) adopting: Option<Adopting>,
    /// The session is over, and whole at this mark.
    pub(super) closing: Option<Mark>,
}

/// A tree that is being adopted.
pub(super) struct Adopting {
    /// By then all snapshots have come.
    pub(super) until: Mark,
    /// What the tree was in a dead daemon's session, where it was in one.
    pub(super) inheritance: Inheritance,
}

/// What a dead daemon's session leaves to the one that follows it.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    /// The spans of the processes that live.
    pub(super) spans: HashMap<ProcessKey, EarlierSpan>,
    /// The session, open in the store until the new one is stored: whoever dies in between leaves nothing unlinked.
    pub(super) from: Option<UnendedSession>,
}

/// The line to whoever asked for a session.
pub(super) struct Line {
    pub(super) socket: UnixStream,
    pub(super) uid: u32,
    pub(super) stub: Tgid,
    pub(super) summary: Option<Format>,
}

/// What a new session is made of.
pub(super) struct Plan {
    pub(super) session: Session,
    pub(super) target: Target,
    pub(super) lifetime: Lifetime,
    pub(super) destination: Settings,
    /// Who may ask about it, beside root.
    pub(super) owner: Option<UserId>,
    /// What of payload is captured.
    pub(super) capture: CapturePolicy,
}

impl Service {
    /// A session for a process that a rule wants. Trouble with it is logged.
    pub(super) fn begin_by_rule(&mut self, rule: &Rule, process: Tgid) {
        let settled = &self.settled;
        let options = SessionOptions {
            service: rule.service.clone().or_else(|| settled.options.service.clone()),
            ..settled.options.clone()
        };
        let destination = settled.destination.clone();
        let allowed = settled.capture.as_ref().filter(|_| rule.captures);
        let capture = allowed.map(|capturing| capturing.allowed.clone()).unwrap_or_default();
        let begun =
            begin::begin_session(&CallerContext::default(), &options).map_err(BeginError::from).and_then(|session| {
                let lifetime = Lifetime::new(Scope::RunningTree, Duration::ZERO);
                let owner = begin::only_user(process);
                let target = Target::Running(process.0);
                let plan = Plan { session, target, lifetime, destination, owner, capture };
                self.adopt(&[process], plan, Inheritance::default())
            });
        match begun {
            Ok(Some(_)) => tracing::info!(rule = rule.name, process = process.0, "a session begins"),
            Ok(None) => {
                tracing::warn!(
                    rule = rule.name,
                    process = process.0,
                    "a process that a rule names ended before it could be traced"
                );
            }
            Err(error @ BeginError::Owned { .. }) => tracing::debug!(%error, rule = rule.name, "no session begins"),
            Err(error) => tracing::warn!(%error, rule = rule.name, process = process.0, "no session begins"),
        }
    }

    /// Does what a caller wants, or says why not.
    pub(super) fn answer(&mut self, caller: Caller) {
        let Caller { peer, request, socket } = caller;
        let begun = admission::admit(peer, &request, user_ids)
            .map_err(BeginError::from)
            .and_then(|()| self.begin_for(peer.uid, &request, &socket));
        if let Err(error) = begun {
            tracing::info!(%error, uid = peer.uid, process = peer.process.0, "a caller is refused");
            let message = error.to_string();
            let _ = socket.set_write_timeout(Some(REFUSAL_LIMIT));
            // A caller that does not listen learns nothing.
            let _ = channel::send(&socket, &ToStub::Failed { message });
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn begin_for(&mut self, uid: u32, request: &Request, socket: &UnixStream) -> Result<(), BeginError> {
        let of_user = |standing: &&Standing| standing.caller.as_ref().is_some_and(|line| line.uid == uid);
        if uid != 0 && self.standing.values().filter(of_user).count() >= SESSIONS_OF_A_USER_MAX {
            return Err(BeginError::TooMany);
        }
        let (pid, scope) = match request.target {
            Target::NextChild => (request.stub, Scope::Command),
            Target::Running(pid) => (pid, Scope::RunningTree),
        };
        // A running process is asked about when it is adopted.
        if let (Target::NextChild, Some(session)) = (request.target, ownership::find_owner_of(Tgid(pid))) {
            return Err(BeginError::Owned { pid, session });
        }
        let plan = Plan {
            session: begin::begin_session(&request.context, &request.options)?,
            target: request.target,
            lifetime: Lifetime::new(scope, request.linger),
            destination: request.destination.clone(),
            owner: begin::owner(request.target, UserId(request.uid), UserId(uid)),
            capture: self.grant(&request.capture)?,
        };
        let number = match request.target {
            Target::NextChild => {
                let number = self.free_number()?;
                let policy = plan.capture.clone();
                self.stand(number, plan)?;
                self.capture(number, &policy).inspect_err(|_| self.abandon(number))?;
                number
            }
            Target::Running(pid) => self.adopt_of_user(uid, Tgid(pid), plan)?,
        };
        self.connect(number, uid, request, socket).inspect_err(|_| self.abandon(number))
    }

    /// What of payload a caller gets of what it asks for.
    fn grant(&self, asked: &CapturePolicy) -> Result<CapturePolicy, BeginError> {
        if asked.is_empty() {
            return Ok(CapturePolicy::default());
        }
        let capturing = self.settled.capture.as_ref().ok_or(BeginError::NoCapture)?;
        Ok(capturing.allowed.grant(asked.clone())?)
    }

    /// From here on a session's payload is taken, where any is wanted.
    fn capture(&self, number: SessionNumber, policy: &CapturePolicy) -> Result<(), LiveError> {
        if policy.is_empty() { Ok(()) } else { lock(&self.probes).capture(number, policy) }
    }

    /// No payload of a session is taken any more.
    pub(super) fn capture_no_more(&self, number: SessionNumber) {
        if let Err(error) = lock(&self.probes).capture_no_more(number) {
            tracing::warn!(%error, "a session's room for contents is not given back");
        }
    }

    /// Between the look at whose process it is and its adoption another may have taken its id.
    fn adopt_of_user(&mut self, uid: u32, pid: Tgid, plan: Plan) -> Result<SessionNumber, BeginError> {
        let gone = || BeginError::Live(LiveError::NoSuchProcess { tgid: pid });
        if let Some(number) = self.sessions.shop.tree.session_of(pid)
            && let Some(session) = lock(&self.ids).get(&number).copied()
        {
            return Err(BeginError::Owned { pid: pid.0, session });
        }
        let before = look_at(pid).ok_or_else(gone)?.process;
        let number = self.adopt(&[pid], plan, Inheritance::default())?.ok_or_else(gone)?;
        let still_theirs = user_ids(pid).is_some_and(|ids| uid == 0 || ids.iter().all(|id| *id == uid));
        if is_alive(before) && still_theirs {
            Ok(number)
        } else {
            self.abandon(number);
            Err(gone())
        }
    }

    fn connect(
        &mut self,
        number: SessionNumber,
        uid: u32,
        request: &Request,
        socket: &UnixStream,
    ) -> Result<(), BeginError> {
        let stub = Arc::new(Stub::speak_over(socket.try_clone()?)?);
        stub::hear(socket.try_clone()?, number, self.to.clone(), self.drain.waker().try_clone()?)?;
        if let Some(work) = self.sessions.get_mut(number) {
            if request.outputs.contains(&OutputFile::Recording) {
                work.record_to(Arc::clone(&stub))?;
            }
            work.speak_to(Arc::clone(&stub), &request.outputs, request.summary.is_some());
        }
        let line = Line { socket: socket.try_clone()?, uid, stub: Tgid(request.stub), summary: request.summary };
        if let Some(standing) = self.standing.get_mut(&number) {
            standing.caller = Some(line);
        }
        if request.target == Target::NextChild {
            lock(&self.probes).trace_next_child(Tgid(request.stub), number)?;
        }
        stub.say(ToStub::Attached);
        Ok(())
    }

    /// Takes over running trees as one session; `None` where none of the roots runs any more or is somebody's already.
    pub(super) fn adopt(
        &mut self,
        roots: &[Tgid],
        plan: Plan,
        inheritance: Inheritance,
    ) -> Result<Option<SessionNumber>, BeginError> {
        let number = self.free_number()?;
        let tree = Arc::clone(&self.sessions.shop.tree);
        // Whoever asks from within the tree is to hear whose it is from the first moment on.
        lock(&self.ids).insert(number, plan.session.id);
        let captures = self.capture(number, &plan.capture).map_err(BeginError::from);
        let adopted = captures.and_then(|()| self.adopt_all(roots, number)).and_then(|adopted| {
            // Asked only now, because an answer takes its time, and what a process does meanwhile is not to be missed.
            let owner = |root: &Tgid| Some((root.0, ownership::find_other_owner_of(*root)?));
            match roots.iter().find_map(owner).filter(|_| adopted) {
                Some((pid, session)) => Err(BeginError::Owned { pid, session }),
                None => Ok(adopted),
            }
        });
        let mark = self.drain.mark();
        let stands = match adopted {
            Ok(true) => self.stand(number, plan),
            Ok(false) | Err(_) => Ok(()),
        };
        // One who was adopted and has ended since leaves events of a session that there is not: they are passed over.
        if !matches!((&adopted, &stands), (Ok(true), Ok(()))) {
            tree.release_all(number);
            self.capture_no_more(number);
            lock(&self.ids).remove(&number);
            return adopted.and(stands).map(|()| None);
        }
        if let Some(work) = self.sessions.get_mut(number) {
            work.hold();
        }
        if let Some(standing) = self.standing.get_mut(&number) {
            standing.adopting = Some(Adopting { until: mark, inheritance });
        }
        Ok(Some(number))
    }

    /// Whether any of the roots is this session's now.
    fn adopt_all(&mut self, roots: &[Tgid], number: SessionNumber) -> Result<bool, BeginError> {
        let tree = &self.sessions.shop.tree;
        let mut probes = lock(&self.probes);
        probes.begin_counting(number)?;
        probes.attach_syscalls()?;
        for root in roots {
            match probes.adopt_tree(tree, *root, number) {
                Ok(()) | Err(LiveError::NoSuchProcess { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(roots.iter().any(|root| tree.session_of(*root) == Some(number)))
    }

    /// Everything that a session needs but what it is to trace.
    fn stand(&mut self, number: SessionNumber, plan: Plan) -> Result<(), BeginError> {
        let Plan { session, target, lifetime, destination, owner, capture: _ } = plan;
        lock(&self.probes).attach_syscalls()?;
        let shop = &mut self.sessions.shop;
        let id = session.id;
        let now = shop.clock.read_both();
        let alive = shop.store.begin_lasting_session(&session, owner, now.wall)?;
        let couriers = self.delivery.send_for(&mut shop.store, id, &destination, &shop.account)?;
        let shelf = Shelf::new(id, couriers.wakers(), shop.account.clone());
        let mut work = Work::new(session, target, lifetime, shelf);
        work.take_event(Event::Clock(now), shop);
        self.sessions.add(number, work);
        if target == Target::NextChild {
            lock(&self.probes).begin_counting(number)?;
        }
        self.drain.count_for(number);
        lock(&self.ids).insert(number, id);
        let standing = Standing { couriers, _alive: alive, caller: None, adopting: None, closing: None };
        self.standing.insert(number, standing);
        Ok(())
    }

    /// It goes the way of every session that is over.
    fn abandon(&mut self, number: SessionNumber) {
        if let Some(work) = self.sessions.get_mut(number) {
            work.abandoned = true;
        }
    }

    /// A number whose slot no running session has.
    fn free_number(&mut self) -> Result<SessionNumber, BeginError> {
        let slots = u32::try_from(SESSIONS_MAX + 1).unwrap_or(u32::MAX);
        let taken: BTreeSet<u32> = self.standing.keys().map(|number| number.0 % slots).collect();
        if taken.len() >= SESSIONS_MAX {
            return Err(BeginError::Full);
        }
        loop {
            self.last_number = SessionNumber(self.last_number.0.wrapping_add(1));
            let slot = self.last_number.0 % slots;
            if slot != 0 && !taken.contains(&slot) {
                return Ok(self.last_number);
            }
        }
    }
}

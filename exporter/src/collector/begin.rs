//! A new session: its ids, and the trace that it joins or opens.

use std::fs::File;
use std::io::{self, Read};

use agentsight_ebpf::Tgid;
use agentsight_ebpf::live::user_ids;
use opentelemetry::trace::TraceId;

use super::host;
use crate::channel::Target;
use crate::graph::Traceparent;
use crate::session::{CallerContext, Session, SessionId, SessionOptions, UserId};

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes could be read from /dev/urandom: {0}")]
pub(crate) struct RandomError(#[from] io::Error);

/// A session that nobody can foretell the ids of.
pub(crate) fn begin_session(context: &CallerContext, options: &SessionOptions) -> Result<Session, RandomError> {
    let adopted = context
        .traceparent
        .as_deref()
        .filter(|_| options.adopt)
        .and_then(|text| Traceparent::parse(text.as_bytes()).ok())
        .filter(|parent| parent.sampled);
    Ok(Session {
        id: SessionId(random()?),
        trace_id: match adopted {
            Some(parent) => parent.span.trace_id,
            None => TraceId::from_bytes(random()?),
        },
        id_key: random()?,
        boot_id: host::boot_id(),
        host: host::describe(),
        caller: context.clone(),
        options: options.clone(),
    })
}

/// Whose session it will be: the user's whom its root process runs as. `asked_by` is the caller as the kernel knows it; root
/// may have `said` another, as sudo lets it. `None` where nobody but root should ask about it.
pub(crate) fn owner(target: Target, said: UserId, asked_by: UserId) -> Option<UserId> {
    match target {
        Target::NextChild if asked_by == UserId::ROOT => Some(said),
        Target::NextChild => Some(asked_by),
        Target::Running(process) => only_user(Tgid(process)),
    }
}

/// The user of a process; `None` where it has the rights of several, or is gone.
pub(crate) fn only_user(process: Tgid) -> Option<UserId> {
    let [uid, others @ ..] = user_ids(process)?;
    others.iter().all(|other| *other == uid).then_some(UserId(uid))
}

fn random() -> Result<[u8; 16], RandomError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_the_callers_and_root_alone_may_say_that_it_is_anothers() {
        let (root, user, other) = (UserId::ROOT, UserId(1000), UserId(1001));
        assert_eq!(owner(Target::NextChild, user, user), Some(user));
        assert_eq!(owner(Target::NextChild, other, user), Some(user));
        assert_eq!(owner(Target::NextChild, user, root), Some(user));
        let ours = Target::Running(std::process::id());
        assert_eq!(owner(ours, other, other), only_user(Tgid(std::process::id())), "whoever asks, it is its user's");
        assert_eq!(owner(Target::Running(u32::MAX), user, user), None);
    }
}

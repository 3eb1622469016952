//! A new session: its ids, and the trace that it joins or opens.

use std::fs::File;
use std::io::{self, Read};

use opentelemetry::trace::TraceId;

use super::host;
use crate::graph::Traceparent;
use crate::session::{CallerContext, Session, SessionId, SessionOptions};

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

fn random() -> Result<[u8; 16], RandomError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

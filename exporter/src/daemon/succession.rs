//! What a dead daemon traced and what still runs goes on in a new session, each process linked to the span that it had.

use std::collections::HashMap;
use std::time::Duration;

use agentsight_ebpf::live::is_alive;
use agentsight_ebpf::{CapturePolicy, EarlierSpan, ProcessKey, Tgid};

use super::beginning::{BeginError, Inheritance, Plan};
use super::service::Service;
use crate::channel::Target;
use crate::collector::begin;
use crate::collector::lifetime::{Lifetime, Scope};
use crate::otlp::settings::Settings;
use crate::session::{CallerContext, Session};
use crate::store::{Kind, Store, StoreError, UnendedSession};

impl Service {
    /// Each session that was left open goes on as a new one, if any of its processes lives. Trouble with one is logged.
    pub(super) fn succeed_the_dead(&mut self) {
        let left = self.sessions.shop.store.unended_sessions().unwrap_or_else(|error| {
            tracing::warn!(%error, "what a dead daemon left cannot be seen");
            Vec::new()
        });
        // The newest first: where one died while it took over from another, its word about a process is the later one.
        for left in left.into_iter().rev() {
            let id = left.session.id;
            match self.succeed(left) {
                Ok(true) => tracing::info!(session = %id, "it goes on in a new session"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, session = %id, "it does not go on"),
            }
        }
    }

    /// Where nothing of it lives, or it does not work out, it is ended with all others that were left.
    fn succeed(&mut self, left: UnendedSession) -> Result<bool, BeginError> {
        let (store, old) = (&self.sessions.shop.store, &left.session);
        let spans = still_running(store, old)?;
        let mut roots: Vec<ProcessKey> = spans.keys().copied().collect();
        roots.sort_by_key(|process| process.start);
        let roots: Vec<Tgid> = roots.into_iter().map(|process| process.tgid).collect();
        let Some(first) = roots.first() else { return Ok(false) };
        let plan = Plan {
            session: begin::begin_session(&CallerContext::default(), &old.options)?,
            target: Target::Running(first.0),
            lifetime: Lifetime::new(Scope::RunningTree, Duration::ZERO),
            destination: destination_of(store, old)?,
            owner: left.owner,
            // What its session had asked for died with the daemon.
            capture: CapturePolicy::default(),
        };
        Ok(self.adopt(&roots, plan, Inheritance { spans, from: Some(left) })?.is_some())
    }
}

/// The processes of a session that still run, each with its first span. Of an earlier boot nobody does.
fn still_running(store: &Store, old: &Session) -> Result<HashMap<ProcessKey, EarlierSpan>, StoreError> {
    if old.boot_id != crate::collector::host::boot_id() {
        return Ok(HashMap::new());
    }
    let open = store.left_open(old.id)?.into_iter().filter(|open| is_alive(open.process));
    Ok(open
        .map(|open| {
            let span = EarlierSpan { trace_id: open.span.trace_id.to_bytes(), span_id: open.span.span_id.to_bytes() };
            (open.process, span)
        })
        .collect())
}

/// Where it was sent, as far as that is still known.
fn destination_of(store: &Store, old: &Session) -> Result<Settings, StoreError> {
    let mut settings = Settings::default();
    for (kind, json) in store.settings_of(old.id)? {
        let endpoint = serde_json::from_str(&json.0)
            .inspect_err(|error| tracing::warn!(%error, "the settings of an endpoint are damaged"))
            .ok();
        match kind {
            Kind::Span => settings.traces = endpoint,
            Kind::Log => settings.logs = endpoint,
        }
    }
    Ok(settings)
}

//! Paths to answers. The document at `/api/v1/openapi.json` lists the same paths, and a test holds them together.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::AUTHORIZATION;
use hyper::{Method, Request};

use super::answer::{Answer, Trouble, json_answer};
use super::parameters::Parameters;
use super::right::Right;
use super::{Desk, jaeger, v1};
use crate::session::UserId;
use crate::store::{Door, Reader};

/// The form in which trouble is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Own,
    JaegerV3,
    Jaeger,
}

/// What answers a path, on a thread that may wait for the disk.
type Handler = Box<dyn FnOnce(&v1::Ask<'_>, Parameters) -> Result<serde_json::Value, Trouble> + Send>;

/// Answers one request.
pub(super) async fn answer<B>(desk: &Arc<Desk>, request: &Request<B>) -> Answer {
    let form = form(request.uri().path());
    let tell = |trouble: &Trouble| match form {
        Form::Own => trouble.answer(),
        Form::JaegerV3 => trouble.jaeger_v3(),
        Form::Jaeger => trouble.jaeger(),
    };
    match try_answer(desk, request).await {
        Ok(answer) => answer,
        Err(trouble) => tell(&trouble),
    }
}

fn form(path: &str) -> Form {
    if path.starts_with("/api/v3/") {
        Form::JaegerV3
    } else if path.starts_with("/api/") && !path.starts_with("/api/v1/") {
        Form::Jaeger
    } else {
        Form::Own
    }
}

async fn try_answer<B>(desk: &Arc<Desk>, request: &Request<B>) -> Result<Answer, Trouble> {
    let segments = segments(request.uri().path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if segments == ["api", "v1", "openapi.json"] {
        only_reads(request.method())?;
        return Ok(json_answer(&v1::openapi()));
    }
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let right = desk.tokens.right_of(authorization).ok_or(Trouble::Unauthorized)?;
    let handler = handler(&segments).ok_or(Trouble::NoSuchPath)?;
    only_reads(request.method())?;
    if right < right_needed(&segments) {
        return Err(Trouble::Forbidden);
    }
    let parameters = Parameters::of(request.uri().query())?;
    work(desk, handler, parameters).await
}

fn only_reads(method: &Method) -> Result<(), Trouble> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Trouble::Method) }
}

fn right_needed(segments: &[&str]) -> Right {
    if matches!(segments, ["api", "v1", "spans", _, _, "content"]) { Right::Contents } else { Right::Spans }
}

fn handler(segments: &[&str]) -> Option<Handler> {
    let own = |text: &str| text.to_owned();
    Some(match *segments {
        ["api", "v1", "sessions"] => Box::new(v1::sessions),
        ["api", "v1", "sessions", id] => {
            let id = own(id);
            Box::new(move |ask, parameters| v1::session(ask, &id, parameters))
        }
        ["api", "v1", "spans"] => Box::new(v1::spans),
        ["api", "v1", "spans", trace, span] => {
            let (trace, span) = (own(trace), own(span));
            Box::new(move |ask, parameters| v1::span(ask, &trace, &span, parameters))
        }
        ["api", "v1", "spans", trace, span, way @ ("why" | "impact")] => {
            let (trace, span) = (own(trace), own(span));
            let way = if way == "why" { crate::query::slice::Way::Why } else { crate::query::slice::Way::Impact };
            Box::new(move |ask, parameters| v1::slice(ask, &trace, &span, way, parameters))
        }
        ["api", "v1", "spans", trace, span, "content"] => {
            let (trace, span) = (own(trace), own(span));
            Box::new(move |ask, parameters| v1::content(ask, &trace, &span, parameters))
        }
        ["api", "v1", "traces", id] => {
            let id = own(id);
            Box::new(move |ask, parameters| v1::trace(ask, &id, parameters))
        }
        ["api", ref rest @ ..] => return jaeger::handler(rest),
        _ => return None,
    })
}

/// A path's parts, decoded once; a slash within a part stays there.
fn segments(path: &str) -> Result<Vec<String>, Trouble> {
    let decode = |part: &str| {
        // The parser of forms reads a plus as a space, which in a path it is not.
        let pair = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
        let value = form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned());
        value.filter(|value| !value.contains('\u{fffd}')).ok_or(Trouble::NoSuchPath)
    };
    path.trim_start_matches('/').split('/').map(decode).collect()
}

/// Waits for a turn, then answers, both within the time for one answer.
async fn work(desk: &Arc<Desk>, handler: Handler, parameters: Parameters) -> Result<Answer, Trouble> {
    let limit = desk.time_limit;
    let too_long = || Trouble::TooLong(limit.as_secs());
    let turn = tokio::time::timeout(limit, desk.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(too_long()) };
    let (tell, told) = tokio::sync::oneshot::channel();
    let asked = Arc::clone(desk);
    let mut task = tokio::task::spawn_blocking(move || -> Result<Answer, Trouble> {
        let store = asked.store.open()?;
        // Whoever waits may have gone.
        let _ = tell.send(store.interrupter());
        let user = UserId(nix::unistd::Uid::current().as_raw());
        let reader = (!asked.store.is_copy()).then_some(Reader { user, door: Door::Http });
        let ask = v1::Ask { store: &store, reader, limit: asked.time_limit, zone: &asked.zone };
        let body = handler(&ask, parameters);
        asked.store.put_back(store);
        body.map(|body| json_answer(&body))
    });
    let interrupter = tokio::time::timeout(limit, told).await;
    let result = match tokio::time::timeout(limit, &mut task).await {
        Ok(result) => result,
        Err(_) => {
            if let Ok(Ok(interrupter)) = interrupter {
                interrupter.interrupt();
            }
            // It ends at SQLite's next step; until then the turn is taken.
            let _ = tokio::time::timeout(GRACE, task).await;
            return Err(too_long());
        }
    };
    match result {
        Ok(Err(Trouble::TooLong(_))) => Err(too_long()),
        Ok(result) => result,
        Err(error) => Err(Trouble::Store(format!("the answer broke off: {error}"))),
    }
}

const GRACE: Duration = Duration::from_secs(5);

//! An OTLP/HTTP receiver of few lines, down to the bytes of its answers, that remembers what it saw.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

type Policy = Box<dyn FnMut(usize) -> String + Send>;

/// One request.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct HttpReceiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl HttpReceiver {
    /// Answers request number `n` (from 0) with these bytes, then closes the connection.
    pub(crate) async fn answering(policy: impl FnMut(usize) -> String + Send + 'static) -> Self {
        Self::listening(None, policy).await
    }

    pub(crate) async fn listening(
        tls: Option<TlsAcceptor>,
        policy: impl FnMut(usize) -> String + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let seen = Arc::default();
        let remembered = Arc::clone(&seen);
        let policy = Arc::new(Mutex::new(Box::new(policy) as Policy));
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, policy, tls) = (Arc::clone(&remembered), Arc::clone(&policy), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &policy).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &seen, &policy).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        };
        Self { address, seen, task: tokio::spawn(accept).abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for HttpReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with a status line, headers and a body.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<Seen>>,
    policy: &Mutex<Policy>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(place) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break place;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let answer = {
        let mut seen = seen.lock().unwrap();
        let answer = (policy.lock().unwrap())(seen.len());
        seen.push(Seen { at: Instant::now(), path, headers, body });
        answer
    };
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

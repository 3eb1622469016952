//! A conversation with a backend's HTTP API: overheard once, given again by somebody who stands in for the backend.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What was asked, without what depends on the time of asking, and the whole answer.
pub type Exchanges = BTreeMap<String, Vec<u8>>;

/// Somebody on the loopback interface who is asked in place of the backend.
#[derive(Debug)]
pub struct StandIn {
    port: u16,
    exchanges: Arc<Mutex<Exchanges>>,
    is_over: Arc<AtomicBool>,
}

/// Who knows the answers.
#[derive(Clone, Debug)]
pub enum Knows {
    /// The backend at this port, whose answers are kept.
    Backend(u16),
    /// These exchanges alone; anything else is answered with 500, and kept under its question.
    Exchanges(Exchanges),
    /// Nothing: each question is kept, and answered as if nothing had been found.
    Nothing,
}

impl StandIn {
    /// Listens until it is dropped.
    ///
    /// # Panics
    /// When the machine has no port to give.
    #[must_use]
    pub fn start(knows: Knows) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
        let port = listener.local_addr().expect("a listener has an address").port();
        let (exchanges, is_over) = (Arc::<Mutex<Exchanges>>::default(), Arc::<AtomicBool>::default());
        let (kept, told) = (Arc::clone(&exchanges), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                // A client may open a connection that it never uses.
                let (knows, kept) = (knows.clone(), Arc::clone(&kept));
                thread::spawn(move || answer(stream, &knows, &kept));
            }
        });
        Self { port, exchanges, is_over }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was said so far.
    #[must_use]
    pub fn exchanges(&self) -> Exchanges {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Reads exchanges that [`write`] wrote.
///
/// # Panics
/// When they are not there, or damaged.
#[must_use]
pub fn read(path: &Path) -> Exchanges {
    let packed = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let text = zstd::decode_all(&packed[..]).expect("it was packed by zstd");
    serde_json::from_slice(&text).expect("it was written as JSON")
}

/// Writes exchanges.
///
/// # Panics
/// When the disk does not take them.
pub fn write(path: &Path, exchanges: &Exchanges) {
    let text = serde_json::to_vec(exchanges).expect("texts and bytes have a JSON form");
    let packed = zstd::encode_all(&text[..], 19).expect("memory can be packed");
    fs::write(path, packed).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// One request, one answer, and the end of the connection.
fn answer(mut stream: TcpStream, knows: &Knows, kept: &Mutex<Exchanges>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = lasting(&target);
    let keep = |answer: &[u8]| {
        // Of answers about several times, the one that says most.
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let said = kept.entry(asked.clone()).or_default();
        if said.len() < answer.len() {
            *said = answer.to_vec();
        }
    };
    let said = match knows {
        Knows::Backend(port) => {
            let accept =
                head.lines().find(|line| line.to_ascii_lowercase().starts_with("accept:")).unwrap_or("Accept: */*");
            let said = forwarded(*port, &format!("GET {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n{accept}\r\n\r\n"))?;
            keep(&said);
            said
        }
        Knows::Exchanges(exchanges) => exchanges.get(&asked).cloned().unwrap_or_else(|| {
            keep(b"");
            format!("HTTP/1.0 500 Not Overheard\r\n\r\n{asked}").into_bytes()
        }),
        Knows::Nothing => {
            keep(b"");
            b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}".to_vec()
        }
    };
    stream.write_all(&said)
}

fn forwarded(port: u16, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(said)
}

/// A path and its parameters but for the times, which are other ones at each asking.
fn lasting(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let lasting: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with("start=") && !pair.starts_with("end=")).collect();
    format!("{path}?{}", lasting.join("&"))
}

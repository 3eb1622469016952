//! Servers, asked from outside, where nobody traces.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::backend::free_ports;
use agentsight_tests::requirement::find_program;

use crate::way::{Outcome, Way, end_descendants};
use crate::work::{Numbers, Place};

/// A model of sentences from a package, with real weights, in NumPy alone.
pub(crate) fn model(way: Way, place: &Place) -> Option<(Numbers, Outcome)> {
    if way == Way::Neighbour {
        return None;
    }
    let (port, words) = model_server()?;
    let running = way.start(&words);
    if !is_ready(port) {
        running.end();
        return None;
    }
    for _ in 0..10 {
        ask(port, "/embed");
    }
    let before: Vec<f64> = said(&ask(port, "/usage")?);
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..if place.quick { 50 } else { 150 } {
        let begun = Instant::now();
        ask(port, "/embed")?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let after: Vec<f64> = said(&ask(port, "/usage")?);
    let outcome = running.end();
    times.sort_by(f64::total_cmp);
    let at = |per_cent: usize| times[(times.len() * per_cent / 100).min(times.len() - 1)];
    let numbers = [
        ("p50 ms", at(50)),
        ("p99 ms", at(99)),
        ("CPU ms a request", (after.first()? - before.first()?) * 1e3 / times.len() as f64),
        ("RSS MiB", *after.get(1)?),
    ];
    Some((numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).collect(), outcome))
}

/// System calls that the model's server makes for a request, as strace counts them; `None` where that is missing.
pub(crate) fn calls_a_request(place: &Place) -> Option<f64> {
    const FEW: u32 = 50;
    const MANY: u32 = 150;
    let counted = |requests: u32| {
        let (port, words) = model_server()?;
        let file = place.folder.join("counted");
        let mut strace = Command::new(find_program("strace")?);
        strace.args(["-f", "-c", "-o"]).arg(&file).args(words).stdin(Stdio::null()).stderr(Stdio::null());
        let mut process = strace.spawn().ok()?;
        let answered = is_ready(port) && (0..requests).all(|_| ask(port, "/embed").is_some());
        end_descendants(process.id());
        process.wait().ok()?;
        let text = fs::read_to_string(file).ok().filter(|_| answered)?;
        // "100.00    0.012345           3      4120        12 total"
        let total = text.lines().find(|line| line.ends_with(" total"))?;
        total.split_whitespace().nth(3)?.parse::<u32>().ok()
    };
    Some(f64::from(counted(MANY)?.checked_sub(counted(FEW)?)?) / f64::from(MANY - FEW))
}

/// Where it will listen, and its command; `None` where it cannot be installed.
fn model_server() -> Option<(u16, Vec<String>)> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cost");
    let built = Command::new(here.join("model.sh")).output().ok().filter(|output| output.status.success())?;
    let python = String::from_utf8(built.stdout).ok()?.trim().to_owned();
    let [port] = free_ports();
    Some((port, vec![python, here.join("model_server.py").display().to_string(), port.to_string()]))
}

fn is_ready(port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask(port, "/ready").is_none() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn said(text: &str) -> Vec<f64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The answer's body; a connection for each question, as small clients do.
fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    if !line.contains(" 200 ") {
        return None;
    }
    let mut rest = String::new();
    reader.read_to_string(&mut rest).ok()?;
    rest.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// What redis-benchmark takes of a server that is traced, or that is a neighbour.
pub(crate) fn redis(way: Way, place: &Place) -> Option<(Numbers, Outcome)> {
    let (server, client) = (find_program("redis-server")?, find_program("redis-benchmark")?);
    let [port] = free_ports();
    let port = port.to_string();
    let words = [&server.display().to_string(), "--port", &port, "--save", "", "--bind", "127.0.0.1"];
    let running = way.start(&words.map(str::to_owned));
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        if Instant::now() > deadline {
            running.end();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let requests = place.scaled(50_000).to_string();
    let asked =
        Command::new(client).args(["-p", &port, "-n", &requests, "-c", "8", "-t", "set,get", "--csv"]).output().ok()?;
    let outcome = running.end();
    let text = String::from_utf8_lossy(&asked.stdout);
    // "SET","12345.67","0.123",…: requests a second, then milliseconds.
    let numbers: Numbers = text
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').map(|field| field.trim_matches('"')).collect();
            let rate: f64 = fields.get(1)?.parse().ok()?;
            Some((format!("{} µs a request", fields.first()?), 1e6 / rate))
        })
        .collect();
    if numbers.is_empty() { None } else { Some((numbers, outcome)) }
}

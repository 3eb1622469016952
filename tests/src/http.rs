//! The least of an HTTP client: one request on the loopback interface.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Status code and body of `GET path`, or `None` while nobody answers there.
#[must_use]
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
}

/// Status code and body of `POST path` with a body of JSON, or `None` while nobody answers there.
#[must_use]
pub fn post_json(port: u16, path: &str, body: &str) -> Option<(u16, String)> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json");
    ask(port, &format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// A text as a URL's parameter has it: every byte by its number.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The text that a URL's parameter says.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn decoded(parameter: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = parameter.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("a percent sign is followed by two hex digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("a parameter is UTF-8")
}

/// HTTP/1.0, so that the server closes at the end and sends no chunks.
fn ask(port: u16, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

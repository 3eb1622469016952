//! `agentsight serve` for one test, on a free port, and a client that has its token.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::agentsight::{Agentsight, path_text};

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    token: String,
    content_token: Option<String>,
}

impl Server {
    /// Serves the store of `agentsight`, and waits until it answers.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    #[track_caller]
    pub fn start(agentsight: &Agentsight) -> Self {
        Self::launch(agentsight, None)
    }

    /// As [`start`](Self::start), with contents for whoever has the token for them.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    #[track_caller]
    pub fn start_with_contents(agentsight: &Agentsight) -> Self {
        Self::launch(agentsight, Some(agentsight.directory().join("content-token")))
    }

    #[track_caller]
    fn launch(agentsight: &Agentsight, content_token_file: Option<PathBuf>) -> Self {
        let token_file = agentsight.directory().join("api-token");
        let serve = ["serve", "--listen", "127.0.0.1:0", "--token-file", path_text(&token_file)];
        let mut command = agentsight.command(serve);
        command.args(content_token_file.iter().flat_map(|file| ["--content-token-file", path_text(file)]));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("agentsight starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        let port = port.unwrap_or_else(|| panic!("it does not say where it listens: {line:?}"));
        let token_in = |file: PathBuf| fs::read_to_string(file).expect("it made a token").trim().to_owned();
        Self { process, port, token: token_in(token_file), content_token: content_token_file.map(token_in) }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What opens it.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What opens contents too.
    ///
    /// # Panics
    /// When it serves none.
    #[must_use]
    #[track_caller]
    pub fn content_token(&self) -> &str {
        self.content_token.as_deref().expect("it was started with contents")
    }

    /// Status code and JSON of `GET path`.
    ///
    /// # Panics
    /// When it does not answer in JSON.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.get_by(&self.token, path)
    }

    /// The same for whoever has another token.
    ///
    /// # Panics
    /// When it does not answer in JSON.
    #[must_use]
    #[track_caller]
    pub fn get_by(&self, token: &str, path: &str) -> (u16, serde_json::Value) {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        let (code, _, body) = self.send(&head);
        (code, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }

    /// Status code, head and body of the answer to these bytes.
    ///
    /// # Panics
    /// When it does not answer in HTTP.
    #[must_use]
    #[track_caller]
    pub fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        // It may answer, and close, before it has read all.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line has a code");
        (code, head.to_owned(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

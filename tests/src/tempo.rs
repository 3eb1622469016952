//! A real Tempo, where the environment names one: `TEMPO_BINARY`, which is started, or the ports of one that runs.

use std::env;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::agentsight::path_text;
use crate::backend::{Running, free_ports};
use crate::deadline::wait_for;
use crate::directory::Directory;
use crate::http::{encoded, get};

/// A Tempo that answers.
#[derive(Debug)]
pub struct Tempo {
    http: u16,
    otlp_http: u16,
    _process: Option<(Running, Directory)>,
}

impl Tempo {
    /// The one that is named by `TEMPO_BINARY`, or by `TEMPO_PORT` (its HTTP API) and `TEMPO_OTLP_PORT` (OTLP/HTTP); says loudly
    /// that there is none otherwise.
    ///
    /// # Panics
    /// When it does not come up; the message has its log.
    #[must_use]
    pub fn named() -> Option<Self> {
        if let Some(binary) = env::var_os("TEMPO_BINARY") {
            return Some(Self::start(Command::new(binary)));
        }
        let port = |name| env::var(name).ok().map(|port| port.parse().unwrap_or_else(|_| panic!("{name} is no port")));
        if let (Some(http), Some(otlp_http)) = (port("TEMPO_PORT"), port("TEMPO_OTLP_PORT")) {
            return Some(Self { http, otlp_http, _process: None });
        }
        eprintln!(
            "NOT RUN: there is no Tempo to ask. Name its program in TEMPO_BINARY, or its ports in TEMPO_PORT (HTTP API) and TEMPO_OTLP_PORT (OTLP/HTTP)"
        );
        None
    }

    fn start(mut command: Command) -> Self {
        let directory = Directory::new();
        let [http, grpc, otlp_grpc, otlp_http] = free_ports();
        let (log, settings) = (directory.join("tempo.log"), directory.join("tempo.yaml"));
        let data = path_text(directory.path());
        let text = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
distributor: {{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{otlp_grpc}'}}, http: {{endpoint: '127.0.0.1:{otlp_http}'}}}}}}}}}}
storage: {{trace: {{backend: local, local: {{path: {data}/blocks}}, wal: {{path: {data}/wal}}}}}}
live_store: {{wal: {{path: {data}/live}}, shutdown_marker_dir: {data}/marker}}
backend_scheduler: {{local_work_path: {data}}}
usage_report: {{reporting_enabled: false}}
"
        );
        fs::write(&settings, text).expect("the test's directory is writable");
        let output = File::create(&log).expect("the test's directory is writable");
        command.arg(format!("-config.file={}", path_text(&settings))).current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut process = Running(command.spawn().unwrap_or_else(|error| panic!("TEMPO_BINARY: {error}")));
        wait_for("Tempo to be ready", Duration::from_secs(60), || {
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("Tempo ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            get(http, "/ready").filter(|(code, _)| *code == 200)
        });
        Self { http, otlp_http, _process: Some((process, directory)) }
    }

    /// The port of its HTTP API.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.http
    }

    /// Where it takes OTLP/HTTP; `/v1/traces` is for the sender to add.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_http)
    }

    /// Waits until its search finds so many spans of a session: spans come to it a while after they were taken.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_until_found(&self, session: &str, count: u64) {
        let question = encoded(&format!("{{ span.agentsight.session.id = \"{session}\" }}"));
        let mut seen = 0;
        wait_for("Tempo to find what it took", Duration::from_secs(120), || {
            let (code, body) = get(self.http, &format!("/api/search?q={question}&limit=1000&spss=1"))?;
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let traces = body["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
            seen = traces.iter().filter_map(|trace| trace["spanSets"][0]["matched"].as_u64()).sum();
            (code == 200 && seen >= count).then_some(())
        });
    }
}

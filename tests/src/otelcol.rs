//! A real OpenTelemetry Collector, started with a shipped configuration on free ports.

mod settings;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use settings::{Ports, Settings};

use crate::backend::{Running, cached};
use crate::deadline::wait_for;
use crate::directory::Directory;
use crate::http::get;

/// A Collector that runs until it is dropped.
#[derive(Debug)]
pub struct Otelcol {
    /// Where it listens.
    pub ports: Ports,
    process: Running,
    log: PathBuf,
}

impl Otelcol {
    /// Starts one with these settings and this environment, its files in `home`, and waits until it takes data.
    ///
    /// # Panics
    /// When it cannot be built or does not come up; the message has its log.
    #[must_use]
    #[track_caller]
    pub fn start(settings: Settings, environment: &[(&str, &str)], home: &Directory) -> Self {
        let (text, ports) = settings.on_free_ports();
        let number = (0..).find(|number| !home.join(&format!("otelcol-{number}.log")).exists()).unwrap_or_default();
        let (config, log) = (home.join(&format!("otelcol-{number}.json")), home.join(&format!("otelcol-{number}.log")));
        fs::write(&config, text).expect("the test's directory is writable");
        let mut command = Command::new(cached("otelcol"));
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("OTELCOL_LISTEN", "127.0.0.1").env("OTELCOL_STORAGE", home.join("queue"));
        command.envs(environment.iter().copied());
        command.stderr(File::create(&log).expect("the test's directory is writable"));
        let mut process = Running(command.spawn().expect("the Collector that was built can be started"));
        wait_for("the Collector to be ready", Duration::from_secs(60), || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("the Collector ended with {status}:\n{said}");
            }
            said.contains("Everything is ready").then_some(())
        });
        Self { ports, process, log }
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asserts that it complained of nothing in its configuration: no old name, no old setting.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn assert_up_to_date(&self) {
        let log = self.log();
        assert!(!log.to_lowercase().contains("deprecated"), "{log}");
    }

    /// What its Prometheus exporter shows.
    #[must_use]
    pub fn metrics(&self) -> String {
        get(self.ports.prometheus, "/metrics").map(|(_, body)| body).unwrap_or_default()
    }

    /// What it says of itself: the sum of all series of this metric.
    #[must_use]
    pub fn own_metric(&self, name: &str) -> f64 {
        let text = get(self.ports.own, "/metrics").map(|(_, body)| body).unwrap_or_default();
        let series =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Ends it as a power cut would: SIGKILL.
    pub fn kill(self) {
        drop(self.process);
    }
}

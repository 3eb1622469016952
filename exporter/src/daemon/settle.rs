//! What holds in the end: flags over the environment over the file over what is built in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentsight_ebpf::live::CaptureRoom;
use agentsight_ebpf::{Budgets, CapturePolicy, PolicyError, StreamKind};

use super::config::{Capture, Compression, Config, Export, Names, Protocol, Rule, Stream};
use super::load::{self, ConfigError};
use super::rules;
use super::scalar::{self, Glob, Several};
use crate::otlp::settings::{Flags, Settings, SettingsError};
use crate::session::SessionOptions;
use crate::store::{CONTENT_LIMITS, Limits};

/// What the command line and the environment say; it does not change while the daemon runs.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// `--service`.
    pub service: Option<String>,
    /// `--live-after`.
    pub live_after: Option<Duration>,
    /// `--ring-bytes`.
    pub ring_bytes: Option<u32>,
    /// `--btf`.
    pub btf: Option<PathBuf>,
    /// `--no-self-telemetry`.
    pub no_self_telemetry: bool,
    /// `--endpoint` and its kin.
    pub destination: Flags,
    /// The `OTEL_*` variables.
    pub environment: BTreeMap<String, String>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The file.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// Where spans go.
    #[error(transparent)]
    Destination(#[from] SettingsError),
    /// What may be captured.
    #[error(transparent)]
    Capture(#[from] PolicyError),
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) socket: PathBuf,
    pub(crate) destination: Settings,
    pub(crate) options: SessionOptions,
    pub(crate) self_telemetry: bool,
    pub(crate) ring_bytes: Option<u32>,
    pub(crate) btf: Option<PathBuf>,
    pub(crate) rules: Vec<rules::Rule>,
    pub(crate) capture: Option<Capturing>,
}

/// What of payload may be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capturing {
    pub(crate) allowed: CapturePolicy,
    pub(crate) room: CaptureRoom,
    pub(crate) keep: Limits,
}

/// Reads the file, where there is one, and puts what holds together.
pub(crate) fn settle(overrides: &Overrides, default_socket: &Path) -> Result<Settled, SettleError> {
    let file = overrides.config.as_deref().map(load::load).transpose()?.unwrap_or_default();
    let built_in = SessionOptions::default();
    let live_after = overrides.live_after.or(file.live_after.map(|moment| moment.0));
    let variables = with_environment(export_variables(&file.export), &overrides.environment);
    Ok(Settled {
        socket: overrides.socket.clone().or(file.socket.clone()).unwrap_or_else(|| default_socket.to_owned()),
        destination: Settings::parse(&variables, &overrides.destination, |path| std::fs::read(path))?,
        options: SessionOptions {
            service: overrides.service.clone().or(file.service.clone()),
            target_names: file.names.is_none_or(|names| names == Names::Target),
            adopt: file.adopt_traceparent.unwrap_or(built_in.adopt),
            live_after_nanos: live_after
                .map_or(built_in.live_after_nanos, |moment| u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)),
            content_on_spans: file.capture.as_ref().and_then(|capture| capture.on_spans).unwrap_or(false),
            ..built_in
        },
        self_telemetry: !overrides.no_self_telemetry && file.self_telemetry.unwrap_or(true),
        ring_bytes: overrides.ring_bytes.or(file.ring_bytes),
        btf: overrides.btf.clone().or(file.btf.clone()),
        capture: file.capture.as_ref().map(make_capture).transpose()?,
        rules: make_rules(file),
    })
}

fn make_capture(capture: &Capture) -> Result<Capturing, SettleError> {
    let paths = |several: &Several<scalar::Path>| several.0.iter().map(|path| path.0.clone()).collect();
    let kind = |stream: &Stream| match stream {
        Stream::Pipe => StreamKind::Pipe,
        Stream::Unix => StreamKind::Unix,
        Stream::Tty => StreamKind::Tty,
    };
    let (budgets, room) = (Budgets::default(), CaptureRoom::default());
    let allowed = CapturePolicy {
        files: paths(&capture.allow),
        denied_files: paths(&capture.deny),
        networks: capture.net.0.iter().map(|end| end.0.clone()).collect(),
        streams: capture.streams.0.iter().map(kind).collect(),
        budgets: Budgets {
            burst_bytes: capture.budgets.burst_bytes.unwrap_or(budgets.burst_bytes),
            session_bytes: capture.budgets.session_bytes.unwrap_or(budgets.session_bytes),
        },
        ..CapturePolicy::default()
    };
    // Found out now, and not when the first session wants it.
    allowed.automaton()?;
    let room = CaptureRoom {
        ring_bytes: capture.budgets.ring_bytes.unwrap_or(room.ring_bytes),
        bytes_per_minute: capture.budgets.bytes_per_minute.unwrap_or(room.bytes_per_minute),
        ..room
    };
    let keep = Limits {
        bytes: capture.keep.bytes.unwrap_or(CONTENT_LIMITS.bytes),
        age: capture.keep.age.map_or(CONTENT_LIMITS.age, |age| age.0),
    };
    Ok(Capturing { allowed, room, keep })
}

fn make_rules(file: Config) -> Vec<rules::Rule> {
    (1..).zip(file.rules).map(|(number, rule)| make_rule(number, rule)).collect()
}

fn make_rule(number: usize, rule: Rule) -> rules::Rule {
    let globs = |several: Several<Glob>| several.0.into_iter().map(|glob| glob.0).collect();
    rules::Rule {
        name: rule.name.unwrap_or_else(|| format!("number {number}")),
        executable: globs(rule.executable),
        command_line: globs(rule.command_line),
        cgroup: globs(rule.cgroup),
        container_id: globs(rule.container.id),
        container_name: globs(rule.container.name),
        container_image: globs(rule.container.image),
        users: rule.user.0.into_iter().map(|user| user.0).collect(),
        service: rule.service,
        captures: rule.capture.unwrap_or(false),
    }
}

/// The file's words for where spans go, as the standard variables say them, so that one reader checks both.
fn export_variables(export: &Export) -> BTreeMap<String, String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let headers: Vec<String> = export.headers.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let protocol = export.protocol.map(|protocol| match protocol {
        Protocol::Grpc => "grpc",
        Protocol::HttpProtobuf => "http/protobuf",
        Protocol::HttpJson => "http/json",
    });
    let compression = export.compression.map(|compression| match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    });
    let all = [
        ("ENDPOINT", export.endpoint.as_ref().map(|url| url.0.clone())),
        ("PROTOCOL", protocol.map(str::to_owned)),
        ("HEADERS", Some(headers.join(",")).filter(|headers| !headers.is_empty())),
        ("TIMEOUT", export.timeout.map(|moment| moment.0.as_millis().to_string())),
        ("COMPRESSION", compression.map(str::to_owned)),
        ("CERTIFICATE", path(&export.certificate)),
        ("CLIENT_CERTIFICATE", path(&export.client_certificate)),
        ("CLIENT_KEY", path(&export.client_key)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((format!("OTEL_EXPORTER_OTLP_{name}"), value?))).collect()
}

/// By the specification an empty variable is as good as none: it does not hide the file's word.
fn with_environment(
    mut variables: BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let said = environment.iter().filter(|(_, value)| !value.trim().is_empty());
    variables.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// What the variable for headers gives a meaning to is written as `%XX`.
fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'%' | b',' | b';' | b'"' | b'\\' | ..=b' ' | 0x7f.. => {
                let _ = write!(text, "%{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    const FILE: &str = "
        socket: /file.sock
        service: file
        live_after: 3s
        export: {endpoint: 'http://file:4317', headers: {key: 'a,b=c d'}, timeout: 7s}
        rules: [{executable: '*/a'}, {name: second, user: 0}]
    ";

    fn settled(file: Option<&str>, overrides: Overrides) -> Settled {
        let scratch = Scratch::new();
        let path = scratch.path().join("agentsight.yaml");
        let config = file.map(|text| {
            std::fs::write(&path, text).expect("the folder is ours");
            path
        });
        settle(&Overrides { config, ..overrides }, Path::new("/built-in.sock")).expect("it is well")
    }

    fn url(settled: &Settled) -> Option<&str> {
        settled.destination.traces.as_ref().map(|endpoint| endpoint.url.as_str())
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file_which_wins_over_what_is_built_in() {
        let nothing = settled(None, Overrides::default());
        assert_eq!((nothing.socket.as_path(), url(&nothing)), (Path::new("/built-in.sock"), None));
        assert_eq!(nothing.options, SessionOptions::default());

        let file = settled(Some(FILE), Overrides::default());
        assert_eq!((file.socket.as_path(), url(&file)), (Path::new("/file.sock"), Some("http://file:4317/")));
        assert_eq!((file.options.service.as_deref(), file.options.live_after_nanos), (Some("file"), 3_000_000_000));
        assert_eq!(file.destination.traces.as_ref().map(|endpoint| endpoint.timeout_millis), Some(7_000));

        let variable = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "http://variable:4317".to_owned());
        let empty = ("OTEL_EXPORTER_OTLP_TIMEOUT".to_owned(), String::new());
        let mut overrides = Overrides { environment: BTreeMap::from([variable, empty]), ..Overrides::default() };
        let environment = settled(Some(FILE), overrides.clone());
        assert_eq!(url(&environment), Some("http://variable:4317/"));
        assert_eq!(environment.destination.traces.as_ref().map(|endpoint| endpoint.timeout_millis), Some(7_000));

        overrides.destination.endpoint = Some("http://flag:4317".to_owned());
        overrides.service = Some("flag".to_owned());
        let flags = settled(Some(FILE), overrides);
        assert_eq!((url(&flags), flags.options.service.as_deref()), (Some("http://flag:4317/"), Some("flag")));
    }

    #[test]
    fn a_header_of_the_file_arrives_as_it_was_written() {
        let file = settled(Some(FILE), Overrides::default());
        let endpoint = file.destination.traces.expect("there is one");
        let headers = serde_json::to_string(&endpoint.headers).expect("they are text");
        assert!(headers.contains("a,b=c d"), "{headers}");
    }

    #[test]
    fn what_may_be_captured_is_nothing_unless_the_file_says_it() {
        assert_eq!(settled(Some(FILE), Overrides::default()).capture, None);
        let file = "
            capture:
              allow: ['*.yaml', /srv/]
              deny: '*.key'
              net: api.internal:8080
              streams: [pipe, tty]
              on_spans: true
              budgets: {session_bytes: 1000, bytes_per_minute: 7}
              keep: {age: 1d}
            rules: [{executable: '*/a', capture: true}, {executable: '*/b'}]
        ";
        let file = settled(Some(file), Overrides::default());
        let Capturing { allowed, room, keep } = file.capture.expect("the file says it");
        let table = allowed.automaton().expect("they are few");
        assert!(table.matches(b"/srv/x") && !table.matches(b"/srv/x.key") && !table.matches(b"/x"));
        assert_eq!(allowed.names().collect::<Vec<_>>(), ["api.internal"]);
        assert_eq!(allowed.streams, [StreamKind::Pipe, StreamKind::Tty].into());
        assert_eq!(allowed.budgets, Budgets { session_bytes: 1000, ..Budgets::default() });
        assert_eq!(room, CaptureRoom { bytes_per_minute: 7, ..CaptureRoom::default() });
        assert_eq!(keep, Limits { age: Duration::from_secs(86_400), ..CONTENT_LIMITS });
        assert!(file.options.content_on_spans);
        assert_eq!(file.rules.iter().map(|rule| rule.captures).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn rules_keep_their_order_and_have_names() {
        let file = settled(Some(FILE), Overrides::default());
        let names: Vec<&str> = file.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["number 1", "second"]);
        assert_eq!(file.rules[1].users, [0]);
    }
}

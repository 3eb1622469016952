use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Compression, Endpoint, Flags, Protocol, Settings, SettingsError};

const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn parse_with(variables: &[(&str, &str)], flags: &Flags) -> Result<Settings, SettingsError> {
    let environment: BTreeMap<_, _> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Settings::parse(&environment, flags, |path: &Path| match path.to_str() {
        Some("ca.pem") => Ok(rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem().into_bytes()),
        Some("key.pem") => Ok(rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes()),
        Some("junk.pem") => Ok(b"junk".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

fn parse(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    parse_with(variables, &Flags::default())
}

fn traces(variables: &[(&str, &str)]) -> Endpoint {
    parse(variables).unwrap().traces.unwrap()
}

fn refusal(variables: &[(&str, &str)]) -> String {
    parse(variables).unwrap_err().to_string()
}

#[test]
fn without_an_endpoint_nothing_is_sent() {
    assert_eq!(parse(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap(), Settings::default());
    assert_eq!(parse(&[(BASE, "")]).unwrap(), Settings::default());
}

#[test]
fn port_4317_means_grpc_and_any_other_http() {
    assert_eq!(traces(&[(BASE, "http://localhost:4317")]).protocol, Protocol::Grpc);
    assert_eq!(traces(&[(BASE, "localhost:4317")]).protocol, Protocol::Grpc);
    assert_eq!(traces(&[(BASE, "http://localhost:4318")]).protocol, Protocol::HttpProtobuf);
    assert_eq!(traces(&[(BASE, "https://otlp.example.com")]).protocol, Protocol::HttpProtobuf);
    let said = traces(&[(BASE, "http://localhost:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
    assert_eq!(said.protocol, Protocol::HttpJson);
}

#[test]
fn a_generic_http_url_gets_the_signals_path_and_a_signals_own_is_used_as_it_is() {
    let settings =
        parse(&[(BASE, "https://host/otlp/?tenant=7"), ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://other:9/take")])
            .unwrap();
    assert_eq!(settings.traces.unwrap().url, "https://host/otlp/v1/traces?tenant=7");
    assert_eq!(settings.logs.unwrap().url, "http://other:9/take");
    assert_eq!(settings.metrics.unwrap().url, "https://host/otlp/v1/metrics?tenant=7");
}

#[test]
fn over_grpc_the_scheme_decides_on_tls_and_insecure_only_where_there_is_none() {
    let url = |endpoint, insecure| {
        traces(&[(BASE, endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_INSECURE", insecure)])
            .url
    };
    assert_eq!(url("http://host:1", "false"), "http://host:1/");
    assert_eq!(url("https://host:1", "true"), "https://host:1/");
    assert_eq!(url("host:1", "true"), "http://host:1/");
    assert_eq!(url("host:1", "FALSE"), "https://host:1/");
    assert_eq!(url("host:1", ""), "https://host:1/");
    assert_eq!(url("http://host:1/v1/traces", ""), "http://host:1/");
}

#[test]
fn a_signals_own_variable_wins_over_the_generic_one() {
    let settings = parse(&[
        (BASE, "http://host:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "zstd"),
    ])
    .unwrap();
    let (traces, logs) = (settings.traces.unwrap(), settings.logs.unwrap());
    assert_eq!((traces.timeout_millis, traces.compression), (3000, Compression::Gzip));
    assert_eq!((logs.timeout_millis, logs.compression), (2000, Compression::Zstd));
    assert_eq!(settings.metrics.unwrap().compression, Compression::Gzip);
}

#[test]
fn flags_win_over_every_variable() {
    let flags = Flags {
        endpoint: Some("http://flag:4318".to_owned()),
        protocol: Some("http/json".to_owned()),
        headers: vec!["a=1".to_owned(), "b=2,c=3".to_owned()],
    };
    let settings = parse_with(
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://variable:1/x"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "d=4"),
        ],
        &flags,
    );
    let traces = settings.unwrap().traces.unwrap();
    assert_eq!((traces.url.as_str(), traces.protocol), ("http://flag:4318/v1/traces", Protocol::HttpJson));
    assert_eq!(traces.headers.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2"), ("c", "3")]);
}

#[test]
fn an_exporter_other_than_otlp_sends_nothing() {
    let settings =
        parse(&[(BASE, "http://host:4318"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "console, otlp")])
            .unwrap();
    assert_eq!((settings.traces.is_some(), settings.logs.is_some()), (false, true));
}

#[test]
fn header_values_are_percent_decoded() {
    let traces = traces(&[
        (BASE, "http://host:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a%2Cb==, x-Team = core ,,x-team=edge"),
    ]);
    assert_eq!(traces.headers.iter().collect::<Vec<_>>(), [("authorization", "Bearer a,b=="), ("x-team", "edge")]);
}

#[test]
fn secrets_are_in_no_debug_output_and_no_error() {
    let traces = traces(&[
        (BASE, "https://host:4318?key=s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"),
    ]);
    let shown = format!("{traces:?}");
    assert!(shown.contains("api-key") && !shown.contains("s3cret") && !shown.contains("PRIVATE"), "{shown}");
    for bad in ["api-key=s3cret%", "s3cret", "k\u{1}=s3cret", "k=s3cret%00"] {
        let said = refusal(&[(BASE, "http://host:4318"), ("OTEL_EXPORTER_OTLP_HEADERS", bad)]);
        assert!(said.contains("OTEL_EXPORTER_OTLP_HEADERS") && !said.contains("s3cret"), "{said}");
    }
    for bad in ["https://me:s3cret@host", "grpc//me:s3cret@host", "ftp://me:s3cret@host:x"] {
        let said = refusal(&[(BASE, bad)]);
        assert!(said.contains(BASE) && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_bad_value_is_refused_with_its_variable_its_value_and_what_is_expected() {
    let with_base = |name, value| refusal(&[(BASE, "http://host:4318"), (name, value)]);
    for (said, parts) in [
        (refusal(&[(BASE, "localhost:4318")]), [BASE, "localhost:4318", "http://"]),
        (refusal(&[(BASE, "http://")]), [BASE, "http://", "a URL"]),
        (refusal(&[(BASE, "unix:///run/x:4317")]), [BASE, "unix:", "a URL"]),
        (with_base("OTEL_EXPORTER_OTLP_PROTOCOL", "gprc"), ["OTLP_PROTOCOL", "gprc", "http/protobuf"]),
        (with_base("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"), ["TRACES_TIMEOUT", "10s", "milliseconds"]),
        (with_base("OTEL_EXPORTER_OTLP_COMPRESSION", "br"), ["COMPRESSION", "br", "zstd"]),
        (with_base("OTEL_EXPORTER_OTLP_CERTIFICATE", "no.pem"), ["OTLP_CERTIFICATE", "no.pem", "cannot read"]),
        (with_base("OTEL_EXPORTER_OTLP_CERTIFICATE", "junk.pem"), ["OTLP_CERTIFICATE", "junk.pem", "PEM"]),
        (
            with_base("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "key.pem"),
            ["LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "together"],
        ),
        (
            refusal(&[(BASE, "host:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "yes")]),
            ["OTEL_EXPORTER_OTLP_INSECURE", "yes", "true or false"],
        ),
    ] {
        for part in parts {
            assert!(said.contains(part), "{said:?} lacks {part:?}");
        }
    }
}

#[test]
fn settings_survive_the_way_to_the_collector() {
    let settings = parse(&[
        (BASE, "https://host:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=v"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
    ])
    .unwrap();
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
}

//! One signal's endpoint, from its variables.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use reqwest::Url;

use super::source::{Given, Scope, flag_or_variable, variable};
use super::{Compression, Endpoint, Flags, Headers, Protocol, SettingsError, SignalName, tls};

/// The specification's default.
const DEFAULT_TIMEOUT_MILLIS: u64 = 10_000;
/// The specification's "0 is no limit"; a connection that hangs must not hold up the store for ever.
const LONGEST_TIMEOUT_MILLIS: u64 = 3_600_000;
/// Registered for OTLP/gRPC.
const GRPC_PORT: u16 = 4317;

const URL_EXPECTED: &str = "a URL such as http://localhost:4317 (gRPC) or https://host:4318 (HTTP)";

pub(super) fn parse(
    signal: SignalName,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
    read_file: &impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Option<Endpoint>, SettingsError> {
    let endpoint = flag_or_variable(("--endpoint", flags.endpoint.as_ref()), environment, signal, "ENDPOINT");
    let Some(endpoint) = endpoint else { return Ok(None) };
    if !wants_otlp(signal, environment) {
        return Ok(None);
    }
    let protocol = flag_or_variable(("--protocol", flags.protocol.as_ref()), environment, signal, "PROTOCOL");
    let protocol = match protocol {
        Some(given) => parse_protocol(&given)?,
        None if port(&endpoint.value) == Some(GRPC_PORT) => Protocol::Grpc,
        None => Protocol::HttpProtobuf,
    };
    let url = match protocol {
        Protocol::Grpc => grpc_url(&endpoint, variable(environment, signal, "INSECURE"))?,
        Protocol::HttpProtobuf | Protocol::HttpJson => http_url(&endpoint, signal)?,
    };
    let headers = match (flags.headers.as_slice(), variable(environment, signal, "HEADERS")) {
        ([], None) => Headers::default(),
        ([], Some(given)) => Headers::parse(&given.name, [given.value.as_str()])?,
        (flags, _) => Headers::parse("--header", flags.iter().map(String::as_str))?,
    };
    Ok(Some(Endpoint {
        url,
        protocol,
        headers,
        timeout_millis: parse_timeout(variable(environment, signal, "TIMEOUT"))?,
        compression: parse_compression(variable(environment, signal, "COMPRESSION"))?,
        tls: tls::parse(signal, environment, read_file)?,
    }))
}

/// `OTEL_TRACES_EXPORTER` is a list; it is meant for the traced program as well, so names unknown to us are no error.
fn wants_otlp(signal: SignalName, environment: &BTreeMap<String, String>) -> bool {
    match environment.get(&format!("OTEL_{}_EXPORTER", signal.in_variables())).map(|value| value.trim()) {
        None | Some("") => true,
        Some(list) => list.split(',').any(|name| name.trim() == "otlp"),
    }
}

/// What was typed is checked even where nothing will be sent; a variable may be meant for the traced program alone.
pub(super) fn check_flags(flags: &Flags) -> Result<(), SettingsError> {
    if let Some(protocol) = &flags.protocol {
        parse_protocol(&Given { name: "--protocol".to_owned(), value: protocol.clone(), scope: Scope::Generic })?;
    }
    Headers::parse("--header", flags.headers.iter().map(String::as_str))?;
    Ok(())
}

fn parse_protocol(given: &Given) -> Result<Protocol, SettingsError> {
    match given.value.as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        "http/json" => Ok(Protocol::HttpJson),
        _ => Err(bad(given, "grpc, http/protobuf or http/json")),
    }
}

fn parse_timeout(given: Option<Given>) -> Result<u64, SettingsError> {
    let Some(given) = given else { return Ok(DEFAULT_TIMEOUT_MILLIS) };
    match given.value.parse() {
        Ok(0) => Ok(LONGEST_TIMEOUT_MILLIS),
        Ok(millis) => Ok(LONGEST_TIMEOUT_MILLIS.min(millis)),
        Err(_) => Err(bad(&given, "a number of milliseconds")),
    }
}

fn parse_compression(given: Option<Given>) -> Result<Compression, SettingsError> {
    let Some(given) = given else { return Ok(Compression::None) };
    match given.value.as_str() {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(bad(&given, "gzip, zstd or none")),
    }
}

fn port(endpoint: &str) -> Option<u16> {
    let with_scheme = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    Url::parse(&with_scheme).ok()?.port()
}

/// A generic URL gets the signal's path; a signal's own URL is used as it is.
fn http_url(given: &Given, signal: SignalName) -> Result<String, SettingsError> {
    let mut url = parse_url(given, &given.value)?;
    if given.scope == Scope::Generic {
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/v1/{}", signal.in_paths()));
    }
    Ok(url.into())
}

/// The scheme says whether there is TLS; without a scheme `…_INSECURE` does. A path has no meaning here.
fn grpc_url(given: &Given, insecure: Option<Given>) -> Result<String, SettingsError> {
    let is_insecure = match &insecure {
        None => false,
        Some(given) => match given.value.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(bad(given, "true or false")),
        },
    };
    let with_scheme = match (given.value.contains("://"), is_insecure) {
        (true, _) => given.value.clone(),
        (false, true) => format!("http://{}", given.value),
        (false, false) => format!("https://{}", given.value),
    };
    let mut url = parse_url(given, &with_scheme)?;
    url.set_path("");
    url.set_query(None);
    Ok(url.into())
}

fn parse_url(given: &Given, text: &str) -> Result<Url, SettingsError> {
    let mut url = Url::parse(text).map_err(|_| bad(given, URL_EXPECTED))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingsError::Credentials { name: given.name.clone() });
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad(given, URL_EXPECTED));
    }
    url.set_fragment(None);
    Ok(url)
}

fn bad(given: &Given, expected: &'static str) -> SettingsError {
    // A URL that cannot be parsed may still hold a password.
    let value = match given.value.split_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => given.value.clone(),
    };
    SettingsError::Value { name: given.name.clone(), value, expected }
}

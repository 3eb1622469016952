//! OTLP/HTTP: one POST, binary or JSON, its answer read by the OTLP specification.

use std::io::{self, Write};
use std::time::Duration;

use flate2::write::GzEncoder;
use prost::Message;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Certificate, Identity, Response, StatusCode, redirect};

use super::client::ClientError;
use super::http_answer::{self, Answer};
use super::json;
use super::outcome::{Outcome, chain, printable, retry};
use super::request::Request;
use super::settings::{Compression, Endpoint, Protocol};

/// The longest answer that is read; the specification's own figure.
const LONGEST_ANSWER: usize = 4 << 20;

/// A connection pool, with what goes along with each request.
#[derive(Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    encoding: Encoding,
    compression: Compression,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Protobuf,
    Json,
}

impl HttpClient {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let encoding = match endpoint.protocol {
            Protocol::HttpJson => Encoding::Json,
            Protocol::Grpc | Protocol::HttpProtobuf => Encoding::Protobuf,
        };
        Ok(Self {
            client: pool(endpoint)?,
            url: endpoint.url.clone(),
            headers: headers(endpoint, encoding)?,
            encoding,
            compression: endpoint.compression,
        })
    }

    pub(super) async fn send(&self, request: &Request) -> Outcome {
        let body = match compress(self.encode(request), self.compression) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused { reason: format!("cannot compress the request: {error}") },
        };
        let sent = self.client.post(&self.url).headers(self.headers.clone()).body(body).send().await;
        match sent {
            Ok(response) => read_answer(response).await,
            Err(error) => retry(why_no_answer(&error.without_url())),
        }
    }

    fn encode(&self, request: &Request) -> Vec<u8> {
        match (self.encoding, request) {
            (Encoding::Protobuf, Request::Traces(traces)) => traces.encode_to_vec(),
            (Encoding::Protobuf, Request::Logs(logs)) => logs.encode_to_vec(),
            (Encoding::Json, Request::Traces(traces)) => json::trace_line(traces).into_bytes(),
            (Encoding::Json, Request::Logs(logs)) => json::log_line(logs).into_bytes(),
        }
    }
}

fn why_no_answer(error: &reqwest::Error) -> String {
    let said = chain(error);
    let said = said.trim_start_matches("error sending request: ");
    // What an HTTP/1 client makes of HTTP/2 frames.
    if said.contains("invalid HTTP version") {
        return format!("{said}; if this is a gRPC port, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
    }
    said.to_owned()
}

/// A connection pool for the endpoint, with its TLS and its time limit.
pub(crate) fn pool(endpoint: &Endpoint) -> Result<reqwest::Client, ClientError> {
    build_pool(endpoint).map_err(|error| ClientError::Http {
        url: endpoint.shown_url().to_owned(),
        reason: chain(&error.without_url()),
    })
}

fn build_pool(endpoint: &Endpoint) -> reqwest::Result<reqwest::Client> {
    // Another part of the process may have chosen a provider already; any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = Duration::from_millis(endpoint.timeout_millis);
    let mut builder = reqwest::Client::builder()
        .timeout(timeout)
        // Following one would hand the headers, secrets included, to a host that the user did not name.
        .redirect(redirect::Policy::none())
        // The environment is root's, not the user's, and gRPC knows no proxy either.
        .no_proxy();
    if let Some(pem) = &endpoint.tls.authorities {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.0.as_bytes())?);
    } else if endpoint.url.starts_with("http://") {
        // Nobody is to be trusted there, and a machine without certificates, such as a small container, has nothing to load.
        builder = builder.tls_certs_only([]);
    }
    if let Some((certificate, key)) = &endpoint.tls.identity {
        builder = builder.identity(Identity::from_pem(format!("{}\n{}", certificate.0, key.0).as_bytes())?);
    }
    builder.build()
}

fn headers(endpoint: &Endpoint, encoding: Encoding) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("agentsight/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in endpoint.headers.iter() {
        let bad = || ClientError::Header { url: endpoint.shown_url().to_owned(), name: name.to_owned() };
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(match encoding {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }),
    );
    match endpoint.compression {
        Compression::None => {}
        Compression::Gzip => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Compression::Zstd => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        }
    }
    Ok(headers)
}

fn compress(body: Vec<u8>, compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(body),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body)?;
            encoder.finish()
        }
        Compression::Zstd => zstd::encode_all(body.as_slice(), zstd::DEFAULT_COMPRESSION_LEVEL),
    }
}

async fn read_answer(response: Response) -> Outcome {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, location) = (header(CONTENT_TYPE).unwrap_or_default(), header(LOCATION));
    let after = header(RETRY_AFTER).and_then(|text| http_answer::retry_after(&text));
    // Where the connection broke before the answer was said in full, the status still counts.
    let body = read_body(response).await.unwrap_or_default();
    if status.is_success() {
        return match http_answer::read(&content_type, &body) {
            Answer::Told { rejected, message } => Outcome::Delivered { rejected, message: printable(&message) },
            Answer::WebPage => Outcome::NotTaken { reason: "a web page answered: this is no OTLP receiver".to_owned() },
        };
    }
    let reason = match (http_answer::error_text(&content_type, &body), location) {
        (_, Some(location)) if status.is_redirection() => {
            format!("HTTP {}: moved to {}; set the endpoint to it", status.as_u16(), printable(&location))
        }
        (text, _) if text.is_empty() => format!("HTTP {status}"),
        (text, _) => format!("HTTP {status}: {}", printable(&text)),
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Retry { after, reason },
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge { reason },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Outcome::Locked { reason }
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Outcome::NotTaken { reason },
        _ if status.is_redirection() => Outcome::NotTaken { reason },
        _ => Outcome::Refused { reason },
    }
}

async fn read_body(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

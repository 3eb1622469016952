//! A backend's HTTP API: one GET at a time, its trouble told with what was asked.

use std::io;
use std::time::Duration;

use hyper::header::ACCEPT;
use reqwest::StatusCode;
use tokio::runtime::Runtime;

use crate::query::source::SourceError;

/// For one request.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// One backend's API.
#[derive(Debug)]
pub(super) struct Client {
    url: String,
    client: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    /// Of the API below this URL.
    pub(super) fn new(url: &str) -> Result<Self, SourceError> {
        let url = url.trim_end_matches('/').to_owned();
        let failed = |trouble: String| SourceError::Backend { url: url.clone(), trouble };
        // The client takes the process's provider of cryptography, which only one place may set; it may be set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIME_LIMIT)
            .build()
            .map_err(|error| failed(format!("cannot be asked: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error: io::Error| failed(format!("cannot be asked: {error}")))?;
        Ok(Self { url, client, runtime })
    }

    /// The body of the answer to `GET path`, in this form where the backend knows several; `None` where there is no such thing.
    pub(super) fn get(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        form: &str,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let url = format!("{}{path}", self.url);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.runtime.block_on(async {
            let failed = |trouble: String| SourceError::Backend { url: url.clone(), trouble };
            let request = self.client.get(format!("{url}?{query}")).header(ACCEPT, form);
            let answer = request.send().await.map_err(|error| failed(format!("does not answer: {}", chain(&error))))?;
            let status = answer.status();
            let body = answer.bytes().await.map_err(|error| failed(format!("broke off: {}", chain(&error))))?;
            match status {
                StatusCode::OK => Ok(Some(body.into())),
                StatusCode::NOT_FOUND => Ok(None),
                status => {
                    let said: String =
                        String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(300).collect();
                    Err(failed(format!("answers {status}: {said}")))
                }
            }
        })
    }

    /// The same as JSON; `null` where there is no such thing.
    pub(super) fn json(&self, path: &str, parameters: &[(&str, String)]) -> Result<serde_json::Value, SourceError> {
        match self.get(path, parameters, "application/json")? {
            None => Ok(serde_json::Value::Null),
            Some(body) => serde_json::from_slice(&body).map_err(|error| self.stranger(path, &error)),
        }
    }

    /// Somebody else seems to answer there.
    pub(super) fn stranger(&self, path: &str, trouble: &dyn std::error::Error) -> SourceError {
        let trouble = format!("answers what no such backend does ({trouble}): is it the URL of its query service?");
        SourceError::Backend { url: format!("{}{path}", self.url), trouble }
    }
}

/// An error with its causes: the outermost alone says only that there was one. Without the URL, which is told anyway.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

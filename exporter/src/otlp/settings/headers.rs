//! `OTEL_EXPORTER_OTLP_HEADERS`: W3C baggage form, values percent-encoded. Values are secrets and are never printed.

use std::fmt;

use serde::{Deserialize, Serialize};
use tonic::codegen::http::{HeaderName, HeaderValue};

use super::SettingsError;

/// Header names, lower case, with their values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Names and values, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Parses one or more comma-separated lists; a later value wins over an earlier one of the same name.
    pub(super) fn parse<'a>(source: &str, lists: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingsError> {
        let mut headers = Vec::<(String, String)>::new();
        let entries = lists.into_iter().flat_map(|list| list.split(','));
        for (index, entry) in entries.enumerate() {
            if entry.trim().is_empty() {
                continue;
            }
            let (name, value) = parse_entry(entry).map_err(|problem| SettingsError::Header {
                name: source.to_owned(),
                number: index + 1,
                problem,
            })?;
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value));
        }
        Ok(Self(headers))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, _)| (name, "…"))).finish()
    }
}

fn parse_entry(entry: &str) -> Result<(String, String), &'static str> {
    let (name, value) = entry.split_once('=').ok_or("has no =")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| "has a name that no header can have")?;
    if name.as_str().ends_with("-bin") {
        return Err("is a binary header (-bin), which cannot be given as text");
    }
    let value = percent_decode(value.trim()).ok_or("has a % that is not followed by two hex digits")?;
    let value = String::from_utf8(value).map_err(|_| "has a value that is not UTF-8")?;
    HeaderValue::from_str(&value).map_err(|_| "has a value that no header can have")?;
    Ok((name.as_str().to_owned(), value))
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

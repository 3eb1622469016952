//! What a URL asks: its parameters, each known, checked, and given no more often than it may be.

use std::collections::BTreeMap;

use crate::query::slice::Reach;
use crate::query::words::{WordError, Words};

/// Spans in one answer.
pub(super) const SPANS_MAX: usize = 10_000;
/// Edges from the focus of a slice.
const DEPTH_MAX: u32 = 1_000;
/// Parameters of one URL: far more than anybody types.
const COUNT_MAX: usize = 200;

/// A parameter that cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParameterError {
    #[error(transparent)]
    Word(#[from] WordError),
    #[error("there is no parameter {0:?} here")]
    Unknown(String),
    #[error("parameter {0:?} can be given only once")]
    Twice(String),
    #[error("there are more than {COUNT_MAX} parameters")]
    TooMany,
    #[error("parameter {name:?} must be {wanted}, not {given:?}")]
    Value { name: &'static str, wanted: String, given: String },
    #[error("parameter {0:?} is needed")]
    Missing(&'static str),
    #[error("the URL is not percent-encoded UTF-8")]
    NotText,
}

/// The parameters of one URL.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, Vec<String>>);

impl Parameters {
    pub(super) fn of(query: Option<&str>) -> Result<Self, ParameterError> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, (name, value)) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()).enumerate() {
            if number >= COUNT_MAX {
                return Err(ParameterError::TooMany);
            }
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(ParameterError::NotText);
            }
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(Self(all))
    }

    /// All values of a parameter.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.remove(name).unwrap_or_default()
    }

    /// The only value of a parameter.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, ParameterError> {
        let mut values = self.all(name);
        if values.len() > 1 { Err(ParameterError::Twice(name.to_owned())) } else { Ok(values.pop()) }
    }

    /// A number within bounds.
    pub(super) fn number<N>(&mut self, name: &'static str, least: N, most: N) -> Result<Option<N>, ParameterError>
    where
        N: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let Some(given) = self.one(name)? else { return Ok(None) };
        let number = given.parse().ok().filter(|number| least <= *number && *number <= most);
        let wanted = || format!("a number from {least} to {most}");
        number.map(Some).ok_or_else(|| ParameterError::Value { name, wanted: wanted(), given })
    }

    /// Nothing is left that was not asked for.
    pub(super) fn end(self) -> Result<(), ParameterError> {
        self.0.into_keys().next().map_or(Ok(()), |name| Err(ParameterError::Unknown(name)))
    }

    pub(super) fn words(&mut self) -> Result<Words, ParameterError> {
        let limit = self.number("limit", 1, SPANS_MAX)?.map(|limit| limit.to_string());
        Ok(Words {
            since: self.one("since")?,
            until: self.one("until")?,
            pid: self.all("pid"),
            exe: self.all("exe"),
            subtree: self.one("subtree")?,
            action: self.all("action"),
            object: self.all("object"),
            path: self.all("path"),
            host: self.all("host"),
            port: self.all("port"),
            session: self.one("session")?,
            trace: self.one("trace")?,
            status: self.one("status")?,
            attribute: self.all("attribute"),
            sort: self.one("sort")?,
            limit,
            cursor: self.one("cursor")?,
        })
    }

    pub(super) fn reach(&mut self) -> Result<Reach, ParameterError> {
        let usual = Reach::default();
        let confidence = self.number("confidence", 0.0, 1.0)?;
        Ok(Reach {
            depth: self.number("depth", 1, DEPTH_MAX)?.unwrap_or(usual.depth),
            spans: self.number("spans", 1, SPANS_MAX)?.unwrap_or(usual.spans),
            confidence: confidence.unwrap_or(usual.confidence),
        })
    }
}

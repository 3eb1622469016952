//! What a link says of the bytes of its cause that were found again in its effect.

use agentsight_semconv as semconv;
use opentelemetry_proto::tonic::trace::v1::span::Link;

use crate::facts;

/// Bytes that stand in both, as `agentsight.link.match.*` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// `run`, `token`, `value` or `argument`.
    pub kind: String,
    /// Where in the cause's stream or file.
    pub source_offset: i64,
    /// Where in the effect's.
    pub sink_offset: i64,
    /// How many are the same.
    pub bytes: i64,
    /// The share of the cause that came out, of 1.
    pub coverage: f64,
    /// SHA-256 of what is the same, hex.
    pub hash: String,
    /// What stands in the cause, without secrets.
    pub excerpt: String,
    /// What stands in the effect.
    pub sink_excerpt: String,
}

impl Evidence {
    /// Of this link; `None` where it says nothing of the kind.
    pub(super) fn of(link: &Link) -> Option<Self> {
        let value = |name: semconv::Name| {
            link.attributes.iter().find(|attribute| attribute.key == name.as_str()).and_then(|it| it.value.as_ref())
        };
        let text = |name| value(name).and_then(facts::text).map(str::to_owned);
        let int = |name| value(name).and_then(facts::int).unwrap_or_default();
        let excerpt = text(semconv::AGENTSIGHT_LINK_MATCH_EXCERPT)?;
        Some(Self {
            kind: text(semconv::AGENTSIGHT_LINK_MATCH_KIND)?,
            source_offset: int(semconv::AGENTSIGHT_LINK_MATCH_SOURCE_OFFSET),
            sink_offset: int(semconv::AGENTSIGHT_LINK_MATCH_SINK_OFFSET),
            bytes: int(semconv::AGENTSIGHT_LINK_MATCH_BYTES),
            coverage: value(semconv::AGENTSIGHT_LINK_MATCH_COVERAGE).and_then(facts::number).unwrap_or_default(),
            hash: text(semconv::AGENTSIGHT_LINK_MATCH_HASH).unwrap_or_default(),
            sink_excerpt: text(semconv::AGENTSIGHT_LINK_MATCH_SINK_EXCERPT).unwrap_or_else(|| excerpt.clone()),
            excerpt,
        })
    }
}

//! The registry of every name that AgentSight emits: constants, and the list of all, generated from `model/*.yaml`.
//!
//! A [`Name`] can only be had from here, so a name that the registry does not declare cannot be emitted by mistake.

mod check;

pub use check::{undeclared, unseen};

/// A name that the registry declares. Only this crate can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

impl Name {
    /// The name as it is emitted.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// All that the registry says about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The name.
    pub name: Name,
    /// What it names.
    pub kind: Kind,
    /// What it means, one or two sentences.
    pub brief: &'static str,
    /// Whose name it is.
    pub origin: Origin,
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An attribute of spans, links, events, log records, metrics or resources.
    Attribute(Type),
    /// A span event or a log record.
    Event,
    /// One of AgentSight's own metrics.
    Metric {
        /// What records it.
        instrument: Instrument,
        /// In UCUM, as OpenTelemetry writes units.
        unit: &'static str,
    },
}

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any string.
    String,
    /// One of these strings.
    Enum(&'static [&'static str]),
    /// A signed integer of 64 bits.
    Int,
    /// A floating-point number of 64 bits.
    Double,
    /// True or false.
    Boolean,
    /// Strings in order.
    Strings,
}

/// The instrument that records a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// A value that does not add up.
    Gauge,
    /// A distribution.
    Histogram,
}

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// OpenTelemetry's, of the release that [`SCHEMA_URL`] names.
    Standard,
    /// AgentSight's, under `agentsight.`.
    Own,
}

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// What the registry says about this name; `None` if it does not declare it.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Declared> {
    ALL.binary_search_by(|declared| declared.name.as_str().cmp(name)).ok().map(|index| &ALL[index])
}

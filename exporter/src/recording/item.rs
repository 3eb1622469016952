//! What the frames of a recording contain.

use agentsight_ebpf::{Event, KernelNanos};
use serde::{Deserialize, Serialize};

use crate::session::Session;

/// What a recording opens with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of AgentSight that wrote it.
    pub agentsight_version: String,
    /// Everything that the stages after capture need to know beside the events.
    pub session: Session,
}

/// What a whole recording ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many events were written.
    pub events: u64,
    /// When the session ended, for what still lived then.
    pub at: KernelNanos,
}

/// One item as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ItemRef<'a> {
    Header(&'a Header),
    Event(&'a Event),
    End(End),
}

/// One item as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Header(Box<Header>),
    Event(Event),
    End(End),
    /// An event that this version cannot read: of a later kind, or with a value that is new.
    UnknownEvent,
    /// An item of a kind that this version does not know.
    Unknown,
}

impl Item {
    /// Takes one item off the front of `bytes`, whose checksum was right: what cannot be understood is of a later
    /// version, not damaged.
    pub(super) fn take(bytes: &mut &[u8]) -> Result<Self, ciborium::de::Error<std::io::Error>> {
        let item: ciborium::Value = ciborium::from_reader(bytes)?;
        let ciborium::Value::Map(mut entries) = item else { return Ok(Self::Unknown) };
        let (Some((ciborium::Value::Text(kind), value)), true) = (entries.pop(), entries.is_empty()) else {
            return Ok(Self::Unknown);
        };
        let unreadable = |error: ciborium::value::Error| ciborium::de::Error::Semantic(None, error.to_string());
        match kind.as_str() {
            "header" => Ok(Self::Header(Box::new(value.deserialized().map_err(unreadable)?))),
            "event" => Ok(value.deserialized().map_or(Self::UnknownEvent, Self::Event)),
            "end" => Ok(Self::End(value.deserialized().map_err(unreadable)?)),
            _ => Ok(Self::Unknown),
        }
    }
}

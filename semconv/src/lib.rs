//! The registry of every name that AgentSight emits.

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

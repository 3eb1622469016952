//! What the kernel does when it is asked to: the tracing programs themselves, and other kinds of programs and maps.

use std::time::{Duration, Instant};

use agentsight_ebpf::live::{BtfSource, Feature, Options, Probes, Support, try_features};

/// What came of it. Only root can try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Live {
    /// How long attaching AgentSight's own programs took, or why they could not be attached, with advice.
    pub(in crate::doctor) tracing: Result<Duration, String>,
    features: Vec<(Feature, Support)>,
}

impl Live {
    /// Why a feature does not work; `None` where it does.
    pub(in crate::doctor) fn refusal(&self, feature: Feature) -> Option<&str> {
        match self.features.iter().find(|(tried, _)| *tried == feature) {
            Some((_, Support::Works)) => None,
            Some((_, Support::Refused(reason))) => Some(reason),
            None => Some("it was not tried"),
        }
    }

    #[cfg(test)]
    pub(in crate::doctor) fn refusing(tracing: Result<Duration, String>, refused: &[Feature]) -> Self {
        let support = |feature| match refused.contains(&feature) {
            true => Support::Refused("Operation not permitted".to_owned()),
            false => Support::Works,
        };
        Self { tracing, features: Feature::ALL.map(|feature| (feature, support(feature))).into() }
    }
}

pub(super) fn try_all(btf: Option<&BtfSource>) -> Live {
    let options = Options { btf: btf.cloned(), ..Options::default() };
    let begun = Instant::now();
    // Nobody is traced: no launcher is named.
    let tracing = Probes::attach(&options).map(|_| begun.elapsed()).map_err(|error| error.to_string());
    Live { tracing, features: try_features(btf) }
}

//! Which of a flag, a signal's own variable and the generic variable speaks for a setting.

use std::collections::BTreeMap;

use super::SignalName;

/// A setting as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The variable or flag, for errors.
    pub(super) name: String,
    pub(super) value: String,
    pub(super) scope: Scope,
}

/// What a setting was said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every signal.
    Generic,
    /// One signal.
    Signal,
}

/// The variable `OTEL_EXPORTER_OTLP_[signal_]suffix`. By the specification an empty one is as good as none.
pub(super) fn variable(environment: &BTreeMap<String, String>, signal: SignalName, suffix: &str) -> Option<Given> {
    let own = (format!("OTEL_EXPORTER_OTLP_{}_{suffix}", signal.in_variables()), Scope::Signal);
    let generic = (format!("OTEL_EXPORTER_OTLP_{suffix}"), Scope::Generic);
    [own, generic].into_iter().find_map(|(name, scope)| {
        let value = environment.get(&name)?.trim();
        (!value.is_empty()).then(|| Given { value: value.to_owned(), name, scope })
    })
}

/// A flag, which speaks for every signal, or else the variable.
pub(super) fn flag_or_variable(
    flag: (&str, Option<&String>),
    environment: &BTreeMap<String, String>,
    signal: SignalName,
    suffix: &str,
) -> Option<Given> {
    match flag {
        (name, Some(value)) => {
            Some(Given { name: name.to_owned(), value: value.trim().to_owned(), scope: Scope::Generic })
        }
        (_, None) => variable(environment, signal, suffix),
    }
}

//! Where spans go: flags and variables to settings, read with the caller's own rights.

use std::collections::BTreeMap;
use std::env;
use std::io;

use agentsight::caller::Caller;
use agentsight::otlp::settings::{Flags, Settings, SettingsError};

use super::DestinationArgs;

/// The standard variables of the environment, with the flags over them.
pub(super) fn from_environment(args: &DestinationArgs) -> Result<Settings, SettingsError> {
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("OTEL_"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    parse(&variables, args)
}

/// The flags alone: a replay sends only where it is told to.
pub(super) fn from_flags(args: &DestinationArgs) -> Result<Settings, SettingsError> {
    if args.endpoint.is_none() { Ok(Settings::default()) } else { from_environment(args) }
}

fn parse(variables: &BTreeMap<String, String>, args: &DestinationArgs) -> Result<Settings, SettingsError> {
    let flags =
        Flags { endpoint: args.endpoint.clone(), protocol: args.protocol.clone(), headers: args.header.clone() };
    // Root by sudo reads what the user could read, no more.
    let caller = Caller::find();
    Settings::parse(variables, &flags, |path| match &caller {
        Ok(caller) => caller.with_rights(|| std::fs::read(path))?,
        Err(error) => Err(io::Error::other(error.to_string())),
    })
}

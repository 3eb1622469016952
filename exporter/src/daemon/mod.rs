//! The daemon.

mod config;
mod glob;
mod load;
mod rules;
mod scalar;
mod settle;

pub use config::{Config, schema};
pub use load::ConfigError;
pub use settle::{Overrides, SettleError};

//! Rows go from a real store through the real sender to real receivers on the loopback: what arrives, and what is kept when it cannot.
//! AgentSight's own telemetry goes to the same receivers.
#![allow(clippy::unwrap_used)]

mod certificate;
mod desk;
mod grpc_receiver;
mod http_receiver;

mod over_grpc;
mod over_http;
mod over_tls;
mod own_telemetry;
mod restarts;

//! `--capture` and its kin: what was typed as the policy that is followed.

use agentsight_ebpf::{Budgets, CapturePolicy, StreamKind};

use super::CaptureArgs;

/// What is captured.
pub(super) fn policy(args: &CaptureArgs) -> CapturePolicy {
    let built_in = Budgets::default();
    let streams = [
        (args.capture_pipes, StreamKind::Pipe),
        (args.capture_unix, StreamKind::Unix),
        (args.capture_tty, StreamKind::Tty),
    ];
    CapturePolicy {
        files: args.capture.clone(),
        denied_files: args.no_capture.clone(),
        networks: args.capture_net.clone(),
        streams: streams.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind).collect(),
        budgets: Budgets {
            burst_bytes: args.capture_burst_bytes.unwrap_or(built_in.burst_bytes),
            session_bytes: args.capture_session_bytes.unwrap_or(built_in.session_bytes),
        },
        ..CapturePolicy::default()
    }
}

//! The programs on requests to io_uring, where the kernel has their tracepoints in a form that tells of whom and what.
//!
//! Where it has not, or refuses, nothing is attached, and the programs say of every ring that it is a blind spot.

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::RawTracePoint;
use aya::programs::links::FdLink;

use super::LiveError;
use super::capture::CaptureRoom;
use super::hooks::release;
use super::probes::{chain, map_failed, open, raw_tracepoint, refused_program};
use super::syscalls::fill_slots;

const SUBMIT: &str = "agentsight_submit";
const COMPLETE: &str = "agentsight_complete";
const OVERFLOW: &str = "agentsight_overflow";

/// From 6.10 on all that `submit.bpf.c` reads stands in the request; before, an accept does not show whether it goes on.
const FIRST_RELEASE: (u32, u32) = (6, 10);
const SUBMIT_HOOK: &str = "io_uring_submit_req";
const COMPLETE_HOOK: &str = "io_uring_complete";
const OVERFLOW_HOOK: &str = "io_uring_cqe_overflow";

/// By the numbers of `enum exit_stage` (include/call.h).
const STAGES: [(u32, &str); 9] = [
    (1, "agentsight_queued_transfer"),
    (5, "agentsight_queued_open"),
    (7, "agentsight_queued_connect"),
    (11, "agentsight_queued_move"),
    (12, "agentsight_queued_cut"),
    (13, "agentsight_queued_count"),
    (14, "agentsight_queued_datagram"),
    (15, "agentsight_queued_pass"),
    (16, "agentsight_queued_rights"),
];

/// Likewise, where payload is captured.
const CONTENT_STAGES: [(u32, &str); 4] = [
    (17, "agentsight_queued_policy"),
    (18, "agentsight_queued_match"),
    (19, "agentsight_queued_content"),
    (20, "agentsight_queued_take"),
];

/// What becomes of requests to io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requests {
    /// The programs are loaded, and see them when they are attached.
    Followed,
    /// They are not: that there is a ring is all that is said.
    BlindSpot,
}

/// The hooks, once they are attached. Dropping it detaches them.
#[derive(Debug)]
pub(super) struct RequestHooks {
    _submit: FdLink,
    _complete: FdLink,
    _overflow: FdLink,
}

/// Loads the programs and joins them by their array; nothing runs yet.
///
/// # Errors
/// The kernel is too old, was built without io_uring, or refuses: its rings stay a blind spot.
pub(super) fn load(ebpf: &mut Ebpf, capture: Option<&CaptureRoom>) -> Result<(), LiveError> {
    if release().is_none_or(|release| release < FIRST_RELEASE) {
        return Err(LiveError::Load { reason: "this kernel's io_uring does not say what it does".to_owned() });
    }
    for name in [COMPLETE, OVERFLOW, SUBMIT] {
        raw_tracepoint(ebpf, name)?.load().map_err(|error| refused_program(name, &error))?;
    }
    let mut stages = STAGES.to_vec();
    if capture.is_some() {
        stages.extend(CONTENT_STAGES);
    }
    for (_, name) in &stages {
        raw_tracepoint(ebpf, name)?.load().map_err(|error| refused_program(name, &error))?;
    }
    fill_slots(ebpf, "queued_stages", &stages)
}

/// From here on requests of traced processes are seen.
///
/// # Errors
/// They were not loaded, or the kernel has no such tracepoint.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<RequestHooks, LiveError> {
    // The end first: a request that was submitted is then always taken out again.
    let complete = attach_program(ebpf, COMPLETE, COMPLETE_HOOK)?;
    let overflow = attach_program(ebpf, OVERFLOW, OVERFLOW_HOOK)?;
    let submit = attach_program(ebpf, SUBMIT, SUBMIT_HOOK)?;
    let mut followed: Array<_, u32> = open(ebpf, "requests_followed")?;
    followed.set(0, 1, 0).map_err(|error| map_failed("requests_followed", &error))?;
    Ok(RequestHooks { _submit: submit, _complete: complete, _overflow: overflow })
}

fn attach_program(ebpf: &mut Ebpf, name: &str, hook: &'static str) -> Result<FdLink, LiveError> {
    let program: &mut RawTracePoint = raw_tracepoint(ebpf, name)?;
    let failed = |error: &(dyn std::error::Error + 'static)| LiveError::Attach { hook, reason: chain(error) };
    let id = program.attach(hook).map_err(|error| failed(&error))?;
    program.take_link(id).map(Into::into).map_err(|error| failed(&error))
}

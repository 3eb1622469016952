//! The programs on system calls: put together, and attached only while something is traced, because every process of the
//! host pays for them.

use aya::maps::ProgramArray;
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, Program, ProgramFd, RawTracePoint};
use aya::{Btf, Ebpf};

use super::LiveError;
use super::capture::CaptureRoom;
use super::hooks::INTERRUPTED;
use super::io_uring::{self, RequestHooks, Requests};
use super::probes::{chain, map_failed, refused, refused_program, take};

const ENTER: &str = "agentsight_sys_enter";
const EXIT: &str = "agentsight_sys_exit";

/// The programs that are reached by tail calls, in the order of `enum exit_stage` (include/call.h) from its second on.
const EXIT_STAGES: [&str; 16] = [
    "agentsight_transfer",
    "agentsight_messages",
    "agentsight_copy",
    "agentsight_map",
    "agentsight_open",
    "agentsight_pair",
    "agentsight_connect",
    "agentsight_change",
    "agentsight_control",
    "agentsight_compat",
    "agentsight_move",
    "agentsight_cut",
    "agentsight_count",
    "agentsight_datagram",
    "agentsight_pass",
    "agentsight_rights",
];

/// Those behind them, which are loaded where payload is captured.
const CONTENT_STAGES: [&str; 4] = ["agentsight_policy", "agentsight_match", "agentsight_content", "agentsight_take"];

/// Likewise of `enum enter_stage`, from its third on: the second is no program.
const ENTER_STAGES: [&str; 4] =
    ["agentsight_close", "agentsight_close_range", "agentsight_replace", "agentsight_note_ids"];

/// What happens to a traced process outside its own calls, or to others by them: program and raw tracepoint.
const BESIDE: [(&str, &str); 3] = [
    (INTERRUPTED[0], "inet_sock_set_state"),
    (INTERRUPTED[1], "inet_sock_set_state"),
    ("agentsight_kill", "signal_generate"),
];

/// The hooks, once they are attached. Dropping it detaches them, which takes the kernel some time.
#[derive(Debug)]
pub(super) struct SyscallHooks {
    _enter: FdLink,
    _exit: FdLink,
    _beside: [FdLink; 3],
    _requests: Option<RequestHooks>,
}

/// Loads all of them and joins them by their arrays; nothing runs yet.
pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf, capture: Option<&CaptureRoom>) -> Result<(), LiveError> {
    load_program(ebpf, ENTER, "sys_enter", btf)?;
    load_program(ebpf, EXIT, "sys_exit", btf)?;
    for (program, hook) in BESIDE {
        load_program(ebpf, program, hook, btf)?;
    }
    let mut exit_stages = EXIT_STAGES.to_vec();
    if capture.is_some() {
        exit_stages.extend(CONTENT_STAGES);
    }
    fill(ebpf, btf, "exit_stages", "sys_exit", 1, &exit_stages)?;
    fill(ebpf, btf, "enter_stages", "sys_enter", 2, &ENTER_STAGES)
}

/// From here on system calls of traced processes are seen.
pub(super) fn attach(ebpf: &mut Ebpf, requests: Requests) -> Result<SyscallHooks, LiveError> {
    // The exit first: an output whose enter was not seen has its exit's time.
    let exit = attach_program(ebpf, EXIT, "sys_exit")?;
    let enter = attach_program(ebpf, ENTER, "sys_enter")?;
    let [connected, connected_again, kill] = BESIDE.map(|(program, hook)| attach_program(ebpf, program, hook));
    let requests = match requests {
        // Where a tracepoint is missing after all, the programs say of every ring that it is a blind spot.
        Requests::Followed => io_uring::attach(ebpf).ok(),
        Requests::BlindSpot => None,
    };
    Ok(SyscallHooks { _enter: enter, _exit: exit, _beside: [connected?, connected_again?, kill?], _requests: requests })
}

fn fill(
    ebpf: &mut Ebpf,
    btf: &Btf,
    array: &'static str,
    hook: &'static str,
    first: u32,
    stages: &[&str],
) -> Result<(), LiveError> {
    for stage in stages {
        load_program(ebpf, stage, hook, btf)?;
    }
    let slots: Vec<_> = (first..).zip(stages.iter().copied()).collect();
    fill_slots(ebpf, array, &slots)
}

/// Puts loaded programs into an array that others reach them by.
pub(super) fn fill_slots(ebpf: &mut Ebpf, array: &'static str, slots: &[(u32, &str)]) -> Result<(), LiveError> {
    let mut map: ProgramArray<_> = take(ebpf, array)?;
    for (index, stage) in slots {
        let target = descriptor(ebpf, stage)?;
        map.set(*index, target, 0).map_err(|error| map_failed(array, &error))?;
    }
    // The kernel empties a program array when its last descriptor is closed (prog_array_map_clear()).
    std::mem::forget(map);
    Ok(())
}

fn find<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, LiveError> {
    ebpf.program_mut(name).ok_or_else(|| LiveError::Load { reason: format!("{name} is not in it") })
}

fn load_program(ebpf: &mut Ebpf, name: &str, hook: &'static str, btf: &Btf) -> Result<(), LiveError> {
    match find(ebpf, name)? {
        Program::BtfTracePoint(program) => program.load(hook, btf),
        Program::RawTracePoint(program) => program.load(),
        _ => return Err(LiveError::Load { reason: format!("{name} is for another kind of hook") }),
    }
    .map_err(|error| refused_program(name, &error))
}

fn descriptor<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a ProgramFd, LiveError> {
    find(ebpf, name)?.fd().map_err(|error| refused(&error))
}

fn attach_program(ebpf: &mut Ebpf, name: &str, hook: &'static str) -> Result<FdLink, LiveError> {
    let failed = |error: &(dyn std::error::Error + 'static)| LiveError::Attach { hook, reason: chain(error) };
    match find(ebpf, name)? {
        Program::BtfTracePoint(program) => {
            let program: &mut BtfTracePoint = program;
            let id = program.attach().map_err(|error| failed(&error))?;
            program.take_link(id).map(Into::into).map_err(|error| failed(&error))
        }
        Program::RawTracePoint(program) => {
            let program: &mut RawTracePoint = program;
            let id = program.attach(hook).map_err(|error| failed(&error))?;
            program.take_link(id).map(Into::into).map_err(|error| failed(&error))
        }
        _ => Err(LiveError::Load { reason: format!("{name} is for another kind of hook") }),
    }
}

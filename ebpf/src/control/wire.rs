//! `struct kill_event`, `wait_event`, `pass_event` and `call_event` to their types.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{Call, CallKind, Kill, Pass, PassSide, Wait};
use crate::wire::{DecodeError, Header};
use crate::{BurstId, KernelNanos, OpenId, ProcessKey, Tgid};

pub(crate) const PASS_RECEIVED: u16 = 1;
pub(crate) const PASS_OVER_BURST: u16 = 2;
pub(crate) const CALL_HAS_TARGET: u16 = 1;

/// In the order of `enum call_kind`, from 1.
pub(crate) const KINDS: [CallKind; 18] = [
    CallKind::Setuid,
    CallKind::Setgid,
    CallKind::Ptrace,
    CallKind::ProcessVmWritev,
    CallKind::ProcessVmReadv,
    CallKind::MemfdCreate,
    CallKind::IoUringSetup,
    CallKind::CompatCall,
    CallKind::Bind,
    CallKind::Listen,
    CallKind::MapShared,
    CallKind::Chroot,
    CallKind::Namespaces,
    CallKind::Mount,
    CallKind::Bpf,
    CallKind::LoadModule,
    CallKind::IoUringFollowed,
    CallKind::IoUringUnseen,
];

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireKill {
    pub(crate) header: Header,
    pub(crate) target_start: u64,
    pub(crate) target_tgid: u32,
    pub(crate) signal: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireWait {
    pub(crate) header: Header,
    pub(crate) child_vpid: u32,
    pub(crate) reserved: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WirePass {
    pub(crate) header: Header,
    pub(crate) open: u64,
    pub(crate) over_open: u64,
    pub(crate) over_burst: u32,
    pub(crate) reserved: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireCall {
    pub(crate) header: Header,
    pub(crate) arguments: [u64; 2],
    pub(crate) target_start: u64,
    pub(crate) target_tgid: u32,
    pub(crate) call: u32,
    pub(crate) error: u32,
    pub(crate) reserved: u32,
}

pub(crate) fn decode_kill(kill: &WireKill) -> Kill {
    Kill {
        at: KernelNanos(kill.header.at),
        by: kill.header.doer(),
        target: process(kill.target_tgid, kill.target_start),
        signal: kill.signal,
    }
}

pub(crate) fn decode_wait(wait: &WireWait) -> Wait {
    Wait { at: KernelNanos(wait.header.at), by: wait.header.doer(), child_vpid: wait.child_vpid }
}

pub(crate) fn decode_pass(pass: &WirePass) -> Pass {
    let flags = pass.header.flags;
    Pass {
        at: KernelNanos(pass.header.at),
        by: pass.header.doer(),
        open: OpenId(pass.open),
        over: (flags & PASS_OVER_BURST != 0)
            .then_some(BurstId { open: OpenId(pass.over_open), number: pass.over_burst }),
        side: if flags & PASS_RECEIVED == 0 { PassSide::Sent } else { PassSide::Received },
    }
}

pub(crate) fn decode_call(call: &WireCall) -> Result<Call, DecodeError> {
    let index = usize::try_from(call.call).ok().and_then(|number| number.checked_sub(1));
    Ok(Call {
        at: KernelNanos(call.header.at),
        by: call.header.doer(),
        kind: *index.and_then(|index| KINDS.get(index)).ok_or(DecodeError::Number(call.call))?,
        arguments: call.arguments,
        target: (call.header.flags & CALL_HAS_TARGET != 0).then(|| process(call.target_tgid, call.target_start)),
        error: call.error,
    })
}

fn process(tgid: u32, start: u64) -> ProcessKey {
    ProcessKey { tgid: Tgid(tgid), start: KernelNanos(start) }
}

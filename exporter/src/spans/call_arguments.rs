//! Arguments of calls by their names in the kernel's headers: ptrace requests, clone flags, bpf commands.

use std::borrow::Cow;

use agentsight_ebpf::{Call, CallKind};

/// The telling arguments of a call; `None` where it has none, or where they have attributes of their own.
pub(super) fn in_words(call: &Call) -> Option<Cow<'static, str>> {
    let [first, second] = call.arguments;
    Some(match call.kind {
        CallKind::Ptrace => ptrace_request(first),
        CallKind::Namespaces => clone_flags(first).into(),
        CallKind::Bpf => bpf_command(first),
        CallKind::IoUringSetup | CallKind::IoUringFollowed => format!("entries={first} flags={second:#x}").into(),
        CallKind::IoUringUnseen if first == 255 => "operation=unknown".into(),
        CallKind::IoUringUnseen => format!("operation={first} flags={second:#x}").into(),
        CallKind::CompatCall => format!("number={first}").into(),
        CallKind::Listen => format!("backlog={first}").into(),
        CallKind::Setuid
        | CallKind::Setgid
        | CallKind::ProcessVmWritev
        | CallKind::ProcessVmReadv
        | CallKind::MemfdCreate
        | CallKind::Bind
        | CallKind::MapShared
        | CallKind::Chroot
        | CallKind::Mount
        | CallKind::LoadModule => return None,
    })
}

/// include/uapi/linux/ptrace.h, and of arch/x86 those that both x86 and arm64 programs meet.
fn ptrace_request(request: u64) -> Cow<'static, str> {
    let name = match request {
        0 => "PTRACE_TRACEME",
        1 => "PTRACE_PEEKTEXT",
        2 => "PTRACE_PEEKDATA",
        3 => "PTRACE_PEEKUSR",
        4 => "PTRACE_POKETEXT",
        5 => "PTRACE_POKEDATA",
        6 => "PTRACE_POKEUSR",
        7 => "PTRACE_CONT",
        8 => "PTRACE_KILL",
        9 => "PTRACE_SINGLESTEP",
        12 => "PTRACE_GETREGS",
        13 => "PTRACE_SETREGS",
        14 => "PTRACE_GETFPREGS",
        15 => "PTRACE_SETFPREGS",
        16 => "PTRACE_ATTACH",
        17 => "PTRACE_DETACH",
        24 => "PTRACE_SYSCALL",
        31 => "PTRACE_SYSEMU",
        0x4200 => "PTRACE_SETOPTIONS",
        0x4201 => "PTRACE_GETEVENTMSG",
        0x4202 => "PTRACE_GETSIGINFO",
        0x4203 => "PTRACE_SETSIGINFO",
        0x4204 => "PTRACE_GETREGSET",
        0x4205 => "PTRACE_SETREGSET",
        0x4206 => "PTRACE_SEIZE",
        0x4207 => "PTRACE_INTERRUPT",
        0x4208 => "PTRACE_LISTEN",
        0x4209 => "PTRACE_PEEKSIGINFO",
        0x420a => "PTRACE_GETSIGMASK",
        0x420b => "PTRACE_SETSIGMASK",
        0x420c => "PTRACE_SECCOMP_GET_FILTER",
        0x420e => "PTRACE_GET_SYSCALL_INFO",
        other => return format!("request={other:#x}").into(),
    };
    name.into()
}

/// include/uapi/linux/sched.h: what unshare and setns take.
fn clone_flags(flags: u64) -> String {
    const NAMES: [(u64, &str); 13] = [
        (0x80, "CLONE_NEWTIME"),
        (0x100, "CLONE_VM"),
        (0x200, "CLONE_FS"),
        (0x400, "CLONE_FILES"),
        (0x800, "CLONE_SIGHAND"),
        (0x2_0000, "CLONE_NEWNS"),
        (0x4_0000, "CLONE_SYSVSEM"),
        (0x200_0000, "CLONE_NEWCGROUP"),
        (0x400_0000, "CLONE_NEWUTS"),
        (0x800_0000, "CLONE_NEWIPC"),
        (0x1000_0000, "CLONE_NEWUSER"),
        (0x2000_0000, "CLONE_NEWPID"),
        (0x4000_0000, "CLONE_NEWNET"),
    ];
    let named = NAMES.iter().filter(|(flag, _)| flags & flag != 0);
    let unnamed = NAMES.iter().fold(flags, |left, (flag, _)| left & !flag);
    let mut words: Vec<Cow<'static, str>> = named.map(|(_, name)| (*name).into()).collect();
    if unnamed != 0 || words.is_empty() {
        words.push(format!("{unnamed:#x}").into());
    }
    words.join("|")
}

/// include/uapi/linux/bpf.h, from 0 on.
fn bpf_command(command: u64) -> Cow<'static, str> {
    const NAMES: [&str; 37] = [
        "MAP_CREATE",
        "MAP_LOOKUP_ELEM",
        "MAP_UPDATE_ELEM",
        "MAP_DELETE_ELEM",
        "MAP_GET_NEXT_KEY",
        "PROG_LOAD",
        "OBJ_PIN",
        "OBJ_GET",
        "PROG_ATTACH",
        "PROG_DETACH",
        "PROG_TEST_RUN",
        "PROG_GET_NEXT_ID",
        "MAP_GET_NEXT_ID",
        "PROG_GET_FD_BY_ID",
        "MAP_GET_FD_BY_ID",
        "OBJ_GET_INFO_BY_FD",
        "PROG_QUERY",
        "RAW_TRACEPOINT_OPEN",
        "BTF_LOAD",
        "BTF_GET_FD_BY_ID",
        "TASK_FD_QUERY",
        "MAP_LOOKUP_AND_DELETE_ELEM",
        "MAP_FREEZE",
        "BTF_GET_NEXT_ID",
        "MAP_LOOKUP_BATCH",
        "MAP_LOOKUP_AND_DELETE_BATCH",
        "MAP_UPDATE_BATCH",
        "MAP_DELETE_BATCH",
        "LINK_CREATE",
        "LINK_UPDATE",
        "LINK_GET_FD_BY_ID",
        "LINK_GET_NEXT_ID",
        "ENABLE_STATS",
        "ITER_CREATE",
        "LINK_DETACH",
        "PROG_BIND_MAP",
        "TOKEN_CREATE",
    ];
    let name = usize::try_from(command).ok().and_then(|command| NAMES.get(command));
    name.map_or_else(|| format!("command={command}"), |name| format!("BPF_{name}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_the_names_of_the_kernels_headers() {
        assert_eq!(ptrace_request(16), "PTRACE_ATTACH");
        assert_eq!(ptrace_request(0x4206), "PTRACE_SEIZE");
        assert_eq!(ptrace_request(99), "request=0x63");
        assert_eq!(clone_flags(0x5002_0000), "CLONE_NEWNS|CLONE_NEWUSER|CLONE_NEWNET");
        assert_eq!(clone_flags(0x1000_0001), "CLONE_NEWUSER|0x1");
        assert_eq!(clone_flags(0), "0x0");
        assert_eq!(bpf_command(5), "BPF_PROG_LOAD");
        assert_eq!(bpf_command(28), "BPF_LINK_CREATE");
        assert_eq!(bpf_command(36), "BPF_TOKEN_CREATE");
        assert_eq!(bpf_command(u64::MAX), "command=18446744073709551615");
    }
}

//! What `/proc` says of a process that was running before it was traced.
//!
//! It is read some time after the process was adopted, so it may say what a later exec made of it, or nothing any
//! more: the caller knows by the process's exec number.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::{Captured, Credentials, Environment, Exec, ExecNumber, Gap, KernelNanos, ProcessKey, Tgid, Tid};

/// As much as an exec event holds (`ARGS_BYTES_MAX`, exec.bpf.c).
const ARGS_BYTES_MAX: u64 = 12_288;
/// Far more than any real environment; what is behind it is not searched.
const ENVIRONMENT_BYTES_MAX: u64 = 2 << 20;
/// As much of one variable as an exec event holds (`VALUE_BYTES_MAX`, environment.h).
const VALUE_BYTES_MAX: usize = 1_023;
/// A line for each hierarchy, of which there are about a dozen.
const CGROUP_BYTES_MAX: u64 = 16_384;
const DELETED: &[u8] = b" (deleted)";

/// Fills in the program of a snapshot. What cannot be read is marked unreadable.
pub fn describe_running(snapshot: &mut Exec) {
    let folder = folder_of(snapshot.process.tgid);
    let executable = read_link(&folder.join("exe"));
    snapshot.executable_deleted = executable.bytes.ends_with(DELETED);
    snapshot.executable = without_deleted(executable);
    snapshot.requested = snapshot.executable.clone();
    snapshot.working_directory = without_deleted(read_link(&folder.join("cwd")));
    snapshot.args = read_file(&folder.join("cmdline"), ARGS_BYTES_MAX);
    snapshot.cgroup = choose_cgroup(&read_file(&folder.join("cgroup"), CGROUP_BYTES_MAX));
    snapshot.environment = search_environment(&read_file(&folder.join("environ"), ENVIRONMENT_BYTES_MAX));
}

/// A process that nobody traces, as far as anybody may know it: its program, arguments, control group and user, not its
/// environment. `None` where it is gone, or has no program (a kernel thread).
#[must_use]
pub fn look_at(process: Tgid) -> Option<Exec> {
    let folder = folder_of(process);
    let executable = read_link(&folder.join("exe"));
    if executable.gap.is_some() {
        return None;
    }
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let [uid, euid, ..] = ids(&status, "Uid:")?;
    let [gid, egid, ..] = ids(&status, "Gid:")?;
    let start = KernelNanos(start_in_ticks(process)?.saturating_mul(TICK_NANOS));
    Some(Exec {
        at: start,
        process: ProcessKey { tgid: process, start },
        exec: ExecNumber(0),
        caller_tid: Tid(process.0),
        vpid: process.0,
        parent: ProcessKey { tgid: Tgid(0), start: KernelNanos(0) },
        credentials: Credentials { uid, gid, euid, egid },
        cgroup_id: 0,
        cgroup: choose_cgroup(&read_file(&folder.join("cgroup"), CGROUP_BYTES_MAX)),
        container: None,
        executable_deleted: executable.bytes.ends_with(DELETED),
        requested: Captured::default(),
        executable: without_deleted(executable),
        working_directory: Captured::default(),
        args: read_file(&folder.join("cmdline"), ARGS_BYTES_MAX),
        redactions: 0,
        flow: None,
        continues: None,
        environment: Environment::default(),
    })
}

/// Whether this very process lives, and not another one that has its id by now.
#[must_use]
pub fn is_alive(process: ProcessKey) -> bool {
    start_in_ticks(process.tgid) == Some(process.start.0 / TICK_NANOS)
}

/// The kernel says it in hundredths of a second on every architecture (USER_HZ).
const TICK_NANOS: u64 = 10_000_000;

fn start_in_ticks(process: Tgid) -> Option<u64> {
    let stat = fs::read(folder_of(process).join("stat")).ok()?;
    // The name may hold anything, parentheses too; after the last one come the state and 18 more, then the start.
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let mut fields = std::str::from_utf8(after_name).ok()?.split_ascii_whitespace();
    let is_a_zombie = matches!(fields.next()?, "Z" | "X");
    if is_a_zombie { None } else { fields.nth(18)?.parse().ok() }
}

/// Real, effective, saved and of the file system.
fn ids(status: &str, name: &str) -> Option<[u32; 4]> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let numbers: Vec<u32> = line.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    numbers.try_into().ok()
}

/// The user ids of a process: real, effective, saved and of the file system.
#[must_use]
pub fn user_ids(process: Tgid) -> Option<[u32; 4]> {
    ids(&fs::read_to_string(folder_of(process).join("status")).ok()?, "Uid:")
}

/// Says that nothing is known of a snapshot's program.
pub fn leave_undescribed(snapshot: &mut Exec) {
    let unreadable = || Captured { bytes: Vec::new(), gap: Some(Gap::Unreadable) };
    snapshot.executable = unreadable();
    snapshot.requested = unreadable();
    snapshot.working_directory = unreadable();
    snapshot.args = unreadable();
    snapshot.environment = Environment { incomplete: true, ..Environment::default() };
}

fn folder_of(process: Tgid) -> PathBuf {
    Path::new("/proc").join(process.0.to_string())
}

fn read_link(path: &Path) -> Captured {
    match fs::read_link(path) {
        Ok(target) => Captured::whole(target.into_os_string().into_vec()),
        Err(_) => Captured { bytes: Vec::new(), gap: Some(Gap::Unreadable) },
    }
}

fn without_deleted(mut path: Captured) -> Captured {
    if path.bytes.ends_with(DELETED) {
        path.bytes.truncate(path.bytes.len() - DELETED.len());
    }
    path
}

fn read_file(path: &Path, limit: u64) -> Captured {
    let read = || -> io::Result<Captured> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let gap = (bytes.len() > limit).then_some(Gap::Truncated { total: 0 });
        bytes.truncate(limit);
        Ok(Captured { bytes, gap })
    };
    read().unwrap_or(Captured { bytes: Vec::new(), gap: Some(Gap::Unreadable) })
}

/// As the exec event has it: the unified hierarchy's path (`0::/path`), or where that is its root, a v1 controller's.
fn choose_cgroup(lines: &Captured) -> Captured {
    let paths = lines.bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some((controllers, path))
    });
    let below_root = paths.filter(|(_, path)| *path != b"/");
    let rank = |controllers: &[u8]| match controllers {
        b"" => 0,
        b"memory" | b"pids" => 1,
        _ => 2,
    };
    let best = below_root.min_by_key(|(controllers, _)| rank(controllers));
    Captured { bytes: best.map_or_else(|| b"/".to_vec(), |(_, path)| path.to_vec()), gap: lines.gap }
}

/// The five variables, and nothing else: the rest of the environment does not leave this function.
fn search_environment(environment: &Captured) -> Environment {
    let find = |name: &str| {
        let mut strings = environment.bytes.split(|byte| *byte == 0);
        let value = strings.find_map(|string| string.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        let gap = (value.len() > VALUE_BYTES_MAX).then_some(Gap::Truncated { total: 0 });
        Some(Captured { bytes: OsStr::from_bytes(value).as_bytes()[..value.len().min(VALUE_BYTES_MAX)].to_vec(), gap })
    };
    Environment {
        traceparent: find("TRACEPARENT"),
        tracestate: find("TRACESTATE"),
        baggage: find("BAGGAGE"),
        service_name: find("OTEL_SERVICE_NAME"),
        resource_attributes: find("OTEL_RESOURCE_ATTRIBUTES"),
        incomplete: environment.gap.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_variables_are_taken_from_an_environment() {
        let environment =
            Captured::whole(*b"HOME=/root\0TRACEPARENT=00-a-b-01\0API_KEY=secret\0XTRACESTATE=no\0BAGGAGE=\0");
        let found = search_environment(&environment);
        assert_eq!(found.traceparent, Some(Captured::whole(*b"00-a-b-01")));
        assert_eq!(found.tracestate, None);
        assert_eq!(found.baggage, Some(Captured::whole(*b"")));
        assert!(!found.incomplete);
    }

    #[test]
    fn the_unified_control_group_counts_and_a_v1_controllers_where_that_is_the_root() {
        let choose = |text: &str| String::from_utf8(choose_cgroup(&Captured::whole(text)).bytes).unwrap();
        assert_eq!(choose("12:cpu:/a\n5:memory:/b\n0::/c\n"), "/c");
        assert_eq!(choose("12:cpu:/a\n5:memory:/b\n0::/\n"), "/b");
        assert_eq!(choose("0::/\n"), "/");
        assert_eq!(choose(""), "/");
    }

    #[test]
    fn this_process_is_described_as_it_is() {
        let mut arguments = Vec::new();
        for argument in std::env::args_os() {
            arguments.extend_from_slice(argument.as_bytes());
            arguments.push(0);
        }
        let folder = folder_of(Tgid(std::process::id()));
        assert_eq!(read_file(&folder.join("cmdline"), ARGS_BYTES_MAX).bytes, arguments);
        let executable = std::env::current_exe().unwrap().into_os_string().into_vec();
        assert_eq!(read_link(&folder.join("exe")), Captured::whole(executable));
    }

    #[test]
    fn this_process_is_alive_and_another_of_its_id_is_not() {
        let found = look_at(Tgid(std::process::id())).unwrap();
        assert!(is_alive(found.process));
        assert!(!is_alive(ProcessKey { start: KernelNanos(found.process.start.0 + TICK_NANOS), ..found.process }));
        assert_eq!(found.credentials.uid, nix::unistd::getuid().as_raw());
        assert_eq!(found.environment, Environment::default());
    }

    #[test]
    fn a_process_that_is_gone_is_unreadable_and_not_empty() {
        assert_eq!(read_file(Path::new("/proc/0/cmdline"), 10).gap, Some(Gap::Unreadable));
    }
}

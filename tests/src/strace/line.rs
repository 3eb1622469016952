//! What a line of strace's output says of processes.

use super::call::calls;

/// What happened to one thread. `tid` is the kernel's number for a thread; for the first of a process it is the process'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) tid: u32,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A call that makes a process or thread has begun.
    Forks { child: u32, thread: bool },
    /// An exec has succeeded.
    Execs { path: String, arguments: Vec<String> },
    /// The thread has ended with this code.
    Exited(i64),
    /// The thread was killed by this signal.
    Killed(String),
}

/// All records, forks at the place where the call began, execs where it ended: so a child's first record follows its fork.
pub(super) fn records(log: &str) -> Vec<Record> {
    let mut records: Vec<(usize, Record)> = Vec::new();
    for call in calls(log) {
        if let Some(what) = what(&call.text) {
            let at = if matches!(what, What::Forks { .. }) { call.begun } else { call.ended };
            records.push((at, Record { tid: call.tid, what }));
        }
    }
    records.sort_by_key(|(at, _)| *at);
    records.into_iter().map(|(_, record)| record).collect()
}

/// `None` for what changes no process: a failed call, `superseded by execve`.
fn what(call: &str) -> Option<What> {
    if let Some(code) = call.strip_prefix("+++ exited with ").and_then(|call| call.strip_suffix(" +++")) {
        return Some(What::Exited(code.parse().ok()?));
    }
    if let Some(signal) = call.strip_prefix("+++ killed by ") {
        return Some(What::Killed(signal.split(' ').next()?.to_owned()));
    }
    // A signal's arrival ends nobody yet; strace -e signal=none would hide the killed, too.
    if call.starts_with("--- ") {
        return None;
    }
    let (name, arguments) = call.split_once('(')?;
    // The result stands after the last `=`; the arguments are followed by `)` and blanks.
    let (arguments, result) = arguments.rsplit_once('=')?;
    let result: u32 = result.trim().split(' ').next()?.parse().ok()?;
    match name {
        "fork" | "vfork" | "clone" | "clone3" => {
            Some(What::Forks { child: result, thread: arguments.contains("CLONE_THREAD") })
        }
        "execve" => {
            let (path, rest) = quoted(arguments)?;
            Some(What::Execs { path, arguments: list(rest.strip_prefix(", ")?)? })
        }
        "execveat" => {
            let (_, rest) = arguments.split_once(", ")?;
            let (path, rest) = quoted(rest)?;
            Some(What::Execs { path, arguments: list(rest.strip_prefix(", ")?)? })
        }
        _ => None,
    }
}

/// The strings of `["a", "b"]` at the start of a text.
fn list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?;
    let mut items = Vec::new();
    while !rest.starts_with(']') {
        let (item, after) = quoted(rest)?;
        items.push(item);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    Some(items)
}

/// A C string at the start of a text, and what follows it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let bytes = text.as_bytes();
    let mut value = Vec::new();
    let mut at = 1;
    if bytes.first() != Some(&b'"') {
        return None;
    }
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), &text[at + 1..])),
            b'\\' => {
                let escape = *bytes.get(at + 1)?;
                at += 2;
                value.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'0'..=b'7' => {
                        let digits =
                            bytes[at - 1..].iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                        let octal = &text[at - 1..at - 1 + digits];
                        at += digits - 1;
                        u8::from_str_radix(octal, 8).ok()?
                    }
                    other => other,
                });
            }
            byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(path: &str, arguments: &[&str]) -> What {
        What::Execs { path: path.into(), arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
    }

    #[test]
    fn an_exec_keeps_its_arguments_and_not_its_environment() {
        let records =
            records(r#"7 execve("/bin/sh", ["sh", "-c", "echo \"a\\b\"\n\303\244"], ["A=[\"x\"]", "B== 3"]) = 0"#);
        assert_eq!(records, [Record { tid: 7, what: exec("/bin/sh", &["sh", "-c", "echo \"a\\b\"\nä"]) }]);
    }

    #[test]
    fn a_failed_exec_is_none() {
        assert_eq!(records(r#"7 execve("/bin/x", ["x"], []) = -1 ENOENT (No such file or directory)"#), []);
    }

    #[test]
    fn a_fork_stands_where_it_began_though_its_child_is_seen_first() {
        let log = "5 vfork( <unfinished ...>\n8 execve(\"/bin/ls\", [\"ls\"], []) = 0\n5 <... vfork resumed>)              = 8\n";
        assert_eq!(
            records(log),
            [
                Record { tid: 5, what: What::Forks { child: 8, thread: false } },
                Record { tid: 8, what: exec("/bin/ls", &["ls"]) }
            ]
        );
    }

    #[test]
    fn an_exec_by_a_thread_is_the_process_own() {
        let log = "9 execve(\"/bin/true\", [\"true\"], [] <pid changed to 8 ...>\n8 +++ superseded by execve in pid 9 +++\n8 <... execve resumed>)             = 0\n";
        assert_eq!(records(log), [Record { tid: 8, what: exec("/bin/true", &["true"]) }]);
    }

    #[test]
    fn threads_and_ends_are_told_apart() {
        let log = "8 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 9\n8 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---\n8 clone(child_stack=NULL, flags=SIGCHLD) = 10\n8 +++ exited with 3 +++\n10 +++ killed by SIGSEGV (core dumped) +++\n";
        assert_eq!(
            records(log).into_iter().map(|record| record.what).collect::<Vec<_>>(),
            [
                What::Forks { child: 9, thread: true },
                What::Forks { child: 10, thread: false },
                What::Exited(3),
                What::Killed("SIGSEGV".into())
            ]
        );
    }
}

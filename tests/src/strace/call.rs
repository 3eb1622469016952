//! strace's log as whole calls: the halves of interrupted lines put together again.

use std::collections::BTreeMap;

/// A call, or a line about a thread's end, in strace's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The kernel's number for the thread; for the first of a process it is the process'.
    pub(super) tid: u32,
    /// Number of the line that it began in.
    pub(super) begun: usize,
    /// Number of the line that it ended in.
    pub(super) ended: usize,
    /// `name(arguments) = result`.
    pub(super) text: String,
}

/// All calls that ended, in the order of their end.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<u32, (usize, String)> = BTreeMap::new();
    for (index, line) in log.lines().enumerate() {
        let Some((tid, rest)) = line.split_once(' ') else { panic!("strace wrote `{line}`") };
        let tid: u32 = tid.parse().unwrap_or_else(|_| panic!("no thread id at the start of strace's line `{line}`"));
        let rest = rest.trim_start();
        let (begun, text) =
            if let Some((call, note)) = rest.rsplit_once(" <").filter(|(_, note)| note.ends_with(" ...>")) {
                // A thread that execs goes on under the process' id.
                let next = note.strip_prefix("pid changed to ").and_then(|note| note.strip_suffix(" ...>"));
                let key = next.map_or(tid, |next| next.parse().unwrap_or_else(|_| panic!("strace wrote `{line}`")));
                unfinished.insert(key, (index, call.to_owned()));
                continue;
            } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                let (begun, start) =
                    unfinished.remove(&tid).unwrap_or_else(|| panic!("strace resumed what it never began: `{line}`"));
                (begun, start + end)
            } else {
                (index, rest.to_owned())
            };
        calls.push(Call { tid, begun, ended: index, text });
    }
    calls
}

impl Call {
    /// Name, arguments and what stands after the last `=`; `None` where the line is about no call.
    pub(super) fn parts(&self) -> Option<(&str, Vec<&str>, &str)> {
        let (name, rest) = self.text.split_once('(')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let arguments = arguments.trim_end().strip_suffix(')')?;
        Some((name, split(arguments), result.trim()))
    }
}

/// The result as a number; `None` for an error and for `?`.
pub(super) fn number(result: &str) -> Option<u64> {
    let digits = result.split([' ', '<']).next()?;
    match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// Arguments at their commas, those in brackets, quotes and notes left alone.
fn split(arguments: &str) -> Vec<&str> {
    let mut open: Vec<u8> = Vec::new();
    let (mut start, mut parts) = (0, Vec::new());
    let bytes = arguments.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match (open.last(), byte) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(b'"'), b'"') | (Some(b'('), b')') | (Some(b'['), b']') | (Some(b'{'), b'}') | (Some(b'<'), b'>') => {
                open.pop();
            }
            (Some(b'"'), _) => {}
            (_, b'"' | b'(' | b'[' | b'{' | b'<') => open.push(byte),
            (None, b',') => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(arguments[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_joined_with_the_lines_that_they_stood_in() {
        let log = "5 read(3</a>,  <unfinished ...>\n6 close(4) = 0\n5 <... read resumed>\"x\", 10) = 1\n";
        let found = calls(log);
        let read = Call { tid: 5, begun: 0, ended: 2, text: "read(3</a>, \"x\", 10) = 1".into() };
        assert_eq!(found[1], read);
    }

    #[test]
    fn a_calls_parts_are_told_apart_whatever_is_in_them() {
        let text = r#"writev(3<UNIX-STREAM:[1->2,"/a, b"]>, [{iov_base="a\"), ["..., iov_len=5}], 1) = 5"#;
        let call = Call { tid: 1, begun: 0, ended: 0, text: text.into() };
        let (name, arguments, result) = call.parts().unwrap();
        assert_eq!((name, arguments.len(), result), ("writev", 3, "5"));
        assert_eq!(arguments[0], r#"3<UNIX-STREAM:[1->2,"/a, b"]>"#);
    }

    #[test]
    fn results_are_numbers_or_none() {
        assert_eq!(number("3</tmp/o>"), Some(3));
        assert_eq!(number("0x7f00"), Some(0x7f00));
        assert_eq!(number("-1 EBADF (Bad file descriptor)"), None);
        assert_eq!(number("?"), None);
    }
}

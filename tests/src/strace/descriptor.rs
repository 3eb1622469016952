//! What `strace -yy` says of a descriptor: the file, pipe or socket that it stands for.

/// What bytes go through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    /// By the path that it has at that moment.
    File {
        path: String,
        /// It has no name left.
        deleted: bool,
    },
    /// By its inode.
    Pipe(String),
    /// By this end's name, and the other's where it is known.
    Socket { kind: &'static str, own: String, peer: Option<String> },
}

/// Folders whose files are the system's, or no files.
const SYSTEM_FOLDERS: [&str; 6] = ["/usr/", "/etc/", "/proc/", "/sys/", "/dev/", "/lib"];

/// `3</tmp/o>`, `AT_FDCWD</tmp>`, `1<pipe:[7]>`, `4<UNIX-STREAM:[1->2]>`, `5<TCP:[127.0.0.1:1->127.0.0.1:2]>`; `None` for
/// what carries no bytes between processes (terminals, other devices, eventfds) and for the system's files.
pub(super) fn channel(argument: &str) -> Option<Channel> {
    let (_, note) = argument.split_once('<')?;
    let (note, deleted) = match note.strip_suffix(">(deleted)") {
        Some(note) => (note, true),
        None => (note.strip_suffix('>')?, false),
    };
    if let Some(inode) = bracketed(note, "pipe:") {
        return Some(Channel::Pipe(inode.to_owned()));
    }
    for (prefix, kind) in [
        ("UNIX-STREAM:", "unix"),
        ("UNIX-DGRAM:", "unix"),
        ("UNIX-SEQPACKET:", "unix"),
        ("TCP:", "tcp"),
        ("TCPv6:", "tcp"),
        ("UDP:", "udp"),
        ("UDPv6:", "udp"),
    ] {
        let Some(ends) = bracketed(note, prefix) else { continue };
        // A socket's own path may follow.
        let ends = ends.split_once(",\"").map_or(ends, |(ends, _)| ends);
        let (own, peer) = match ends.split_once("->") {
            Some((own, peer)) => (own, Some(peer.to_owned())),
            None => (ends, None),
        };
        return Some(Channel::Socket { kind, own: own.to_owned(), peer });
    }
    // Devices have a second note: `/dev/null<char 1:3>`.
    let is_file = note.starts_with('/') && !note.contains("<char ") && !note.contains("<block ");
    let is_system = SYSTEM_FOLDERS.iter().any(|folder| note.starts_with(folder));
    (is_file && !is_system).then(|| Channel::File { path: note.to_owned(), deleted })
}

/// The path of a descriptor, `AT_FDCWD` too, whatever it is.
pub(super) fn path(argument: &str) -> Option<&str> {
    let (_, note) = argument.split_once('<')?;
    note.strip_suffix('>').filter(|note| note.starts_with('/'))
}

fn bracketed<'a>(note: &'a str, prefix: &str) -> Option<&'a str> {
    note.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, deleted: bool) -> Option<Channel> {
        Some(Channel::File { path: path.into(), deleted })
    }

    fn socket(kind: &'static str, own: &str, peer: Option<&str>) -> Option<Channel> {
        Some(Channel::Socket { kind, own: own.into(), peer: peer.map(str::to_owned) })
    }

    #[test]
    fn files_pipes_and_sockets_are_told_apart() {
        assert_eq!(channel("3</tmp/a b>"), file("/tmp/a b", false));
        assert_eq!(channel("3</tmp/a>(deleted)"), file("/tmp/a", true));
        assert_eq!(channel("1<pipe:[123]>"), Some(Channel::Pipe("123".into())));
        assert_eq!(channel("4<UNIX-STREAM:[1->2]>"), socket("unix", "1", Some("2")));
        assert_eq!(channel("4<UNIX-STREAM:[1->2,\"/tmp/s\"]>"), socket("unix", "1", Some("2")));
        assert_eq!(channel("4<UNIX-STREAM:[1]>"), socket("unix", "1", None));
        assert_eq!(channel("5<TCP:[127.0.0.1:1->127.0.0.1:2]>"), socket("tcp", "127.0.0.1:1", Some("127.0.0.1:2")));
        assert_eq!(channel("5<TCPv6:[[::1]:1->[::1]:2]>"), socket("tcp", "[::1]:1", Some("[::1]:2")));
    }

    #[test]
    fn what_carries_nothing_between_processes_is_none() {
        for argument in
            ["0</dev/null<char 1:3>>", "9<anon_inode:[eventfd]>", "3</usr/bin/x>", "4</proc/self/stat>", "-1", "\"x\""]
        {
            assert_eq!(channel(argument), None, "{argument}");
        }
    }
}

//! What flowed between processes, from a log of `strace -f -yy` of the calls in `FLOW_CALLS`.
//!
//! Memory that processes share is no witness's to see here: writable shared mappings are left out. A file that is mapped
//! to be read counts as read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::call::{Call, calls, number};
use super::descriptor::{Channel, channel, path};
use super::files::{Files, Write};
use super::folders::{Folders, joined};
use super::line::{What, quoted, records};
use super::streams::{StreamId, Streams, Transfer};
use crate::flow::{Flow, Witnessed};

/// What the log shows of a program that was started in `folder`, which held the files `before`, by their paths.
///
/// # Panics
/// When strace wrote what is not understood.
#[must_use]
pub fn flows(log: &str, folder: &Path, before: BTreeSet<String>) -> Witnessed {
    let folder = folder.display().to_string();
    let mut reader = Reader {
        processes: BTreeMap::new(),
        files: Files::new(&folder, before),
        folders: Folders::new(folder),
        peers: BTreeMap::new(),
        streams: Streams::default(),
        witnessed: Witnessed::default(),
    };
    for record in records(log) {
        if let What::Forks { child, thread } = record.what {
            let process = reader.process(record.tid);
            reader.processes.insert(child, if thread { process } else { child });
            reader.folders.forked(process, child);
        }
    }
    for call in calls(log) {
        reader.read(&call);
    }
    reader.streams.witness(&mut reader.witnessed);
    reader.witnessed
}

struct Reader {
    /// The process of each thread; a thread that is not here is its own.
    processes: BTreeMap<u32, u32>,
    folders: Folders,
    files: Files,
    /// The other end of each socket, as long as it had one.
    peers: BTreeMap<String, String>,
    streams: Streams,
    witnessed: Witnessed,
}

impl Reader {
    fn read(&mut self, call: &Call) {
        let Some((name, arguments, result)) = call.parts() else { return };
        let Some(value) = number(result) else { return };
        let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
        let at_offset = || {
            let offset: u64 = argument(3).parse().ok()?;
            Some((offset, offset + value))
        };
        match name {
            "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" => self.took(call, argument(0), value, None),
            "pread64" | "preadv" | "preadv2" => self.took(call, argument(0), value, at_offset()),
            "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" => self.put(call, argument(0), value, None),
            "pwrite64" | "pwritev" | "pwritev2" => self.put(call, argument(0), value, at_offset()),
            "copy_file_range" | "splice" => self.moved(call, argument(0), argument(2), value),
            "tee" => self.moved(call, argument(0), argument(1), value),
            "sendfile" => self.moved(call, argument(1), argument(0), value),
            // It says nothing of how much there was.
            "ioctl" if argument(1).contains("FICLONE") => self.moved(call, argument(2), argument(0), 1),
            "mmap" => {
                let is_shared_memory = argument(3).contains("MAP_SHARED") && argument(2).contains("PROT_WRITE");
                if !is_shared_memory && argument(2).contains("PROT_READ") {
                    self.took(call, argument(4), 1, None);
                }
            }
            "open" | "openat" | "openat2" | "creat" => self.opened(name, &arguments, result),
            "ftruncate" if argument(1) == "0" => {
                if let Some(Channel::File { path, deleted: false }) = channel(argument(0)) {
                    self.files.emptied(&path);
                }
            }
            _ => self.named(call, name, &arguments),
        }
    }

    /// Calls that change what names stand for, or what names start at.
    fn named(&mut self, call: &Call, name: &str, arguments: &[&str]) {
        let process = self.process(call.tid);
        let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
        let here = self.folders.of(process);
        let plain = |at: usize| Some(joined(&here, &quoted(argument(at))?.0));
        let below = |at: usize| Some(joined(path(argument(at)).unwrap_or(&here), &quoted(argument(at + 1))?.0));
        match name {
            "chdir" => {
                if let Some(folder) = plain(0) {
                    self.folders.changed(process, folder);
                }
            }
            "fchdir" => {
                if let Some(folder) = path(argument(0)) {
                    self.folders.changed(process, folder.to_owned());
                }
            }
            "truncate" if argument(1) == "0" => {
                if let Some(path) = plain(0) {
                    self.files.emptied(&path);
                }
            }
            "rename" => two(plain(0), plain(1), |from, to| self.files.renamed(from, to)),
            "renameat" | "renameat2" => two(below(0), below(2), |from, to| self.files.renamed(from, to)),
            "link" => two(plain(0), plain(1), |from, to| self.files.linked(from, to)),
            "linkat" => two(below(0), below(2), |from, to| self.files.linked(from, to)),
            "unlink" => two(plain(0), plain(0), |path, _| self.files.removed(path)),
            "unlinkat" => two(below(0), below(0), |path, _| self.files.removed(path)),
            _ => {}
        }
    }

    fn opened(&mut self, name: &str, arguments: &[&str], result: &str) {
        let flags = arguments.iter().find(|argument| argument.starts_with(['O', '{'])).copied().unwrap_or_default();
        let is_empty = name == "creat" || flags.contains("O_TRUNC") || flags.contains("O_EXCL");
        if let Some(Channel::File { path, deleted: false }) = channel(result) {
            if is_empty {
                self.files.emptied(&path);
            } else {
                self.files.content(&path, false);
            }
        }
    }

    fn moved(&mut self, call: &Call, from: &str, to: &str, bytes: u64) {
        self.took(call, from, bytes, None);
        self.put(call, to, bytes, None);
    }

    fn put(&mut self, call: &Call, descriptor: &str, bytes: u64, range: Option<(u64, u64)>) {
        let process = self.process(call.tid);
        match channel(descriptor).filter(|_| bytes > 0) {
            Some(Channel::File { path, deleted }) => {
                let content = self.files.content(&path, deleted);
                self.files.written(content, Write { process, begun: call.begun, ended: call.ended, range });
            }
            Some(stream) => {
                if let Some(stream) = self.stream(stream, Way::Out) {
                    self.streams.put(stream, transfer(process, call, bytes));
                }
            }
            None => {}
        }
    }

    fn took(&mut self, call: &Call, descriptor: &str, bytes: u64, range: Option<(u64, u64)>) {
        let reader = self.process(call.tid);
        match channel(descriptor).filter(|_| bytes > 0) {
            Some(Channel::File { path, deleted }) => {
                let content = self.files.content(&path, deleted);
                let writers = self.files.writers(content, call.begun, call.ended, range);
                let flow = |writer: u32| Flow { writer, reader, object: path.clone() };
                let others = |writers: BTreeSet<u32>| writers.into_iter().filter(|writer| *writer != reader).map(flow);
                self.witnessed.certain.extend(others(writers.certain));
                self.witnessed.possible.extend(others(writers.possible));
            }
            Some(stream) => {
                if let Some(stream) = self.stream(stream, Way::In) {
                    self.streams.taken(stream, transfer(reader, call, bytes));
                }
            }
            None => {}
        }
    }

    /// The stream that bytes go into, or come out of, at this end.
    fn stream(&mut self, channel: Channel, way: Way) -> Option<StreamId> {
        match channel {
            Channel::File { .. } => None,
            Channel::Pipe(inode) => Some(StreamId { kind: "pipe", name: inode }),
            Channel::Socket { kind, own, peer } => {
                if let Some(peer) = &peer {
                    self.peers.insert(own.clone(), peer.clone());
                    self.peers.insert(peer.clone(), own.clone());
                }
                let peer = peer.or_else(|| self.peers.get(&own).cloned())?;
                let (from, to) = if way == Way::Out { (own, peer) } else { (peer, own) };
                Some(StreamId { kind, name: format!("{from} -> {to}") })
            }
        }
    }

    fn process(&self, tid: u32) -> u32 {
        self.processes.get(&tid).copied().unwrap_or(tid)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

fn transfer(process: u32, call: &Call, bytes: u64) -> Transfer {
    Transfer { process, bytes, begun: call.begun, ended: call.ended }
}

fn two(first: Option<String>, second: Option<String>, mut apply: impl FnMut(&str, &str)) {
    if let (Some(first), Some(second)) = (first, second) {
        apply(&first, &second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(log: &str) -> Witnessed {
        flows(log, Path::new("/d"), BTreeSet::from(["/d/old".to_owned()]))
    }

    fn certain(log: &str) -> Vec<String> {
        witness(log).certain.iter().map(Flow::to_string).collect()
    }

    #[test]
    fn a_file_that_is_renamed_goes_from_its_writer_to_its_reader() {
        let log = "1 clone(child_stack=NULL, flags=SIGCHLD) = 2\n\
            2 openat(AT_FDCWD</d>, \"a.tmp\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</d/a.tmp>\n\
            2 write(3</d/a.tmp>, \"x\"..., 5) = 5\n\
            1 rename(\"a.tmp\", \"./b/../a\") = 0\n\
            1 openat(AT_FDCWD</d>, \"a\", O_RDONLY) = 3</d/a>\n\
            1 read(3</d/a>, \"x\"..., 100) = 5\n\
            1 read(3</d/a>, \"\", 100) = 0\n";
        assert_eq!(certain(log), ["2 -> 1 by /d/a"]);
    }

    #[test]
    fn a_file_that_was_there_before_is_only_possible() {
        let log = "1 write(3</d/old>, \"x\"..., 5) = 5\n2 read(3</d/old>, \"x\"..., 100) = 5\n";
        assert_eq!(certain(log), Vec::<String>::new());
        assert_eq!(witness(log).possible.len(), 1);
    }

    #[test]
    fn a_pipe_goes_from_end_to_end_and_interrupted_calls_count_when_they_end() {
        let log = "2 read(0<pipe:[7]>,  <unfinished ...>\n1 write(1<pipe:[7]>, \"x\"..., 5) = 5\n2 <... read resumed>\"x\"..., 100) = 5\n";
        assert_eq!(certain(log), ["1 -> 2 by pipe"]);
    }

    #[test]
    fn the_two_ways_of_a_socket_are_two_streams_though_its_peer_is_gone() {
        let log = "1 sendto(3<UNIX-STREAM:[10->11]>, \"x\"..., 5, 0, NULL, 0) = 5\n\
            1 close(3<UNIX-STREAM:[10->11]>) = 0\n\
            2 recvfrom(4<UNIX-STREAM:[11]>, \"x\"..., 100, 0, NULL, NULL) = 5\n";
        assert_eq!(certain(log), ["1 -> 2 by unix"]);
        assert_eq!(witness(log).possible.len(), 1);
    }

    #[test]
    fn copies_are_read_here_and_written_there() {
        let log = "1 write(3</d/a>, \"x\"..., 5) = 5\n\
            2 copy_file_range(3</d/a>, NULL, 4</d/b>, NULL, 9223372035781033984, 0) = 5\n\
            3 sendfile(1<pipe:[7]>, 3</d/b>, [0] => [5], 100) = 5\n\
            4 mmap(NULL, 5, PROT_READ, MAP_PRIVATE, 3</d/b>, 0) = 0x7f00\n";
        assert_eq!(certain(log), ["1 -> 2 by /d/a", "2 -> 3 by /d/b", "2 -> 4 by /d/b"]);
    }

    #[test]
    fn threads_are_their_process_and_shared_memory_is_left_out() {
        let log = "1 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 5\n\
            5 write(3</d/a>, \"x\"..., 5) = 5\n\
            1 read(3</d/a>, \"x\"..., 5) = 5\n\
            2 mmap(NULL, 5, PROT_READ|PROT_WRITE, MAP_SHARED, 3</d/a>, 0) = 0x7f00\n\
            2 read(3</d/a>, \"x\"..., 5) = 5\n";
        assert_eq!(certain(log), ["1 -> 2 by /d/a"]);
    }

    #[test]
    fn a_path_is_no_flag() {
        let log = "1 write(3</d/O_TRUNC>, \"x\"..., 5) = 5\n\
            2 openat(AT_FDCWD</d/O_TRUNC>, \"/d/O_TRUNC\", O_RDONLY) = 3</d/O_TRUNC>\n\
            2 read(3</d/O_TRUNC>, \"y\"..., 5) = 5\n";
        assert_eq!(certain(log), ["1 -> 2 by /d/O_TRUNC"]);
    }

    #[test]
    fn an_emptied_file_has_nothing_of_what_was_in_it() {
        let log = "1 write(3</d/a>, \"x\"..., 5) = 5\n\
            2 openat(AT_FDCWD</d>, \"a\", O_WRONLY|O_TRUNC) = 3</d/a>\n\
            2 write(3</d/a>, \"y\"..., 5) = 5\n\
            3 read(3</d/a>, \"y\"..., 5) = 5\n";
        assert_eq!(certain(log), ["2 -> 3 by /d/a"]);
        assert_eq!(witness(log).possible.len(), 1);
    }
}

//! What an image did that is no transfer, as span events named like the calls.

use agentsight_ebpf::{Address, Call, CallKind, Captured, Change, ChangeKind, Connect, Kill, ProcessKey};
use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use agentsight_semconv::value::file_kind;

use super::attributes::Attributes;
use super::errno::error_name;
use super::model::SpanEvent;
use super::time::wall;
use super::{address, call_arguments, object, status};
use crate::graph::{Note, Trace};

/// The event on a span of `trace`.
pub(super) fn event(note: &Note, trace: &Trace) -> SpanEvent {
    let mut attributes = Attributes::default();
    let (at, name, error) = match note {
        Note::Change(change) => {
            describe_change(change, &mut attributes);
            (change.at, change_name(change.kind), change.error)
        }
        Note::Kill(kill, name) => {
            describe_kill(kill, name.as_deref(), &mut attributes);
            (kill.at, semconv::KILL, 0)
        }
        Note::Call(call) => {
            describe_call(call, &mut attributes);
            (call.at, call_name(call.kind), call.error)
        }
        Note::Connect(connect) => {
            describe_connect(connect, &mut attributes);
            (connect.at, semconv::CONNECT, connect.error)
        }
    };
    if error != 0 {
        attributes.text(semconv::ERROR_TYPE, error_name(error));
    }
    SpanEvent { name, at: wall(trace, at), attributes: attributes.finish() }
}

fn change_name(kind: ChangeKind) -> Name {
    match kind {
        ChangeKind::Rename => semconv::RENAME,
        ChangeKind::Unlink => semconv::UNLINK,
        ChangeKind::Rmdir => semconv::RMDIR,
        ChangeKind::Link => semconv::LINK,
        ChangeKind::Symlink => semconv::SYMLINK,
        ChangeKind::Mkdir => semconv::MKDIR,
        ChangeKind::Mknod => semconv::MKNOD,
        ChangeKind::Truncate => semconv::TRUNCATE,
        ChangeKind::Fallocate => semconv::FALLOCATE,
        ChangeKind::Chmod => semconv::CHMOD,
        ChangeKind::Chown => semconv::CHOWN,
        ChangeKind::Setxattr => semconv::SETXATTR,
    }
}

fn call_name(kind: CallKind) -> Name {
    match kind {
        CallKind::Setuid => semconv::SETUID,
        CallKind::Setgid => semconv::SETGID,
        CallKind::Ptrace => semconv::PTRACE,
        CallKind::ProcessVmWritev => semconv::PROCESS_VM_WRITEV,
        CallKind::ProcessVmReadv => semconv::PROCESS_VM_READV,
        CallKind::MemfdCreate => semconv::MEMFD_CREATE,
        CallKind::IoUringSetup | CallKind::IoUringFollowed => semconv::IO_URING_SETUP,
        CallKind::IoUringUnseen => semconv::AGENTSIGHT_IO_URING_UNSEEN,
        CallKind::CompatCall => semconv::COMPAT_CALL,
        CallKind::Bind => semconv::BIND,
        CallKind::Listen => semconv::LISTEN,
        CallKind::MapShared => semconv::MMAP,
        CallKind::Chroot => semconv::CHROOT,
        CallKind::Namespaces => semconv::UNSHARE,
        CallKind::Mount => semconv::MOUNT,
        CallKind::Bpf => semconv::BPF,
        CallKind::LoadModule => semconv::INIT_MODULE,
    }
}

fn describe_change(change: &Change, attributes: &mut Attributes) {
    path(semconv::FILE_PATH, &change.path, attributes);
    match change.kind {
        ChangeKind::Symlink => path(semconv::FILE_SYMBOLIC_LINK_TARGET_PATH, &change.new_path, attributes),
        _ => path(semconv::AGENTSIGHT_FILE_NEW_PATH, &change.new_path, attributes),
    }
    match change.kind {
        ChangeKind::Chmod | ChangeKind::Mkdir | ChangeKind::Mknod => {
            attributes.text(semconv::FILE_MODE, format!("{:04o}", change.value & PERMISSIONS));
            if let Some(kind) = device_kind(change) {
                attributes.text(semconv::AGENTSIGHT_FILE_KIND, kind);
            }
        }
        ChangeKind::Truncate | ChangeKind::Fallocate => attributes.int(semconv::FILE_SIZE, change.value),
        ChangeKind::Chown => {
            for (name, id) in [
                (semconv::FILE_OWNER_ID, change.value >> 32),
                (semconv::FILE_GROUP_ID, change.value & u64::from(u32::MAX)),
            ] {
                // -1 leaves it as it is.
                if id != u64::from(u32::MAX) {
                    attributes.text(name, id.to_string());
                }
            }
        }
        ChangeKind::Rename
        | ChangeKind::Unlink
        | ChangeKind::Rmdir
        | ChangeKind::Link
        | ChangeKind::Symlink
        | ChangeKind::Setxattr => {}
    }
    if let Some(file) = change.file {
        object::describe_id(file, attributes);
    }
}

const PERMISSIONS: u64 = 0o7777;

/// What kind of device `mknod` makes, if it is one.
pub(super) fn device_kind(change: &Change) -> Option<&'static str> {
    const FORMAT: u64 = 0o170_000;
    const CHARACTER: u64 = 0o020_000;
    const BLOCK: u64 = 0o060_000;
    match (change.kind, change.value & FORMAT) {
        (ChangeKind::Mknod, CHARACTER) => Some(file_kind::CHARACTER_DEVICE),
        (ChangeKind::Mknod, BLOCK) => Some(file_kind::BLOCK_DEVICE),
        _ => None,
    }
}

fn path(name: Name, path: &Captured, attributes: &mut Attributes) {
    attributes.captured(name, path);
}

fn describe_kill(kill: &Kill, target_name: Option<&str>, attributes: &mut Attributes) {
    let name = u8::try_from(kill.signal).map_or_else(|_| format!("SIG{}", kill.signal).into(), status::signal_name);
    attributes.text(semconv::AGENTSIGHT_SIGNAL_NAME, name);
    describe_target(kill.target, attributes);
    if let Some(name) = target_name {
        attributes.text(semconv::AGENTSIGHT_TARGET_NAME, name.to_owned());
    }
}

fn describe_call(call: &Call, attributes: &mut Attributes) {
    let [first, second] = call.arguments;
    match call.kind {
        // What it is afterwards is not known of a call that failed.
        CallKind::Setuid | CallKind::Setgid if call.error != 0 => {}
        CallKind::Setuid => attributes.int(semconv::PROCESS_USER_ID, first),
        CallKind::Setgid => attributes.int(semconv::AGENTSIGHT_PROCESS_GROUP_ID, first),
        CallKind::ProcessVmWritev | CallKind::ProcessVmReadv => attributes.int(semconv::AGENTSIGHT_IO_BYTES, first),
        CallKind::Bind if first > 0 => attributes.int(semconv::NETWORK_LOCAL_PORT, first),
        CallKind::MapShared if first > 0 => {
            attributes.int(semconv::AGENTSIGHT_IO_OFFSET, second);
            attributes.int(semconv::AGENTSIGHT_IO_END, second.saturating_add(first));
        }
        _ => {
            if let Some(words) = call_arguments::in_words(call) {
                attributes.text(semconv::AGENTSIGHT_CALL_ARGUMENTS, words);
            }
        }
    }
    if let Some(target) = call.target {
        describe_target(target, attributes);
    }
}

fn describe_target(target: ProcessKey, attributes: &mut Attributes) {
    attributes.int(semconv::AGENTSIGHT_TARGET_PID, target.tgid.0);
    attributes.text(semconv::AGENTSIGHT_TARGET_START, target.start.0.to_string());
}

fn describe_connect(connect: &Connect, attributes: &mut Attributes) {
    match &connect.to {
        Address::Inet(to) => {
            attributes.text(semconv::NETWORK_TYPE, address::network_type(to.ip()));
            address::describe(address::PEER, *to, attributes);
        }
        Address::Unix(to) => {
            attributes.text(semconv::NETWORK_TRANSPORT, "unix");
            attributes.captured_as(semconv::NETWORK_PEER_ADDRESS, to, address::unix_name);
        }
        Address::Family(family) => {
            attributes.text(semconv::AGENTSIGHT_CALL_ARGUMENTS, format!("family={family}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{Doer, FileId, OpenId, Tgid, Tid};
    use expect_test::{Expect, expect};

    use super::*;
    use crate::graph::{Account, Activity, Blind, Ended, Ending, Folded, Image};
    use crate::spans::fixture::{at, check_activities, image};

    fn doer(image: &Image) -> Doer {
        let process = image.id.process;
        Doer { process, exec: image.id.exec, tid: Tid(process.tgid.0) }
    }

    fn check(account: impl FnOnce(&Image) -> Account, expect: &Expect) {
        let image = image("/bin/mv");
        let account = account(&image);
        let ended = Ended { image: (*image).clone(), at: at(9), ending: Ending::Incomplete, account };
        check_activities(&[Activity::ImageEnded(Box::new(ended))], expect);
    }

    fn change(image: &Image, kind: ChangeKind, value: u64) -> Note {
        let new_path = match kind {
            ChangeKind::Rename | ChangeKind::Link => Captured::whole("/home/me/config.json"),
            ChangeKind::Symlink => Captured::whole("releases/42"),
            _ => Captured::default(),
        };
        let file = (kind == ChangeKind::Chmod).then_some(FileId { device: 8 << 20 | 1, inode: 42, generation: 7 });
        let path = Captured::whole("/home/me/config.tmp");
        Note::Change(Box::new(Change {
            at: at(4),
            by: doer(image),
            kind,
            file,
            path,
            new_path,
            value,
            space: None,
            error: 0,
        }))
    }

    #[test]
    fn names_and_metadata_that_were_changed_are_events_and_those_that_concern_rights_log_records_too() {
        let kinds = |image: &Image| {
            vec![
                change(image, ChangeKind::Rename, 0),
                change(image, ChangeKind::Symlink, 0),
                change(image, ChangeKind::Mkdir, 0o755),
                change(image, ChangeKind::Truncate, 10),
                change(image, ChangeKind::Chmod, 0o4755),
                change(image, ChangeKind::Chown, 1000 << 32 | u64::from(u32::MAX)),
                change(image, ChangeKind::Mknod, 0o010_644),
                change(image, ChangeKind::Mknod, 0o020_666),
            ]
        };
        check(
            |image| Account { notes: kinds(image), ..Account::default() },
            &expect![[r#"
            log chmod severity 9 on #1: mv (100): chmod /home/me/config.tmp 4755
              file.path=/home/me/config.tmp
              file.mode=4755
              agentsight.file.id=8:1:42:7
            log chown severity 9 on #1: mv (100): chown /home/me/config.tmp 1000
              file.path=/home/me/config.tmp
              file.owner.id=1000
            log mknod severity 9 on #1: mv (100): mknod /home/me/config.tmp 0666 character_device
              file.path=/home/me/config.tmp
              file.mode=0666
              agentsight.file.kind=character_device
            #1 mv under - 0..9 unset
              agentsight.object.type=process
              agentsight.action=exec
              agentsight.span.incomplete=true
              event rename at 4
                file.path=/home/me/config.tmp
                agentsight.file.new_path=/home/me/config.json
              event symlink at 4
                file.path=/home/me/config.tmp
                file.symbolic_link.target_path=releases/42
              event mkdir at 4
                file.path=/home/me/config.tmp
                file.mode=0755
              event truncate at 4
                file.path=/home/me/config.tmp
                file.size=10
              event chmod at 4
                file.path=/home/me/config.tmp
                file.mode=4755
                agentsight.file.id=8:1:42:7
              event chown at 4
                file.path=/home/me/config.tmp
                file.owner.id=1000
              event mknod at 4
                file.path=/home/me/config.tmp
                file.mode=0644
              event mknod at 4
                file.path=/home/me/config.tmp
                file.mode=0666
                agentsight.file.kind=character_device
        "#]],
        );
    }

    #[test]
    fn what_processes_do_to_each_other_says_to_whom_and_how_it_failed() {
        let other = ProcessKey { tgid: Tgid(7), start: at(0) };
        let notes = |image: &Image| {
            let by = doer(image);
            let call = |kind, arguments, target, error| {
                Note::Call(Box::new(Call { at: at(5), by, kind, arguments, target, error }))
            };
            let kill = |target| Kill { at: at(4), by, target, signal: 15 };
            vec![
                Note::Kill(kill(other), Some("python3".to_owned())),
                Note::Kill(kill(image.id.process), None),
                call(CallKind::Setuid, [0, 0], None, 0),
                call(CallKind::Setuid, [0, 0], None, 1),
                call(CallKind::Ptrace, [16, 0], Some(other), 1),
                call(CallKind::MapShared, [4096, 8192], None, 0),
                call(CallKind::Bind, [8080, 0], None, 0),
            ]
        };
        check(
            |image| Account { notes: notes(image), ..Account::default() },
            &expect![[r#"
            log kill severity 9 on #1: mv (100): kill SIGTERM 7 python3
              agentsight.signal.name=SIGTERM
              agentsight.target.pid=7
              agentsight.target.start=1000000000
              agentsight.target.name=python3
            log setuid severity 9 on #1: mv (100): setuid 0
            log setuid severity 9 on #1: mv (100): setuid, failed: EPERM
              error.type=EPERM
            log ptrace severity 9 on #1: mv (100): ptrace PTRACE_ATTACH 7, failed: EPERM
              agentsight.call.arguments=PTRACE_ATTACH
              agentsight.target.pid=7
              agentsight.target.start=1000000000
              error.type=EPERM
            #1 mv under - 0..9 unset
              agentsight.object.type=process
              agentsight.action=exec
              agentsight.span.incomplete=true
              event kill at 4
                agentsight.signal.name=SIGTERM
                agentsight.target.pid=7
                agentsight.target.start=1000000000
                agentsight.target.name=python3
              event kill at 4
                agentsight.signal.name=SIGTERM
                agentsight.target.pid=100
                agentsight.target.start=1000000000
              event setuid at 5
                process.user.id=0
              event setuid at 5
                error.type=EPERM
              event ptrace at 5
                agentsight.call.arguments=PTRACE_ATTACH
                agentsight.target.pid=7
                agentsight.target.start=1000000000
                error.type=EPERM
              event mmap at 5
                agentsight.io.offset=8192
                agentsight.io.end=12288
              event bind at 5
                network.local.port=8080
        "#]],
        );
    }

    #[test]
    fn a_connect_without_a_connection_says_where_to() {
        let notes = |image: &Image| {
            let connect = |to, error| {
                let (by, open) = (doer(image), OpenId(1));
                Note::Connect(Box::new(Connect { at: at(4), by, open, began: at(3), to, error }))
            };
            let socket = Captured::whole("/run/docker.sock");
            vec![
                connect(Address::Unix(socket), 2),
                connect(Address::Inet("[::1]:53".parse().unwrap()), 0),
                connect(Address::Family(16), 0),
            ]
        };
        check(
            |image| Account { notes: notes(image), ..Account::default() },
            &expect![[r#"
            #1 mv under - 0..9 unset
              agentsight.object.type=process
              agentsight.action=exec
              agentsight.span.incomplete=true
              event connect at 4
                network.transport=unix
                network.peer.address=/run/docker.sock
                error.type=ENOENT
              event connect at 4
                network.type=ipv6
                network.peer.address=::1
                network.peer.port=53
              event connect at 4
                agentsight.call.arguments=family=16
        "#]],
        );
    }

    #[test]
    fn each_call_has_the_event_that_strace_names_so() {
        let changes = [
            ChangeKind::Rename,
            ChangeKind::Unlink,
            ChangeKind::Rmdir,
            ChangeKind::Link,
            ChangeKind::Symlink,
            ChangeKind::Mkdir,
            ChangeKind::Mknod,
            ChangeKind::Truncate,
            ChangeKind::Fallocate,
            ChangeKind::Chmod,
            ChangeKind::Chown,
            ChangeKind::Setxattr,
        ];
        let calls = [
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
        let image = image("/bin/sh");
        let notes = changes.iter().map(|kind| change(&image, *kind, 0)).chain(calls.iter().map(|kind| {
            let (at, by) = (at(4), doer(&image));
            Note::Call(Box::new(Call { at, by, kind: *kind, arguments: [1, 2], target: None, error: 0 }))
        }));
        let said = notes.map(|note| {
            let event = event(&note, &image.trace);
            let is_recorded = crate::spans::audit::is_security_relevant(&note, &image);
            let values = event.attributes.iter().map(|it| format!(" {}={:?}", it.name.as_str(), it.value));
            format!("{}{}{}\n", event.name.as_str(), if is_recorded { "*" } else { "" }, values.collect::<String>())
        });
        expect![[r#"
            rename file.path=Text("/home/me/config.tmp") agentsight.file.new_path=Text("/home/me/config.json")
            unlink file.path=Text("/home/me/config.tmp")
            rmdir file.path=Text("/home/me/config.tmp")
            link file.path=Text("/home/me/config.tmp") agentsight.file.new_path=Text("/home/me/config.json")
            symlink file.path=Text("/home/me/config.tmp") file.symbolic_link.target_path=Text("releases/42")
            mkdir file.path=Text("/home/me/config.tmp") file.mode=Text("0000")
            mknod file.path=Text("/home/me/config.tmp") file.mode=Text("0000")
            truncate file.path=Text("/home/me/config.tmp") file.size=Int(0)
            fallocate file.path=Text("/home/me/config.tmp") file.size=Int(0)
            chmod* file.path=Text("/home/me/config.tmp") file.mode=Text("0000") agentsight.file.id=Text("8:1:42:7")
            chown* file.path=Text("/home/me/config.tmp") file.owner.id=Text("0") file.group.id=Text("0")
            setxattr* file.path=Text("/home/me/config.tmp")
            setuid* process.user.id=Int(1)
            setgid* agentsight.process.group.id=Int(1)
            ptrace* agentsight.call.arguments=Text("PTRACE_PEEKTEXT")
            process_vm_writev* agentsight.io.bytes=Int(1)
            process_vm_readv* agentsight.io.bytes=Int(1)
            memfd_create*
            io_uring_setup* agentsight.call.arguments=Text("entries=1 flags=0x2")
            compat_call* agentsight.call.arguments=Text("number=1")
            bind network.local.port=Int(1)
            listen agentsight.call.arguments=Text("backlog=1")
            mmap agentsight.io.offset=Int(2) agentsight.io.end=Int(3)
            chroot*
            unshare* agentsight.call.arguments=Text("0x1")
            mount*
            bpf* agentsight.call.arguments=Text("BPF_MAP_LOOKUP_ELEM")
            init_module*
            io_uring_setup* agentsight.call.arguments=Text("entries=1 flags=0x2")
            agentsight.io_uring.unseen* agentsight.call.arguments=Text("operation=1 flags=0x2")
        "#]]
        .assert_eq(&said.collect::<String>());
    }

    #[test]
    fn what_was_folded_dropped_or_not_seen_is_counted() {
        let account = Account {
            notes: Vec::new(),
            notes_dropped: 3,
            folded: Folded { files: 41, bursts: 57, bytes: 183_204 },
            blind: Blind { shared_memory: true, io_uring: true, compat_calls: true },
        };
        check(
            |_| account,
            &expect![[r#"
            #1 mv under - 0..9 unset
              agentsight.object.type=process
              agentsight.action=exec
              agentsight.folded.files=41
              agentsight.folded.bursts=57
              agentsight.folded.bytes=183204
              agentsight.blind.shared_memory=true
              agentsight.blind.io_uring=true
              agentsight.blind.compat_calls=true
              agentsight.span.incomplete=true
              3 more events
        "#]],
        );
    }
}

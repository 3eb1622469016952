//! The registry and what is emitted are the same: nothing undeclared goes out, and no declared name is there for nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use agentsight_semconv::{lookup, undeclared, unseen};
use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::recordings::{all, replay};
use agentsight_tests::trace::Trace;

/// Declared names that neither the recordings nor the live run below can show, by the test that sees them.
const SEEN_ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "spans::note::tests",
        &[
            "agentsight.blind.compat_calls",
            "agentsight.blind.io_uring",
            "agentsight.blind.shared_memory",
            "agentsight.file.new_path",
            "agentsight.io_uring.unseen",
            "agentsight.process.group.id",
            "bpf",
            "chmod",
            "chown",
            "chroot",
            "compat_call",
            "connect",
            "fallocate",
            "file.group.id",
            "file.mode",
            "file.owner.id",
            "file.size",
            "file.symbolic_link.target_path",
            "init_module",
            "io_uring_setup",
            "link",
            "memfd_create",
            "mkdir",
            "mknod",
            "mmap",
            "mount",
            "process_vm_readv",
            "process_vm_writev",
            "ptrace",
            "rename",
            "rmdir",
            "setgid",
            "setuid",
            "setxattr",
            "symlink",
            "truncate",
            "unlink",
            "unshare",
        ],
    ),
    (
        "spans::transfer::tests",
        &[
            "agentsight.burst.coalesced",
            "agentsight.file.unlinked",
            "agentsight.io.errors",
            "agentsight.io.mapped",
            "agentsight.io.sparse",
            "agentsight.socket.peer_inode",
            "agentsight.socket.protocol",
            "agentsight.socket.type",
        ],
    ),
    ("spans::link::tests", &["agentsight.link.match.sink.excerpt"]),
    ("spans::connection::tests", &["agentsight.connection.duration", "agentsight.connection.start"]),
    (
        "spans::resolution::tests",
        &["agentsight.dns.question.type", "agentsight.dns.response_code", "dns.answers", "dns.question.name"],
    ),
    ("docker", &["container.id", "container.runtime.name", "container.image.name"]),
    ("spans::container::tests", &["k8s.pod.uid"]),
    (
        "spans::loss::tests",
        &[
            "agentsight.loss.process",
            "agentsight.loss.snapshot",
            "agentsight.loss.open",
            "agentsight.loss.burst",
            "agentsight.loss.connect",
            "agentsight.loss.dns",
            "agentsight.loss.change",
            "agentsight.loss.call",
            "agentsight.loss.content",
            "agentsight.loss.missed",
            "agentsight.loss.undecodable",
        ],
    ),
];

#[test]
fn no_recording_replays_to_an_undeclared_name() {
    for recording in all() {
        assert_eq!(undeclared(replay(&recording).names()), [""; 0], "{}", recording.display());
    }
}

#[test]
fn a_live_run_sends_no_undeclared_name_about_the_command_or_about_itself() {
    let sent = live();
    assert_eq!(undeclared(sent.names()), [""; 0], "{sent}");
}

#[test]
fn every_declared_name_is_seen_by_a_test() {
    let traces: Vec<Trace> = all().iter().map(|recording| replay(recording)).chain([live()]).collect();
    let here: BTreeSet<&str> = traces.iter().flat_map(Trace::names).collect();
    let elsewhere: BTreeSet<&str> = SEEN_ELSEWHERE.iter().flat_map(|(_, names)| *names).copied().collect();
    assert_eq!(
        unseen(here.union(&elsewhere).copied()),
        [""; 0],
        "declared, but seen by no test: emit it, or take it out of semconv/model"
    );
    let both: Vec<_> = here.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "take these out of SEEN_ELSEWHERE, they are seen here: {both:?}");
    assert!(
        elsewhere.iter().all(|name| lookup(name).is_some()),
        "SEEN_ELSEWHERE names what is not declared: {elsewhere:?}"
    );
}

/// A run sent to a receiver: spans, log records, and AgentSight's own telemetry.
fn live() -> Trace {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let script = programs::path("pipeline.sh");
    let program = ["--", "sh", path_text(&script)];
    let endpoint = receiver.endpoint();
    let options = ["run", "--no-tree", "--protocol", "grpc", "--endpoint", &endpoint];
    let _ = agentsight.run(options.iter().chain(&program)).expect_code(7);
    // AgentSight's own telemetry comes last, when the command's is through.
    wait_for("AgentSight's own metrics", Duration::from_secs(20), || {
        Some(receiver.trace()).filter(|trace| !trace.metrics.is_empty())
    })
}

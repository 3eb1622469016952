//! Where the kernel knows neither ring buffers nor later helpers, AgentSight finds out by itself and sees the same.
//!
//! The kernel here is this machine's own, behind a preloaded `bpf()` that knows what Linux 5.4 knows. Its verifier is
//! not an old one: `make test-kernels` has those, from 5.10 on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::directory::Directory;
use agentsight_tests::process_tree::{Image, of_trace};
use agentsight_tests::programs;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;

/// `BPF_MAP_TYPE_RINGBUF`.
const RING_BUFFER: u32 = 27;

#[test]
fn linux_5_4_is_traced_over_perf_buffers_without_being_told() {
    let directory = Directory::new();
    let (old_kernel, refused) = (compile(&directory), directory.join("refused"));
    let expected = observe(&[]);
    let seen = observe(&[("LD_PRELOAD", path_text(&old_kernel)), ("LINUX_5_4_LOG", path_text(&refused))]);
    assert!(seen == expected, "behind 5.4\n{seen}\notherwise\n{expected}");
    let refused = fs::read_to_string(&refused).expect("it has refused something");
    assert!(refused.contains(&format!("map type {RING_BUFFER}\n")), "{refused}");
}

fn observe(environment: &[(&str, &str)]) -> Image {
    let agentsight = Agentsight::as_root();
    let (output, script) = (agentsight.directory().join("trace.jsonl"), programs::path("lifecycle.sh"));
    let mut command =
        agentsight.command(["run", "--no-tree", "--output", path_text(&output), "--", "sh", path_text(&script)]);
    let finished = run(command.envs(environment.iter().copied()), Duration::from_secs(60)).expect_code(42);
    of_trace(&agentsight.read(&output, &finished))
}

fn compile(directory: &Directory) -> PathBuf {
    let library = directory.join("linux_5_4.so");
    let status = Command::new(need_program("cc", "gcc"))
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .args([&library, &programs::path("linux_5_4.c")])
        .arg("-ldl")
        .status()
        .expect("the compiler starts");
    assert!(status.success(), "the compiler says why");
    library
}

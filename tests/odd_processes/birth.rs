//! How processes come to be: threads, the family of clone, other parents than the forker, ids that are used again.

use std::collections::BTreeSet;

use expect_test::expect;

use crate::odd;

#[test]
fn threads_are_no_processes_and_their_children_are_the_processs() {
    let _ = odd("threads").check(
        &[],
        0,
        &expect![[r#"
        "threads" ["./threads"] → 0
            agentsight.process.requested_path = "./threads"
            process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 1
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 2
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 3
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 4
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 5
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 6
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 7
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 8
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 9
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 10
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
          "threads" ["./threads"] → 11
              agentsight.process.fork = true
              agentsight.process.requested_path = "./threads"
              process.executable.path = "$DIR/threads"
        --
    "#]],
    );
}

#[test]
fn vfork_and_posix_spawn_are_forks() {
    let _ = odd("vfork").check(
        &[],
        0,
        &expect![[r#"
        "vfork" ["./vfork"] → 0
            agentsight.process.requested_path = "./vfork"
            process.executable.path = "$DIR/vfork"
          "dash" ["sh", "-c", "exit 4"] → 4
              agentsight.process.requested_path = "/bin/sh"
              process.executable.path = "/usr/bin/dash"
          "vfork" ["./vfork"] → 3
              agentsight.process.fork = true
              agentsight.process.requested_path = "./vfork"
              process.executable.path = "$DIR/vfork"
          "dash" ["sh", "-c", "exit 4"] → 4
              agentsight.process.requested_path = "/bin/sh"
              process.executable.path = "/usr/bin/dash"
          "vfork" ["./vfork"] → 127
              agentsight.process.fork = true
              agentsight.process.requested_path = "./vfork"
              process.executable.path = "$DIR/vfork"
        --
        code 4
        code 3
        code 4
    "#]],
    );
}

#[test]
fn a_child_is_its_forkers_whatever_clone_says_of_its_parent() {
    let _ = odd("clones").check(
        &[],
        0,
        &expect![[r#"
        "clones" ["./clones"] → 0
            agentsight.process.requested_path = "./clones"
            process.executable.path = "$DIR/clones"
          "clones" ["./clones"] → 1
              agentsight.process.fork = true
              agentsight.process.requested_path = "./clones"
              process.executable.path = "$DIR/clones"
          "clones" ["./clones"] → 2
              agentsight.process.fork = true
              agentsight.process.requested_path = "./clones"
              process.executable.path = "$DIR/clones"
          "clones" ["./clones"] → 4
              agentsight.process.fork = true
              agentsight.process.requested_path = "./clones"
              process.executable.path = "$DIR/clones"
            "dash" ["sh", "-c", "exit 5"] → 5
                agentsight.process.requested_path = "/bin/sh"
                process.executable.path = "/usr/bin/dash"
        --
        code 1
        code 2
        code 4
        code 5
    "#]],
    );
}

#[test]
fn a_child_that_the_command_gives_to_the_launcher_disturbs_nobody() {
    let _ = odd("stray_child").check(
        &[],
        6,
        &expect![[r#"
        "stray_child" ["./stray_child"] → 6
            agentsight.process.requested_path = "./stray_child"
            process.executable.path = "$DIR/stray_child"
          "stray_child" ["./stray_child"] → 9
              agentsight.process.fork = true
              agentsight.process.requested_path = "./stray_child"
              process.executable.path = "$DIR/stray_child"
        --
    "#]],
    );
}

#[test]
fn a_daemon_that_outlives_its_parents_hangs_under_its_forker() {
    let _ = odd("daemonise").check(
        &[],
        10,
        &expect![[r#"
            "daemonise" ["./daemonise"] → 10
                agentsight.process.requested_path = "./daemonise"
                process.executable.path = "$DIR/daemonise"
              "daemonise" ["./daemonise"] → 11
                  agentsight.process.fork = true
                  agentsight.process.requested_path = "./daemonise"
                  process.executable.path = "$DIR/daemonise"
                "dash" ["sh", "-c", "exit 12"] → 12
                    agentsight.process.requested_path = "/bin/sh"
                    process.executable.path = "/usr/bin/dash"
            --
            code 11
        "#]],
    );
}

#[test]
fn a_process_id_that_is_used_again_is_another_process_each_time() {
    let traced = odd("pid_again").check(
        &[],
        0,
        &expect![[r#"
        "pid_again" ["./pid_again"] → 0
            agentsight.process.requested_path = "./pid_again"
            process.executable.path = "$DIR/pid_again"
          "pid_again" ["./pid_again"] → 0
              agentsight.process.fork = true
              agentsight.process.requested_path = "./pid_again"
              process.executable.path = "$DIR/pid_again"
          "dash" ["sh", "-c", "exit 20"] → 20
              agentsight.process.requested_path = "/bin/sh"
              process.executable.path = "/usr/bin/dash"
          "pid_again" ["./pid_again"] → 2
              agentsight.process.fork = true
              agentsight.process.requested_path = "./pid_again"
              process.executable.path = "$DIR/pid_again"
          "dash" ["sh", "-c", "exit 20"] → 20
              agentsight.process.requested_path = "/bin/sh"
              process.executable.path = "/usr/bin/dash"
          "pid_again" ["./pid_again"] → 4
              agentsight.process.fork = true
              agentsight.process.requested_path = "./pid_again"
              process.executable.path = "$DIR/pid_again"
          "dash" ["sh", "-c", "exit 20"] → 20
              agentsight.process.requested_path = "/bin/sh"
              process.executable.path = "/usr/bin/dash"
          "pid_again" ["./pid_again"] → 6
              agentsight.process.fork = true
              agentsight.process.requested_path = "./pid_again"
              process.executable.path = "$DIR/pid_again"
        --
        code 0
        code 20
        code 2
        code 20
        code 4
        code 20
        code 6
    "#]],
    );
    let spans = &traced.trace.spans;
    let ids: BTreeSet<_> = spans.iter().map(|span| span.int("process.pid")).collect();
    let processes: BTreeSet<_> = spans.iter().map(|span| span.text("agentsight.process.start")).collect();
    assert_eq!((ids.len(), processes.len()), (2, 8), "the program and one id; the program and seven processes");
}

#[test]
fn in_namespaces_ids_are_the_hosts_with_the_own_one_beside_and_paths_are_the_processs() {
    let _ = odd("namespaces").check(
        &[],
        0,
        &expect![[r#"
        "namespaces" ["./namespaces"] → 0
            agentsight.process.requested_path = "./namespaces"
            process.executable.path = "$DIR/namespaces"
          "namespaces" ["./namespaces"] → 30
              agentsight.process.fork = true
              agentsight.process.requested_path = "./namespaces"
              process.executable.path = "$DIR/namespaces"
              process.vpid = 1
            "namespaces" ["./namespaces"]
                agentsight.process.fork = true
                agentsight.process.requested_path = "./namespaces"
                process.executable.path = "$DIR/namespaces"
                process.vpid = 2
              "dash" ["sh", "-c", "cp namespaces inner/bin/prog"] → 0
                  agentsight.process.requested_path = "/bin/sh"
                  process.executable.path = "/usr/bin/dash"
                  process.vpid = 3
                "cp" ["cp", "namespaces", "inner/bin/prog"] → 0
                    process.executable.path = "/usr/bin/cp"
                    process.vpid = 4
              "prog" ["prog", "31"] → 31
                  agentsight.causes = ["exec: namespaces"]
                  process.executable.path = "/bin/prog"
                  process.vpid = 2
                  process.working_directory = "/bin"
        --
        code 31
        code 30
    "#]],
    );
}

#[test]
fn no_short_life_is_missed() {
    let traced = odd("short_lives").trace(&[]);
    let count = |code| traced.trace.spans.iter().filter(|span| span.int("process.exit.code") == Some(code)).count();
    assert_eq!((count(0), count(1), count(2)), (1, 499, 211), "{}", traced.finished.stderr);
    assert_eq!(traced.trace.spans.len(), 1 + 499 + 211);
}

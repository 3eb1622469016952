//! How processes end: by whom, with what, and with whose status when several threads end.

use expect_test::expect;

use crate::{assert_ended_as_wait_said, odd};

#[test]
fn signals_stops_and_failed_execs_are_told_as_wait_tells_them() {
    let _ = odd("endings").check(
        &[],
        0,
        &expect![[r#"
        "endings" ["./endings"] → 0
            agentsight.process.requested_path = "./endings"
            process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → SIGSEGV
              agentsight.process.core_dumped = true
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → 4
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → SIGKILL
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → SIGRTMIN+5
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → 50
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → 50
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → 50
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
          "endings" ["./endings"] → 50
              agentsight.process.fork = true
              agentsight.process.requested_path = "./endings"
              process.executable.path = "$DIR/endings"
        --
        signal 11 core
        code 4
        signal 9
        signal 39
        code 50
        code 50
        code 50
        code 50
    "#]],
    );
}

/// What wait() says of a process whose threads ended one by one is the leader's code on older kernels, the last one's on newer.
#[test]
fn a_leader_that_ends_before_its_threads_ends_nothing() {
    let traced = odd("leader_first").trace(&[]);
    assert_ended_as_wait_said(&traced);
    let spans = &traced.trace.spans;
    assert_eq!(spans.len(), 6, "{}", traced.trace);
    let of_thread = spans.iter().find(|span| span.int("process.exit.code") == Some(44)).expect("a thread forked it");
    let forker = traced.trace.span(of_thread.parent.as_ref().expect("a forker")).expect("the trace is whole");
    assert!(of_thread.start_nanos < forker.end_nanos, "its process lived on without its leader");
}

#[test]
fn two_last_threads_that_end_at_once_end_the_process_once_with_the_status_of_wait() {
    let traced = odd("last_two").trace(&[]);
    assert_eq!(traced.trace.spans.len(), 1 + 211);
    assert_ended_as_wait_said(&traced);
}

#[test]
fn many_threads_that_end_at_once_are_one_exit() {
    let _ = odd("many_threads").check(
        &[],
        23,
        &expect![[r#"
        "many_threads" ["./many_threads"] → 23
            agentsight.process.requested_path = "./many_threads"
            process.executable.path = "$DIR/many_threads"
        --
    "#]],
    );
}

//! Full traces go on in new ones, and nothing that goes on is without a parent.

use expect_test::{Expect, expect};

use crate::graph::fixture::{check_with, session};
use crate::session::{SegmentLimits, Session};

fn limited_to(spans: u64) -> Session {
    let mut session = session();
    session.options.segment.spans = spans;
    session
}

fn check(spans: u64, text: &str, expect: &Expect) {
    check_with(&limited_to(spans), text, expect);
}

#[test]
fn children_past_the_limit_hang_under_a_continuation_and_their_descendants_follow() {
    check(
        4,
        "
            0 root 100
            1 exec 100 /bin/make make
            2 fork 100 101
            3 exec 101 /bin/sh sh
            4 fork 101 102
            5 exec 102 /bin/cc cc
            6 fork 101 103
            7 exec 103 /bin/ld ld
            8 fork 101 104
            9 exec 104 /bin/ar ar
            10 fork 104 105
            11 exit 105 0
            12 exit 104 0
            13 exit 102 0
            14 exit 103 0
            15 exit 101 0
            16 fork 100 106
            17 exit 106 0
            18 exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root make under -
            began    101#1 Exec make/sh under 100#1
            began    102#1 Exec make/sh/cc under 101#1
            began    103#1 Exec make/sh/ld under 101#1
            goes on  101#1 at 8 under - segment 1
            began    104#1 Exec make/sh/ar under 101#1~ segment 1
            began    105#0 Forked make/sh/ar/ar under 104#1 segment 1
            ended    105#0 10..11 exit 0
            ended    104#1 8..12 exit 0
            ended    102#1 4..13 exit 0
            ended    103#1 6..14 exit 0
            ended    101#1 2..15 exit 0
            goes on  100#1 at 16 under - segment 2
            began    106#0 Forked make/make under 100#1~ segment 2
            ended    106#0 16..17 exit 0
            ended    100#1 0..18 exit 0
        "#]],
    );
}

#[test]
fn a_continuation_hangs_under_its_nearest_continued_live_ancestor() {
    check(
        4,
        "
            0 root 100
            1 exec 100 /bin/a a
            2 fork 100 101
            3 exec 101 /bin/b b
            4 fork 101 102
            5 exec 102 /bin/c c
            6 fork 100 103
            7 exec 103 /bin/x x
            7 fork 100 105
            7 exec 105 /bin/z z
            8 exit 101 0
            9 fork 102 104
            10 exec 104 /bin/y y
        ",
        &expect![[r#"
            began    100#1 Root a under -
            began    101#1 Exec a/b under 100#1
            began    102#1 Exec a/b/c under 101#1
            began    103#1 Exec a/x under 100#1
            goes on  100#1 at 7 under - segment 1
            began    105#1 Exec a/z under 100#1~ segment 1
            ended    101#1 2..8 exit 0
            goes on  102#1 at 9 under 100#1~ segment 1
            began    104#1 Exec a/b/c/y under 102#1~ segment 1
            ended    100#1 0..20000 incomplete
            ended    102#1 4..20000 incomplete
            ended    103#1 6..20000 incomplete
            ended    105#1 7..20000 incomplete
            ended    104#1 9..20000 incomplete
        "#]],
    );
}

#[test]
fn an_exit_hangs_under_the_newest_span_of_its_image() {
    check(
        3,
        "
            0 root 100
            1 exec 100 /bin/a a
            11s tick
            12s fork 100 101
            12s exec 101 /bin/b b
            12s fork 100 103
            12s exec 103 /bin/b b
            13s exit 103 0
            13s exit 101 0
            13s fork 100 102
            13s exec 102 /bin/c c
            14s exit 102 0
            15s exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root a under -
            promoted 100#1 0..11000
            began    101#1 Exec a/b under 100#1
            began    103#1 Exec a/b under 100#1
            ended    103#1 12000..13000 exit 0
            ended    101#1 12000..13000 exit 0
            goes on  100#1 at 13000 under - segment 1
            began    102#1 Exec a/c under 100#1~ segment 1
            ended    102#1 13000..14000 exit 0
            exited   100#1 0..15000 exit 0 under 100#1~ segment 1
        "#]],
    );
}

#[test]
fn an_exit_that_finds_its_trace_full_makes_its_image_go_on() {
    check(
        2,
        "
            0 root 100
            1 exec 100 /bin/a a
            2 fork 100 101
            3 exec 101 /bin/b b
            11s tick
            12s exit 101 0
            13s exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root a under -
            began    101#1 Exec a/b under 100#1
            promoted 100#1 0..11000
            promoted 101#1 2..11000
            goes on  101#1 at 12000 under - segment 1
            exited   101#1 2..12000 exit 0 under 101#1~ segment 1
            goes on  100#1 at 13000 under - segment 2
            exited   100#1 0..13000 exit 0 under 100#1~ segment 2
        "#]],
    );
}

#[test]
fn an_exec_past_the_limit_hangs_under_a_continuation_of_the_image_that_it_replaced() {
    check(
        1,
        "
            0 root 100
            1 exec 100 /bin/a a
            2 exec 100 /bin/b b
            3 exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root a under -
            ended    100#1 0..2 into 100#2
            goes on  100#1 at 2 under - segment 1
            began    100#2 Exec a/b under 100#1~ segment 1 <-Exec 100#1
            ended    100#2 2..3 exit 0
        "#]],
    );
}

#[test]
fn a_parent_that_is_forgotten_is_continued_all_the_same() {
    let mut session = limited_to(3);
    session.options.live_after_nanos = u64::MAX;
    check_with(
        &session,
        "
            0 root 100
            1 exec 100 /bin/a a
            2 fork 100 101
            3 exec 101 /bin/b b
            4 fork 101 102
            4 fork 101 103
            5 exit 101 0
            6 fork 100 104
            7 exec 104 /bin/x x
            8 fork 100 105
            9 exec 105 /bin/y y
            12s tick
            13s exec 102 /bin/c c
            14s exec 103 /bin/d d
        ",
        &expect![[r#"
            began    100#1 Root a under -
            began    101#1 Exec a/b under 100#1
            ended    101#1 2..5 exit 0
            began    104#1 Exec a/x under 100#1
            goes on  100#1 at 8 under - segment 1
            began    105#1 Exec a/y under 100#1~ segment 1
            goes on  101#1 at 4 under - segment 2
            began    102#1 Exec a/b/c under 101#1~ segment 2
            began    103#1 Exec a/b/d under 101#1~ segment 2
            ended    100#1 0..20000 incomplete
            ended    102#1 4..20000 incomplete
            ended    103#1 4..20000 incomplete
            ended    104#1 6..20000 incomplete
            ended    105#1 8..20000 incomplete
        "#]],
    );
}

#[test]
fn a_trace_of_our_own_grows_old_and_the_callers_does_not() {
    let text = "
        0 root 100
        1 exec 100 /bin/a a
        2s fork 100 101
        2s exec 101 /bin/b b
        3s exit 101 0
        3s exit 100 0
    ";
    let mut session = session();
    session.options.segment = SegmentLimits { age_nanos: 1_500_000_000, ..SegmentLimits::default() };
    check_with(
        &session,
        text,
        &expect![[r#"
        began    100#1 Root a under -
        goes on  100#1 at 2000 under - segment 1
        began    101#1 Exec a/b under 100#1~ segment 1
        ended    101#1 2000..3000 exit 0
        ended    100#1 0..3000 exit 0
    "#]],
    );
    session.caller.traceparent = Some("00-11111111111111111111111111111111-9999999999999999-01".into());
    check_with(
        &session,
        text,
        &expect![[r#"
        began    100#1 Root a under adopted 9999999999999999
        began    101#1 Exec a/b under 100#1
        ended    101#1 2000..3000 exit 0
        ended    100#1 0..3000 exit 0
    "#]],
    );
}

#[test]
fn a_trace_that_is_full_by_bytes_goes_on_too() {
    let mut session = session();
    session.options.segment.bytes = 5_000;
    let argument = "x".repeat(1_500);
    check_with(
        &session,
        &format!(
            "
            0 root 100
            1 exec 100 /bin/a a
            2 fork 100 101
            3 exec 101 /bin/b b {argument}
            4 fork 100 102
            5 exec 102 /bin/c c {argument}
            6 exit 101 0
            7 exit 102 0
            8 exit 100 0
        "
        ),
        &expect![[r#"
            began    100#1 Root a under -
            began    101#1 Exec a/b under 100#1
            goes on  100#1 at 4 under - segment 1
            began    102#1 Exec a/c under 100#1~ segment 1
            ended    101#1 2..6 exit 0
            ended    102#1 4..7 exit 0
            ended    100#1 0..8 exit 0
        "#]],
    );
}

#[test]
fn an_adopted_trace_that_is_full_goes_on_in_the_sessions_own() {
    check(
        3,
        "
            0 root 100
            1 exec 100 /bin/node node
            2 fork 100 101
            3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 TRACESTATE=v=1 /bin/bash bash
            4 fork 101 102
            5 exit 102 0
            6 fork 101 103
            7 exit 103 0
            8 fork 101 104
            9 exit 104 0
            10 exit 101 0
            11 fork 100 105
            12 exec 105 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-3333333333333333-01 /bin/bash bash
            13 exit 105 0
            14 exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root node under -
            began    101#1 Exec node/bash under adopted 2222222222222222 trace bbbb <-Lineage 100#1
            began    102#0 Forked node/bash/bash under 101#1 trace bbbb
            ended    102#0 4..5 exit 0
            began    103#0 Forked node/bash/bash under 101#1 trace bbbb
            ended    103#0 6..7 exit 0
            goes on  101#1 at 8 under 100#1
            began    104#0 Forked node/bash/bash under 101#1~
            ended    104#0 8..9 exit 0
            ended    101#1 2..10 exit 0
            goes on  100#1 at 11 under - segment 1
            began    105#1 Exec node/bash under 100#1~ segment 1 <-Explicit 3333333333333333
            ended    105#1 11..13 exit 0
            ended    100#1 0..14 exit 0
        "#]],
    );
}

#[test]
fn a_traceparent_of_an_older_segment_is_linked_and_of_the_newest_is_the_parent() {
    let newest = "6473d1c3dcab92089dfade1d7fcba54f";
    check(
        4,
        &format!(
            "
            0 root 100
            1 exec 100 /bin/node node
            2 fork 100 101
            3 exit 101 0
            4 fork 100 102
            5 exit 102 0
            6 fork 100 103
            7 exit 103 0
            8 fork 100 104
            9 exit 104 0
            10 fork 100 105
            11 exec 105 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/old old
            12 exit 105 0
            13 fork 100 106
            14 exec 106 TRACEPARENT=00-{newest}-4444444444444444-01 /bin/new new
            15 exit 106 0
            16 exit 100 0
        "
        ),
        &expect![[r#"
            began    100#1 Root node under -
            began    101#0 Forked node/node under 100#1
            ended    101#0 2..3 exit 0
            began    102#0 Forked node/node under 100#1
            ended    102#0 4..5 exit 0
            began    103#0 Forked node/node under 100#1
            ended    103#0 6..7 exit 0
            goes on  100#1 at 8 under - segment 1
            began    104#0 Forked node/node under 100#1~ segment 1
            ended    104#0 8..9 exit 0
            began    105#1 Exec node/old under 100#1~ segment 1 <-Explicit 6fb6096f42eddb81
            ended    105#1 10..12 exit 0
            began    106#1 Exec node/new under adopted 4444444444444444 segment 1 <-Lineage 100#1
            ended    106#1 13..15 exit 0
            ended    100#1 0..16 exit 0
        "#]],
    );
}

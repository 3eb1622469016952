//! Of pipes: who gave what, by offsets.

use expect_test::expect;

use crate::graph::fixture::check;

#[test]
fn what_a_pipe_carries_is_linked_by_offsets() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 pipe 7
            2 open 100 #2 pipe 7
            3 fork 100 101
            3 fork 100 102
            4 exec 101 /bin/cat cat
            5 exec 102 /bin/sort sort
            6 out 101 #2.1 0..3000
            7 out 101 #2.2 3000..3500
            8 close 101 #2
            9 in 102 #1.1 0..3200
            10 in 102 #1.2 3200..3500
            11 tick
            12 exit 101 0
            13 exit 102 0
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#1 Exec bash/cat under 100#1
            began    102#1 Exec bash/sort under 100#1
            write    #2.1 101#1 pipe 0..3000 at 6..6 under 101#1
            write    #2.2 101#1 pipe 3000..3500 at 7..7 under 101#1
            read     #1.1 102#1 pipe 0..3200 at 9..9 under 102#1 <-Pipe #2.1 3000 <-Pipe #2.2 200
            read     #1.2 102#1 pipe 3200..3500 at 10..10 under 102#1 <-Pipe #2.2 300
            ended    101#1 3..12 exit 0
            ended    102#1 3..13 exit 0
            ended    100#1 0..20000 incomplete
        "#]],
    );
}

#[test]
fn a_writer_that_was_blocked_in_its_call_is_said_after_its_reader() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 pipe 7
            2 open 100 #2 pipe 7
            3 fork 100 101
            4 in 100 #1.1 0..65536
            5 tick
            9s tick
            9s in 100 #1.2 65536..131072
            9s out 101 #2.1 0..131072 first 3
            10s tick
            11s in 100 #1.3 131072..131073
            12s tick
            14s exit 101 0
            15s close 100 #2
            22s tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            promised #2.1
            read     #1.1 100#1 pipe 0..65536 at 4..4 under 100#1 <-Pipe #2.1 65536
            read     #1.2 100#1 pipe 65536..131072 at 9000..9000 under 100#1 <-Pipe #2.1 65536
            write    #2.1 101#0 pipe 0..131072 at 3..9000 under 101#0
            promoted 100#1 0..12000
            promoted 101#0 3..12000
            exited   101#0 3..14000 exit 0
            read     #1.3 100#1 pipe 131072..131073 at 11000..11000 under 100#1
            exited   100#1 0..20000 incomplete
        "#]],
    );
}

#[test]
fn a_writer_that_goes_on_gives_what_it_has_begun_with() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 pipe 7
            2 open 100 #2 pipe 7
            3 fork 100 101
            4 out 101 #2.1 0..
            5 in 100 #1.1 0..100
            6 tick
            7 in 100 #1.2 100..300
            8 tick
            9 end #2.1 300
            10 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            promised #2.1
            read     #1.1 100#1 pipe 0..100 at 5..5 under 100#1 <-Pipe #2.1 100
            read     #1.2 100#1 pipe 100..300 at 7..7 under 100#1 <-Pipe #2.1 200
            write    #2.1 101#0 pipe 0..300 at 4..9 under 101#0
            ended    100#1 0..20000 incomplete
            ended    101#0 3..20000 incomplete
        "#]],
    );
}

#[test]
fn interleaved_writers_are_linked_with_what_each_may_have_given() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 pipe 7
            2 open 100 #2 pipe 7
            3 fork 100 101
            3 fork 100 102
            4 out 101 #2.1 0..
            4 out 102 #2.2 10..
            5 end #2.1 90 bytes 50 sparse
            5 end #2.2 100 bytes 50 sparse
            6 in 100 #1.1 0..100
            7 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            began    102#0 Forked bash/bash under 100#1
            write    #2.1 101#0 pipe 0..90 at 4..5 under 101#0
            write    #2.2 102#0 pipe 10..100 at 4..5 under 102#0
            read     #1.1 100#1 pipe 0..100 at 6..6 under 100#1 <-Pipe #2.1 50 (0.95) <-Pipe #2.2 50 (0.95)
            ended    100#1 0..20000 incomplete
            ended    101#0 3..20000 incomplete
            ended    102#0 3..20000 incomplete
        "#]],
    );
}

#[test]
fn a_pipe_from_outside_is_less_than_certain_and_not_waited_for() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 found pipe 7
            3 in 100 #1.1 0..10
            4 tick
            5 open 100 #2 found pipe 7
            6 fork 100 101
            7 out 101 #2.1 0..20
            8 in 100 #1.2 10..20
            9 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            read     #1.1 100#1 pipe 0..10 at 3..3 under 100#1
            began    101#0 Forked bash/bash under 100#1
            write    #2.1 101#0 pipe 0..20 at 7..7 under 101#0
            read     #1.2 100#1 pipe 10..20 at 8..8 under 100#1 <-Pipe #2.1 10 (0.8)
            ended    100#1 0..20000 incomplete
            ended    101#0 6..20000 incomplete
        "#]],
    );
}

#[test]
fn a_port_or_fifo_that_is_used_again_carries_nothing_over() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 fifo f
            2 open 100 #2 fifo f
            3 out 100 #1.1 0..10
            4 in 100 #2.1 0..10
            5 out 100 #1.2 10..20
            6 close 100 #1
            6 close 100 #2
            7 open 100 #3 fifo f
            7 open 100 #4 fifo f
            8 out 100 #3.1 0..30
            9 in 100 #4.1 0..30
            10 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            write    #1.1 100#1 f 0..10 at 3..3 under 100#1
            read     #2.1 100#1 f 0..10 at 4..4 under 100#1 <-Pipe #1.1 10
            write    #1.2 100#1 f 10..20 at 5..5 under 100#1
            write    #3.1 100#1 f 0..30 at 8..8 under 100#1
            read     #4.1 100#1 f 0..30 at 9..9 under 100#1 <-Pipe #3.1 30
            ended    100#1 0..20000 incomplete
        "#]],
    );
}

#[test]
fn a_reader_may_turn_up_long_after_the_writer_has_gone() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            3 open 101 #1 pipe 7
            3 out 101 #1.1 0..10
            4 close 101 #1
            5 exit 101 0
            12s tick
            14s open 100 #2 pipe 7
            14s in 100 #2.1 0..10
            15s tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            ended    101#0 2..5 exit 0
            write    #1.1 101#0 pipe 0..10 at 3..3 under 101#0
            promoted 100#1 0..12000
            read     #2.1 100#1 pipe 0..10 at 14000..14000 under 100#1 <-Pipe #1.1 10
            exited   100#1 0..20000 incomplete
        "#]],
    );
}

#[test]
fn what_one_image_wrote_the_next_of_its_process_may_read() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 open 100 #1 pipe 7
            2 open 100 #2 pipe 7
            3 out 100 #2.1 0..10
            4 exec 100 /bin/cat cat
            5 in 100 #1.1 0..10
            6 tick
            7 exit 100 0
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            ended    100#1 0..4 into 100#2
            began    100#2 Exec bash/cat under 100#1 <-Exec 100#1
            write    #2.1 100#1 pipe 0..10 at 3..3 under 100#1
            read     #1.1 100#2 pipe 0..10 at 5..5 under 100#2 <-Pipe #2.1 10
            ended    100#2 4..7 exit 0
        "#]],
    );
}

#[test]
fn what_the_end_of_its_maker_leaves_to_a_child_stays_open() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            3 open 101 #1 pipe 7
            3 open 101 #2 pipe 7
            4 out 101 #2.1 0..10
            5 fork 101 102
            6 exit 101 0
            30s tick
            31s in 102 #1.1 0..10
            32s tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            ended    101#0 2..6 exit 0
            write    #2.1 101#0 pipe 0..10 at 4..4 under 101#0
            promoted 100#1 0..30000
            began    102#0 Forked bash/bash/bash under 101#0
            promoted 102#0 5..30000
            read     #1.1 102#0 pipe 0..10 at 31000..31000 under 102#0 <-Pipe #2.1 10
            exited   100#1 0..20000 incomplete
            exited   102#0 5..20000 incomplete
        "#]],
    );
}

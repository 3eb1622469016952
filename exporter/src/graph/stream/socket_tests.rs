//! Of sockets: both ways, by addresses, by messages.

use expect_test::expect;

use crate::graph::fixture::check;

#[test]
fn a_socket_pair_carries_both_ways_and_its_streams_are_not_mixed_up() {
    check(
        "
            0 root 100
            1 exec 100 /bin/python3 python3
            2 open 100 #1 unix 11 peer 12
            2 open 100 #2 unix 12 peer 11
            3 fork 100 101
            4 out 101 #2.1 0..32
            5 in 100 #1.1 0..32
            6 out 100 #1.2 0..5
            7 in 101 #2.2 0..5
            8 tick
        ",
        &expect![[r#"
            began    100#1 Root python3 under -
            began    101#0 Forked python3/python3 under 100#1
            write    #2.1 101#0 unix 0..32 at 4..4 under 101#0
            read     #1.1 100#1 unix 0..32 at 5..5 under 100#1 <-Unix #2.1 32
            write    #1.2 100#1 unix 0..5 at 6..6 under 100#1
            read     #2.2 101#0 unix 0..5 at 7..7 under 101#0 <-Unix #1.2 5
            ended    100#1 0..20000 incomplete
            ended    101#0 3..20000 incomplete
        "#]],
    );
}

#[test]
fn two_clients_of_one_server_are_told_apart() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            2 fork 100 102
            2 fork 100 103
            3 open 101 #1 tcp 127.0.0.1:5001 127.0.0.1:80
            3 open 102 #2 tcp 127.0.0.1:5002 127.0.0.1:80
            4 open 103 #3 tcp 127.0.0.1:80 127.0.0.1:5001
            4 open 103 #4 tcp 127.0.0.1:80 127.0.0.1:5002
            5 out 101 #1.1 0..107
            5 out 102 #2.1 0..100
            6 in 103 #3.1 0..107
            6 in 103 #4.1 0..100
            7 out 103 #3.2 0..107
            7 out 103 #4.2 0..100
            8 in 101 #1.2 0..107
            8 in 102 #2.2 0..100
            9 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            began    102#0 Forked bash/bash under 100#1
            began    103#0 Forked bash/bash under 100#1
            write    #1.1 101#0 tcp 0..107 at 5..5 under 101#0
            write    #2.1 102#0 tcp 0..100 at 5..5 under 102#0
            read     #3.1 103#0 tcp 0..107 at 6..6 under 103#0 <-Tcp #1.1 107
            read     #4.1 103#0 tcp 0..100 at 6..6 under 103#0 <-Tcp #2.1 100
            write    #3.2 103#0 tcp 0..107 at 7..7 under 103#0
            write    #4.2 103#0 tcp 0..100 at 7..7 under 103#0
            read     #1.2 101#0 tcp 0..107 at 8..8 under 101#0 <-Tcp #3.2 107
            read     #2.2 102#0 tcp 0..100 at 8..8 under 102#0 <-Tcp #4.2 100
            ended    100#1 0..20000 incomplete
            ended    101#0 2..20000 incomplete
            ended    102#0 2..20000 incomplete
            ended    103#0 2..20000 incomplete
        "#]],
    );
}

#[test]
fn datagrams_are_linked_by_their_addresses() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            3 open 101 #1 udp 127.0.0.1:5001 127.0.0.1:53
            3 open 100 #2 udp 127.0.0.1:53 127.0.0.1:5001
            5 out 101 #1.1 0..107
            6 in 100 #2.1 0..107
            9 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            write    #1.1 101#0 udp 0..107 at 5..5 under 101#0
            read     #2.1 100#1 udp 0..107 at 6..6 under 100#1 <-Udp #1.1 107 (0.95)
            ended    100#1 0..20000 incomplete
            ended    101#0 2..20000 incomplete
        "#]],
    );
}

#[test]
fn a_socket_that_is_bound_to_all_addresses_is_met_by_its_ports_and_no_other_address() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            2 fork 100 102
            3 open 101 #1 udp 0.0.0.0:5001 127.0.0.1:53
            3 open 102 #2 udp 127.0.0.9:5001 127.0.0.1:53
            4 out 102 #2.1 0..9
            5 out 101 #1.1 0..107
            6 open 100 #3 udp 127.0.0.1:53 127.0.0.1:5001
            6 in 100 #3.1 0..107
            7 out 100 #3.2 0..5
            8 in 101 #1.2 0..5
            9 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    102#0 Forked bash/bash under 100#1
            began    101#0 Forked bash/bash under 100#1
            write    #2.1 102#0 udp 0..9 at 4..4 under 102#0
            write    #1.1 101#0 udp 0..107 at 5..5 under 101#0
            read     #3.1 100#1 udp 0..107 at 6..6 under 100#1 <-Udp #1.1 107 (0.95)
            write    #3.2 100#1 udp 0..5 at 7..7 under 100#1
            read     #1.2 101#0 udp 0..5 at 8..8 under 101#0 <-Udp #3.2 5 (0.95)
            ended    100#1 0..20000 incomplete
            ended    101#0 2..20000 incomplete
            ended    102#0 2..20000 incomplete
        "#]],
    );
}

#[test]
fn messages_are_taken_in_the_order_in_which_they_were_sent_whoever_sent_them() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            2 fork 100 102
            3 open 101 #1 datagrams 11 /run/r
            3 out 101 #1.1 0..7
            4 open 102 #2 datagrams 12 /run/r
            4 out 102 #2.1 0..9
            5 open 100 #3 datagrams 13 /run/r
            5 in 100 #3.1 0..7
            6 in 100 #3.2 7..16
            7 out 101 #1.2 7..10
            8 in 100 #3.3 16..19
            9 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            began    102#0 Forked bash/bash under 100#1
            write    #1.1 101#0 r 0..7 at 3..3 under 101#0
            write    #2.1 102#0 r 0..9 at 4..4 under 102#0
            read     #3.1 100#1 r 0..7 at 5..5 under 100#1 <-Unix #1.1 7 (0.95)
            read     #3.2 100#1 r 7..16 at 6..6 under 100#1 <-Unix #2.1 9 (0.95)
            write    #1.2 101#0 r 7..10 at 7..7 under 101#0
            read     #3.3 100#1 r 16..19 at 8..8 under 100#1 <-Unix #1.2 3 (0.95)
            ended    100#1 0..20000 incomplete
            ended    101#0 2..20000 incomplete
            ended    102#0 2..20000 incomplete
        "#]],
    );
}

#[test]
fn what_was_sent_before_the_connection_was_accepted_is_the_accepted_sockets() {
    check(
        "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            3 open 101 #1 unix 11
            4 out 101 #1.1 0..11
            5 open 100 #2 accepted #9 unix 12 peer 11
            6 in 100 #2.1 0..11
            7 out 100 #2.2 0..4
            8 open 101 #1 unix 11 peer 12
            8 in 101 #1.2 0..4
            9 out 101 #1.3 11..15
            10 in 100 #2.3 11..15
            11 tick
        ",
        &expect![[r#"
            began    100#1 Root bash under -
            began    101#0 Forked bash/bash under 100#1
            write    #1.1 101#0 unix 0..11 at 4..4 under 101#0
            read     #2.1 100#1 unix 0..11 at 6..6 under 100#1 <-Unix #1.1 11
            write    #2.2 100#1 unix 0..4 at 7..7 under 100#1
            read     #1.2 101#0 unix 0..4 at 8..8 under 101#0 <-Unix #2.2 4
            write    #1.3 101#0 unix 11..15 at 9..9 under 101#0
            read     #2.3 100#1 unix 11..15 at 10..10 under 100#1 <-Unix #1.3 4
            ended    100#1 0..20000 incomplete
            ended    101#0 2..20000 incomplete
        "#]],
    );
}

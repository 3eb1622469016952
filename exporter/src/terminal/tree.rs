//! The process tree as text: a line for each image, with its process id, duration and end, and below it what it did.
//!
//! ```text
//! bash -c 'sh refresh.sh; python3 agent.py'  100  91 ms  exit 1
//! ├─ sh refresh.sh                           101   7 ms  exit 0
//! │  │  write config.tmp 47 B
//! │  └─ ⇒ mv config.tmp config.json          101   3 ms  exit 0      ⇒: the same process, after an exec
//! │        rename config.tmp → config.json
//! ├─ … 37 more cc1
//! └─ python3 agent.py                        102  80 ms  exit 1
//!       connect tickets.example:8080, sent 1.0 kB  ← had read config.json
//!       read config.json 47 B  ← written by refresh.sh as config.tmp, renamed by mv, 12 ms before
//!       … and 312 more, 41 system files read, 183 kB
//! ```

use super::TreeStyle;
use super::deed::Deeds;
use super::draw::draw;
use super::escape::printable;
use super::family::Family;
use super::row::rows;
use crate::spans::model::Span;

/// Draw the process tree that these spans are, then the lines of `footer`. Each line ends with a newline.
#[must_use]
pub fn tree(spans: &[Span], style: TreeStyle, footer: &[String]) -> String {
    let family = Family::of(spans);
    let deeds = Deeds::of(spans, &family);
    let rows = rows(&family, &deeds, usize::from(style.width) / 2);
    let mut drawn = draw(&rows, style);
    if !rows.is_empty() && !footer.is_empty() {
        drawn.push('\n');
    }
    for line in footer {
        drawn.push_str(&printable(line));
        drawn.push('\n');
    }
    drawn
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;
    use crate::terminal::draw::{BOLD, DIM, RED, RESET};
    use crate::terminal::width::width;

    const STYLE: TreeStyle = TreeStyle { width: 80, colour: false };

    fn check(text: &str, expect: &Expect) {
        expect.assert_eq(&tree(&spans_of(&session(), text), STYLE, &[]));
    }

    #[test]
    fn the_tree_says_who_started_whom_and_how_it_ended() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/bash bash -c 'make && ./run it'
                10 fork 100 101
                11 exec 101 /usr/bin/make make -j4
                20 fork 101 102
                21 exec 102 /usr/lib/gcc/cc1 /usr/lib/gcc/cc1 -quiet main.c -o /tmp/a/very/long/path/that/does/not/fit/into/eighty/columns.s
                95 exit 102 0
                900 exit 101 0
                901 fork 100 1030
                902 exec 1030 /home/me/run ./run it
                2100 exit 1030 signal 139
                2101 exit 100 139
            ",
            &expect![[r#"
                bash -c 'make && ./run it'                           100  2.10 s  exit 139
                ├─ make -j4                                          101  890 ms  exit 0
                │  └─ cc1 -quiet main.c -o /tmp/a/very/long/path/…   102   75 ms  exit 0
                └─ run it                                           1030  1.19 s  SIGSEGV (core)
            "#]],
        );
    }

    #[test]
    fn an_exec_is_marked_as_the_same_process() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/env env A=1 claude
                2 exec 100 /usr/bin/claude claude -p 'fix it'
                9 exit 100 0
            ",
            &expect![[r#"
                env A=1 claude           100  2 ms
                └─ ⇒ claude -p 'fix it'  100  7 ms  exit 0
            "#]],
        );
    }

    #[test]
    fn forks_and_long_runs_are_folded_but_never_failures() {
        let mut text = "0 root 100\n1 exec 100 /usr/bin/python3.11 python3 pool.py\n".to_owned();
        for n in 0..9 {
            text += &format!("{} fork 100 {}\n{} exit {} {}\n", n + 2, n + 200, n + 2, n + 200, u32::from(n == 4));
        }
        for n in 0..41 {
            let (at, pid) = (n + 20, n + 300);
            text += &format!(
                "{at} fork 100 {pid}\n{at} exec {pid} /usr/bin/cc1 cc1 {n}.c\n{at} exit {pid} {}\n",
                u32::from(n == 40)
            );
        }
        check(
            &(text + "90 exit 100 0"),
            &expect![[r#"
                python3.11 pool.py       100  90 ms  exit 0
                ├─ python3.11 (4 forks)
                ├─ python3.11 (fork)     204   1 ns  exit 1
                ├─ python3.11 (4 forks)
                ├─ cc1 0.c               300   1 ns  exit 0
                ├─ cc1 1.c               301   1 ns  exit 0
                ├─ cc1 2.c               302   1 ns  exit 0
                ├─ … 37 more cc1
                └─ cc1 40.c              340   1 ns  exit 1
            "#]],
        );
    }

    #[test]
    fn a_promoted_image_shows_its_real_end_and_a_living_one_that_it_runs() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/bash bash
                2 fork 100 101
                3 exec 101 /usr/bin/sleep sleep 99
                11s tick
                12s exit 100 3
            ",
            &expect![[r#"
                bash         100  12.0 s  exit 3
                └─ sleep 99  101  19.9 s  running
            "#]],
        );
    }

    #[test]
    fn a_child_whose_parent_is_an_apps_span_stands_under_who_started_it() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/node node claude
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /bin/bash bash -c make
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                node claude      100  5 ms  exit 0
                └─ bash -c make  101  2 ms  exit 0
            "#]],
        );
    }

    #[test]
    fn a_session_of_many_traces_is_one_tree() {
        let text = "
            0 root 100
            1 exec 100 /bin/bash bash
            2 fork 100 101
            3 exec 101 /bin/make make
            11s tick
            12s fork 101 102
            12s exec 102 /bin/cc cc
            13s exit 102 1
            14s fork 100 103
            14s exec 103 /bin/ls ls
            15s exit 103 0
            16s exit 101 2
            17s exit 100 2
        ";
        let whole = tree(&spans_of(&session(), text), STYLE, &[]);
        for spans in 1..6 {
            let mut session = session();
            session.options.segment.spans = spans;
            assert_eq!(tree(&spans_of(&session, text), STYLE, &[]), whole);
        }
        assert_eq!(whole.lines().count(), 4, "{whole}");
    }

    #[test]
    fn a_traced_program_cannot_drive_the_terminal() {
        let text = "0 root 100\n1 exec 100 '/tmp/\\e[2Jevil\\n' 'x' '\\e]0;owned\\n' plain\n2 exit 100 0";
        let drawn = tree(&spans_of(&session(), text), STYLE, &["footer \x1b[31m".to_owned()]);
        assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "{drawn:?}");
        expect![[r#"
            \e[2Jevil\n $'\e]0;owned\n' plain  100  2 ms  exit 0

            footer \e[31m
        "#]]
        .assert_eq(&drawn);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut text = "0 root 100\n1 exec 100 /bin/sh sh\n".to_owned();
        for n in 0..60 {
            text += &format!(
                "{} fork {} {}\n{} exec {} /bin/sh sh -c 数据文件数据文件数据文件\n",
                n + 2,
                n + 100,
                n + 101,
                n + 2,
                n + 101
            );
        }
        let spans = spans_of(&session(), &text);
        for columns in [0, 1, 10, 40, 80, 200] {
            let drawn = tree(&spans, TreeStyle { width: columns, colour: false }, &[]);
            let widest = drawn.lines().map(width).max().unwrap();
            assert!(widest <= usize::from(columns).max(5), "{widest} columns of {columns}");
        }
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let text = "0 root 100\n1 exec 100 /bin/sh sh\n2 fork 100 101\n3 exit 101 1\n4 exit 100 0";
        let spans = spans_of(&session(), text);
        let mut coloured = tree(&spans, TreeStyle { colour: true, ..STYLE }, &[]);
        assert!(coloured.contains(RED) && coloured.contains(DIM));
        for sequence in [DIM, RED, BOLD, RESET] {
            coloured = coloured.replace(sequence, "");
        }
        assert_eq!(coloured, tree(&spans, STYLE, &[]));
    }

    #[test]
    fn circles_orphans_and_repetitions_are_drawn_once() {
        let text = "0 root 100\n1 exec 100 /bin/sh sh\n2 fork 100 101\n3 exit 101 1\n4 exit 100 0";
        let mut spans = spans_of(&session(), text);
        let (child, root) = (spans[0].id.span_id, spans[1].id.span_id);
        spans[1].parent = Some(child);
        spans.push(spans[0].clone());
        assert_eq!(tree(&spans, STYLE, &[]).lines().count(), 2);
        spans[1].parent = Some(root);
        spans[0].parent = Some(opentelemetry::trace::SpanId::from_bytes([9; 8]));
        assert_eq!(tree(&spans, STYLE, &[]).lines().count(), 2);
    }

    #[test]
    fn a_chain_of_twenty_thousand_execs_is_drawn() {
        let mut text = "0 root 100\n".to_owned();
        for n in 0..20_000 {
            text += &format!("{n} exec 100 /bin/sh sh\n");
        }
        let drawn = tree(&spans_of(&session(), &text), STYLE, &["the end".to_owned()]);
        assert_eq!(drawn.lines().count(), 20_002);
    }
}

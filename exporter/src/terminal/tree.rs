//! The process tree as text: one line an image, with its process id, duration and end.
//!
//! ```text
//! bash -c 'make && ./run'             100  1.20 s  exit 2
//! ├─ make                             101   890 ms exit 0
//! │  ├─ cc1 -quiet main.c             102   80 ms  exit 0
//! │  └─ … 37 more cc1
//! └─ ⇒ run                            100   300 ms exit 2      ⇒: the same process, after an exec
//! ```

use std::fmt::Write;
use std::time::Duration;

use agentsight_semconv as semconv;

use super::escape::{printable, shell_word};
use super::family::{Family, Member, int, is_set, text, texts};
use super::width::{fit, width};
use super::{TreeStyle, duration};
use crate::spans::model::Span;

/// A run of like siblings longer than this shows only its first.
const RUN_LIMIT: usize = 5;
const RUN_SHOWN: usize = 3;
/// Columns that labels keep however narrow the terminal is; the columns on the right give way.
const LABEL_MIN: usize = 24;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Draw the process tree that these spans are, then the lines of `footer`. Each line ends with a newline.
#[must_use]
pub fn tree(spans: &[Span], style: TreeStyle, footer: &[String]) -> String {
    let family = Family::of(spans);
    let rows = rows(&family, usize::from(style.width) / 2);
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

/// One line before it is fitted to the width.
struct Row {
    branch: String,
    label: String,
    pid: String,
    duration: String,
    end: End,
}

enum End {
    /// Not an image, or one that was replaced by the next.
    None,
    Success,
    Failure(String),
    /// It was not seen to end.
    Running,
}

/// One line of a list of siblings.
enum Item {
    One(usize),
    /// Children that are copies of their parent, and did nothing that has a line of its own.
    Forks {
        name: String,
        count: usize,
    },
    More {
        name: String,
        count: usize,
    },
}

fn rows(family: &Family<'_>, branch_limit: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    // A stack of its own: a chain of a million execs must not end on the thread's.
    let mut pending: Vec<(Item, String, String)> = Vec::new();
    for root in family.roots.iter().rev() {
        pending.push((Item::One(*root), String::new(), String::new()));
    }
    while let Some((item, branch, below)) = pending.pop() {
        let Item::One(place) = item else {
            rows.push(folded_row(item, branch));
            continue;
        };
        rows.push(row(family, place, branch));
        let items = fold(family, &family.members[place].children);
        let last = items.len().saturating_sub(1);
        for (index, item) in items.into_iter().enumerate().rev() {
            let (own, under) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = |end: &str| shorten(format!("{below}{end}"), branch_limit);
            pending.push((item, branch(own), branch(under)));
        }
    }
    rows
}

/// Deep down only the nearest branches are drawn.
fn shorten(branch: String, limit: usize) -> String {
    let columns = branch.chars().count();
    if columns <= limit.max(4) {
        return branch;
    }
    let tail: String = branch.chars().skip(columns + 1 - limit.max(4)).collect();
    format!("…{tail}")
}

fn row(family: &Family<'_>, place: usize, branch: String) -> Row {
    let member = &family.members[place];
    let last = member.last();
    let arrow = if family.replaces_parent(place) { "⇒ " } else { "" };
    // An end in a later trace starts where that one does.
    let time = last.end.0.saturating_sub(last.start.0.min(member.span.start.0));
    Row {
        branch,
        label: format!("{arrow}{}", label(member.span)),
        pid: int(&member.span.attributes, semconv::PROCESS_PID).map(|pid| pid.to_string()).unwrap_or_default(),
        duration: duration(Duration::from_nanos(time)),
        end: end(member),
    }
}

fn folded_row(item: Item, branch: String) -> Row {
    let label = match item {
        Item::Forks { name, count } => format!("{name} ({count} forks)"),
        Item::More { name, count } => format!("… {count} more {name}"),
        Item::One(_) => String::new(),
    };
    Row { branch, label, pid: String::new(), duration: String::new(), end: End::None }
}

fn label(span: &Span) -> String {
    let name = shown_name(span);
    if is_set(&span.attributes, semconv::AGENTSIGHT_PROCESS_FORK) {
        return format!("{name} (fork)");
    }
    let mut label = name;
    for arg in texts(&span.attributes, semconv::PROCESS_COMMAND_ARGS).iter().skip(1) {
        label.push(' ');
        label.push_str(&shell_word(arg));
    }
    if texts(&span.attributes, semconv::AGENTSIGHT_TRUNCATED)
        .iter()
        .any(|it| it == semconv::PROCESS_COMMAND_ARGS.as_str())
    {
        label.push_str(" …");
    }
    label
}

/// The executable's name; the one that it was started by (`sh`, not `dash`), where the kernel was asked for
/// that file. `argv[0]` alone does not count, a program can call itself anything.
fn shown_name(span: &Span) -> String {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let requested = text(&span.attributes, semconv::AGENTSIGHT_PROCESS_REQUESTED_PATH).map(base);
    let called = texts(&span.attributes, semconv::PROCESS_COMMAND_ARGS).first().map(|name| base(name));
    let by_request = requested.filter(|name| !name.is_empty() && called.as_ref() == Some(name));
    let executable = || text(&span.attributes, semconv::PROCESS_EXECUTABLE_NAME).map(str::to_owned);
    let name = by_request.or_else(executable).unwrap_or_else(|| "(unknown)".to_owned());
    printable(&name).into_owned()
}

fn end(member: &Member<'_>) -> End {
    let attributes = &member.last().attributes;
    let is = |name| is_set(attributes, name);
    if is(semconv::AGENTSIGHT_SPAN_INCOMPLETE) || is(semconv::AGENTSIGHT_SPAN_PROMOTED) {
        return End::Running;
    }
    match (text(attributes, semconv::ERROR_TYPE), int(attributes, semconv::PROCESS_EXIT_CODE)) {
        (_, Some(0)) => End::Success,
        (_, Some(code)) => End::Failure(format!("exit {code}")),
        (Some(signal), None) if is(semconv::AGENTSIGHT_PROCESS_CORE_DUMPED) => {
            End::Failure(format!("{} (core)", printable(signal)))
        }
        (Some(signal), None) => End::Failure(printable(signal).into_owned()),
        (None, None) => End::None,
    }
}

/// Siblings with nothing to tell apart, next to each other, become one line.
fn fold(family: &Family<'_>, children: &[usize]) -> Vec<Item> {
    let likeness = |place: &usize| {
        let member = &family.members[*place];
        let quiet = member.children.is_empty() && matches!(end(member), End::Success);
        let is_fork = is_set(&member.span.attributes, semconv::AGENTSIGHT_PROCESS_FORK);
        quiet.then(|| (is_fork, shown_name(member.span)))
    };
    let mut items = Vec::new();
    for run in children.chunk_by(|one, next| likeness(one).is_some_and(|it| Some(it) == likeness(next))) {
        match likeness(&run[0]) {
            Some((true, name)) if run.len() > 1 => items.push(Item::Forks { name, count: run.len() }),
            Some((false, name)) if run.len() > RUN_LIMIT => {
                items.extend(run[..RUN_SHOWN].iter().map(|place| Item::One(*place)));
                items.push(Item::More { name, count: run.len() - RUN_SHOWN });
            }
            Some(_) | None => items.extend(run.iter().map(|place| Item::One(*place))),
        }
    }
    items
}

fn draw(rows: &[Row], style: TreeStyle) -> String {
    let columns = Columns::of(rows, usize::from(style.width));
    let paint = |colour: &str, text: &str| {
        if style.colour && !text.trim().is_empty() { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    };
    let mut drawn = String::new();
    for row in rows {
        let room = columns.label.saturating_sub(row.branch.chars().count());
        let label = fit(&row.label, room);
        let padding = " ".repeat(room.saturating_sub(width(&label)));
        let branch = paint(DIM, &row.branch);
        let label = match row.end {
            End::Failure(_) => paint(BOLD, &label),
            End::None if row.pid.is_empty() => paint(DIM, &label),
            End::None | End::Success | End::Running => label,
        };
        let mut line = format!("{branch}{label}");
        if columns.right && !row.pid.is_empty() {
            let numbers = format!("  {:>1$}  {2:>3$}", row.pid, columns.pid, row.duration, columns.duration);
            let end = match &row.end {
                End::None => String::new(),
                End::Success => paint(DIM, "exit 0"),
                End::Failure(how) => paint(RED, how),
                End::Running => "running".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = write!(line, "{padding}{}  {end}", paint(DIM, &numbers));
        }
        drawn.push_str(line.trim_end());
        drawn.push('\n');
    }
    drawn
}

/// Widths of the columns; all rows share them, so that numbers stand under numbers.
struct Columns {
    label: usize,
    pid: usize,
    duration: usize,
    right: bool,
}

impl Columns {
    fn of(rows: &[Row], total: usize) -> Self {
        let widest = |of: &dyn Fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
        let pid = widest(&|row| width(&row.pid));
        let duration = widest(&|row| width(&row.duration));
        let end = widest(&|row| match &row.end {
            End::None => 0,
            End::Success => "exit 0".len(),
            End::Failure(how) => width(how),
            End::Running => "running".len(),
        });
        let right = pid + duration + end + 6;
        let natural = widest(&|row| row.branch.chars().count() + width(&row.label));
        if total >= right + LABEL_MIN {
            Self { label: natural.min(total - right), pid, duration, right: true }
        } else {
            Self { label: total, pid, duration, right: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;

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

//! Names of image spans: the executable's, and with target names what an interpreter runs.

use std::borrow::Cow;

use agentsight_ebpf::Exec;

use super::image::arguments;
use super::interpreter;
use crate::graph::{base_name, executable_name};

/// Of a process whose exec was not seen.
const UNKNOWN: &str = "process";
/// File names have at most 255 bytes on Linux; captured bytes may be anything.
const LIMIT: usize = 255;

/// `python3`, or with target names `python3 agent.py`: base names only, so that names stay few.
pub(super) fn span_name(program: Option<&Exec>, target_names: bool) -> Cow<'static, str> {
    let Some((program, executable)) = program.and_then(|it| Some((it, executable_name(it)?))) else {
        return UNKNOWN.into();
    };
    let script = interpreter::script(&executable, arguments(&program.args.bytes)).filter(|_| target_names);
    let mut name = executable.into_owned();
    name.truncate(name.floor_char_boundary(LIMIT));
    if let Some(script) = script {
        name.push(' ');
        name.push_str(&script[..script.floor_char_boundary(LIMIT)]);
    }
    name.into()
}

/// What people call the program: `sh refresh.sh`, and not `dash`, where the kernel was asked for `sh`.
pub(super) fn in_words(program: Option<&Exec>) -> String {
    let Some((program, executable)) = program.and_then(|it| Some((it, executable_name(it)?))) else {
        return UNKNOWN.to_owned();
    };
    let script = interpreter::script(&executable, arguments(&program.args.bytes));
    // `argv[0]` alone does not count, a program can call itself anything.
    let called = arguments(&program.args.bytes).next().and_then(base_name);
    let requested = base_name(&program.requested.bytes).filter(|name| called.as_ref() == Some(name));
    let name = requested.unwrap_or(executable);
    let cut = |text: &str| text[..text.floor_char_boundary(LIMIT)].to_owned();
    script.map_or_else(|| cut(&name), |script| format!("{} {}", cut(&name), cut(&script)))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;

    /// The names of all spans, with target names and without.
    fn check(text: &str, expect: &expect_test::Expect) {
        let mut session = session();
        let names =
            |session: &_| spans_of(session, text).iter().map(|span| format!("{:?} ", span.name)).collect::<String>();
        let with_targets = names(&session);
        session.options.target_names = false;
        expect.assert_eq(&format!("{with_targets}\n{}\n", names(&session)));
    }

    #[test]
    fn names_are_base_names_of_executables_and_scripts() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/python3.11 python3 /srv/agent.py --seed 7
                2 fork 100 101
                3 exec 101 /bin/bash bash -c make
                4 exit 101 0
                5 exit 777 0
                6 fork 100 102
                11s tick
                12s exit 100 0
            ",
            &expect![[r#"
                "bash" "process" "python3.11 agent.py" "python3.11 agent.py" "exit" "exit" 
                "bash" "process" "python3.11" "python3.11" "exit" "exit" 
            "#]],
        );
    }
}

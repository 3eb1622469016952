//! Which script an interpreter runs, as far as its arguments tell.

use std::borrow::Cow;

use crate::graph::base_name;

/// How the arguments of one family of interpreters are read.
struct Interpreter {
    /// Executable names, a version after them allowed (`python3.11`).
    names: &'static [&'static str],
    /// Options that take the next argument.
    with_value: &'static [&'static str],
    /// Options after which there is no script: the program is in the argument.
    inline: &'static [&'static str],
    /// Options whose value is the script's or module's name.
    names_script: &'static [&'static str],
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter { names: &["python", "pypy"], with_value: &["-W", "-X"], inline: &["-c"], names_script: &["-m"] },
    Interpreter {
        names: &["node", "nodejs", "bun", "deno"],
        with_value: &["-r", "--require", "--import", "--loader", "-C", "--conditions"],
        inline: &["-e", "--eval", "-p", "--print"],
        names_script: &[],
    },
    Interpreter {
        names: &["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"],
        with_value: &["-o", "-O", "--rcfile", "--init-file"],
        inline: &["-c", "-s"],
        names_script: &[],
    },
    Interpreter { names: &["ruby", "perl"], with_value: &["-I", "-r"], inline: &["-e", "-E"], names_script: &[] },
    Interpreter { names: &["php", "lua"], with_value: &["-d"], inline: &["-r", "-e"], names_script: &["-f"] },
    Interpreter {
        names: &["java"],
        with_value: &["-cp", "-classpath", "--class-path"],
        inline: &[],
        names_script: &["-jar"],
    },
];

/// Base name of what the interpreter `executable` runs with these arguments, the zeroth included.
/// `None` for another program, for code given in the arguments, and where there is no script.
pub(super) fn script<'a>(executable: &str, args: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    base_name(script_path(executable, args)?).map(Cow::into_owned)
}

/// The script as the interpreter was given it.
pub(super) fn script_path<'a>(executable: &str, args: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let family = executable.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let interpreter = INTERPRETERS.iter().find(|it| it.names.contains(&family))?;
    let has = |list: &[&str], arg: &[u8]| list.iter().any(|option| option.as_bytes() == arg);
    let mut args = args.skip(1);
    loop {
        let arg = args.next()?;
        if has(interpreter.names_script, arg) {
            return args.next();
        }
        if is_inline(interpreter.inline, arg) {
            return None;
        }
        if has(interpreter.with_value, arg) {
            args.next()?;
        } else if arg == b"--" {
            return args.next();
        } else if !arg.starts_with(b"-") {
            return Some(arg);
        }
    }
}

/// Single letters may be joined (`bash -lc`, `perl -ne`), the one that takes the code last.
fn is_inline(inline: &[&str], arg: &[u8]) -> bool {
    let joined = arg.starts_with(b"-") && !arg.starts_with(b"--");
    inline.iter().any(|option| {
        let option = option.as_bytes();
        option == arg
            || (joined
                && option.len() == 2
                && arg.last() == option.last()
                && arg[1..].iter().all(u8::is_ascii_alphabetic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script_of(command: &str) -> Option<String> {
        let executable = command.split(' ').next().unwrap();
        script(executable, command.split(' ').map(str::as_bytes))
    }

    #[test]
    fn the_first_argument_that_is_no_option_is_the_script() {
        for (command, expected) in [
            ("python3.11 /opt/agent.py --fast", Some("agent.py")),
            ("python3 -u -W ignore agent.py", Some("agent.py")),
            ("python3 -m pytest tests", Some("pytest")),
            ("node --require ./hook.js /app/cli.js", Some("cli.js")),
            ("bash -eu build.sh", Some("build.sh")),
            ("java -cp lib -jar tool.jar", Some("tool.jar")),
        ] {
            assert_eq!(script_of(command).as_deref(), expected, "{command}");
        }
    }

    #[test]
    fn code_in_the_arguments_is_no_script() {
        for command in
            ["python3 -c x", "bash -lc make", "node -e 1", "perl -ne x", "bash", "python3 -W", "ls file", "python3 -m"]
        {
            assert_eq!(script_of(command), None, "{command}");
        }
    }
}

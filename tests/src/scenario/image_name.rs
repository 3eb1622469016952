//! The names that an image answers to: of its executable, of how it was called, of the script that it interprets.

use std::collections::BTreeSet;

use crate::trace::Span;

/// All names of the image that this span is of.
pub(super) fn names(span: &Span) -> BTreeSet<String> {
    let arguments = span.texts("process.command_args");
    let called = arguments.first().copied().unwrap_or_default();
    let mut names = BTreeSet::new();
    for path in [span.text("process.executable.path"), span.text("process.executable.name"), called] {
        // A login shell is called `-bash`.
        let name = base_name(path).trim_start_matches('-');
        names.extend(with_and_without_version(name));
    }
    let interpreter = names.iter().find_map(|name| Interpreter::of(name));
    if let Some(script) = interpreter.and_then(|interpreter| interpreter.script(&arguments)) {
        let name = base_name(script);
        names.insert(without_suffix(name).to_owned());
    }
    names.remove("");
    names
}

/// The last part of a path.
pub(super) fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// `python3.11` → itself, `python3`, `python`.
fn with_and_without_version(name: &str) -> Vec<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut all = vec![name.to_owned()];
    let mut rest = name;
    while let Some((before, _)) = rest.rsplit_once('.').filter(|(_, version)| digits(version)) {
        rest = before;
        all.push(rest.to_owned());
    }
    let bare = rest.trim_end_matches(|character: char| character.is_ascii_digit());
    all.push(bare.trim_end_matches('-').to_owned());
    all
}

fn without_suffix(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// What is known of a language's program: the options after which no script is named, and those that take a word.
struct Interpreter {
    instead_of_script: &'static [&'static str],
    with_a_word: &'static [&'static str],
}

impl Interpreter {
    fn of(name: &str) -> Option<Self> {
        let (instead_of_script, with_a_word): (&[&str], &[&str]) = match name {
            "sh" | "dash" | "bash" | "zsh" | "ksh" | "ash" | "rbash" => {
                (&["-c", "-s"], &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"])
            }
            "python" | "pypy" => (&["-c", "-m"], &["-W", "-X", "--check-hash-based-pycs"]),
            "node" | "nodejs" => (
                &["-e", "--eval", "-p", "--print"],
                &["-r", "--require", "--import", "--loader", "-C", "--conditions", "--env-file"],
            ),
            "perl" | "ruby" => (&["-e", "-E"], &["-I", "-r"]),
            "php" => (&["-r"], &["-d", "-c"]),
            "lua" | "tclsh" | "wish" | "Rscript" | "guile" | "deno" | "bun" | "expect" => (&["-e"], &[]),
            _ => return None,
        };
        Some(Self { instead_of_script, with_a_word })
    }

    /// The first argument that is neither an option nor an option's word.
    fn script<'a>(&self, arguments: &[&'a str]) -> Option<&'a str> {
        let mut words = arguments.iter().skip(1);
        while let Some(&word) = words.next() {
            if word == "--" {
                return words.next().copied();
            }
            if word == "-" || self.instead_of_script.contains(&word) || self.is_bundle(word) {
                return None;
            }
            if self.with_a_word.contains(&word) {
                words.next();
            } else if !word.starts_with(['-', '+']) {
                return Some(word);
            }
        }
        None
    }

    /// Whether `word` is short options in one, the last of which stands in place of a script: `-ec`, `-Sc`.
    fn is_bundle(&self, word: &str) -> bool {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { return false };
        let last = |option: &&str| option.len() == 2 && letters.ends_with(&option[1..]);
        letters.bytes().all(|byte| byte.is_ascii_alphabetic()) && self.instead_of_script.iter().any(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::made::Made;

    fn of(path: &str, arguments: &[&str]) -> Vec<String> {
        let mut made = Made::default();
        let image = made.image_called(path, arguments, 7, None, 0..9);
        names(made.span(image)).into_iter().collect()
    }

    #[test]
    fn an_executable_has_its_versions() {
        assert_eq!(of("/usr/bin/python3.11", &["python3", "-c", "x"]), ["python", "python3", "python3.11"]);
    }

    #[test]
    fn dash_that_is_called_sh_is_both() {
        assert_eq!(of("/usr/bin/dash", &["sh", "-c", "true"]), ["dash", "sh"]);
    }

    #[test]
    fn a_script_gives_its_name_without_suffix() {
        assert_eq!(of("/usr/bin/dash", &["sh", "-eu", "./dir/refresh.sh", "x.y"]), ["dash", "refresh", "sh"]);
        assert!(of("/usr/bin/python3.11", &["python3", "-W", "error", "-u", "server.py"]).contains(&"server".into()));
        assert!(of("/usr/bin/node", &["node", "--no-warnings", "kid.test.js"]).contains(&"kid.test".into()));
    }

    #[test]
    fn what_is_no_script_gives_no_name() {
        assert_eq!(of("/usr/bin/bash", &["bash", "-ec", "cat", "zero"]), ["bash"]);
        assert_eq!(of("/usr/bin/python3", &["python3", "-m", "server"]), ["python", "python3"]);
        assert_eq!(of("/usr/bin/cat", &["cat", "in.txt"]), ["cat"]);
    }

    #[test]
    fn a_login_shell_is_a_shell() {
        assert_eq!(of("/usr/bin/bash", &["-bash"]), ["bash"]);
    }
}

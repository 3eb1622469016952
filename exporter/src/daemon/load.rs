//! Reading the configuration file: what is wrong is said with file, line, column, and what was expected.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::config::Config;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error("{path} cannot be read: {reason}")]
    Read {
        /// As given.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It says what nobody understands.
    #[error("{path}:{line}:{column}: {reason}")]
    Invalid {
        /// As given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong, and what was expected.
        reason: String,
    },
}

/// Reads and checks the file.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|reason| ConfigError::Read { path: path.to_owned(), reason })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    // An empty file says nothing, which is allowed; to the parser it is not a mapping.
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Config::default());
    }
    serde_yaml_ng::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
        ConfigError::Invalid { path: path.to_owned(), line, column, reason: explain(&error.to_string()) }
    })
}

/// The parser's words without the place, which stands in front already, and with the word that was meant.
fn explain(message: &str) -> String {
    let reason = message.rsplit_once(" at line ").map_or(message, |(reason, _)| reason);
    match meant(reason) {
        Some(word) => format!("{reason}; did you mean `{word}`?"),
        None => reason.to_owned(),
    }
}

/// Of "unknown field `a`, expected one of `b`, `c`" the one that is most like the unknown one, if any is.
fn meant(reason: &str) -> Option<&str> {
    let unknown = reason.split_once("unknown field `").or_else(|| reason.split_once("unknown variant `"))?.1;
    let (unknown, expected) = unknown.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.map(|word| (distance(unknown, word), word)).min()?;
    // Half of it may be wrong; more than that is another word.
    (nearest.0 * 2 <= unknown.chars().count().max(2)).then_some(nearest.1)
}

/// How many letters must be added, removed or replaced to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let replaced = before + usize::from(letter != *other);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        parse(Path::new("agentsight.yaml"), text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_mistake_is_said_with_its_place_and_what_was_expected() {
        for (text, expected) in [
            (
                "service: a\nservce: b\n",
                &["agentsight.yaml:2:1: unknown field `servce`", "did you mean `service`?"][..],
            ),
            (
                "rules:\n  - executable: '*/a'\n    comand_line: x\n",
                &["agentsight.yaml:3:5: ", "`comand_line`", "did you mean `command_line`?"],
            ),
            ("live_after: soon\n", &["agentsight.yaml:1:13: ", "\"soon\" is no length of time", "10s"]),
            ("export:\n  endpoint: ftp://x\n", &["agentsight.yaml:2:13: ", "endpoint=", "expected"]),
            ("export:\n  protocol: grcp\n", &["agentsight.yaml:2:13: ", "`grcp`", "did you mean `grpc`?"]),
            ("rules:\n  - user: nobody-of-that-name\n", &["agentsight.yaml:2:11: ", "no user of this machine"]),
            ("rules:\n  - executable: ['*/a', '']\n", &["agentsight.yaml:2:", "an empty pattern"]),
            ("rules:\n  - name: all\n", &["agentsight.yaml:2:5: ", "asks for nothing"]),
            ("rules:\n  - [\n", &["agentsight.yaml:"]),
            ("capture:\n  allow: './x'\n", &["agentsight.yaml:2:10: ", "without `.` and `..`"]),
            ("capture:\n  net: [api:0]\n", &["agentsight.yaml:2:", "a port is a number"]),
            ("capture:\n  streams: pipes\n", &["agentsight.yaml:2:12: ", "did you mean `pipe`?"]),
            ("rules: 7\n", &["agentsight.yaml:1:8: ", "expected a sequence"]),
            ("export: [x]\n", &["agentsight.yaml:1:9: ", "expected settings by name, such as `endpoint: http"]),
            ("rules:\n  - container: web\n", &["agentsight.yaml:2:16: ", "expected conditions by name, such as `id: "]),
            ("adopt_traceparent: maybe\n", &["agentsight.yaml:1:20: ", "expected a boolean"]),
        ] {
            let said = wrong(text);
            assert!(expected.iter().all(|words| said.contains(words)), "{text}\n{said}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_is_well() {
        for text in ["", "# nothing\n", "\n  \n", "{}\n"] {
            assert_eq!(parse(Path::new("a"), text).expect("it is well"), Config::default());
        }
    }

    #[test]
    fn one_value_stands_for_a_list_of_one() {
        let config = |text| parse(Path::new("a"), text).expect("it is well");
        assert_eq!(
            config("rules:\n  - {executable: '*/a', user: 0}\n"),
            config("rules:\n  - {executable: ['*/a'], user: [root]}\n")
        );
    }
}

//! A `.scenario` file: its script, helper files, options, and the lines that must hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::claim::Claim;
use super::expected;

/// One scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's name.
    pub name: String,
    /// The whole file.
    pub text: String,
    /// What `bash -c` gets.
    pub script: String,
    /// Options of `agentsight run`.
    pub options: Vec<String>,
    /// Files that lie in the folder before the script starts.
    pub files: Vec<HelperFile>,
    /// What must hold.
    pub lines: Vec<Line>,
}

/// A file that a script uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperFile {
    /// Its path in the folder.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// A line that must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it is written.
    pub text: String,
    /// What it means.
    pub claim: Claim,
}

/// Why a scenario cannot be used.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The file or folder.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is no such line.
    #[error("{name}:{number}: expected {expected}, found `{found}`")]
    Line {
        /// The file.
        name: String,
        /// From 1.
        number: usize,
        /// What could stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Nothing to run.
    #[error("{0}: no `run: SCRIPT`")]
    NoScript(String),
    /// Nothing to check.
    #[error("{0}: no line says what must hold")]
    NoLines(String),
    /// The folder.
    #[error("no *.scenario in {0}")]
    Empty(PathBuf),
}

/// The folder of the scenarios that belong to this crate.
#[must_use]
pub fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// All scenarios of a folder, by name.
///
/// # Errors
/// When one cannot be read or understood, or there is none.
pub fn all_in(folder: &Path) -> Result<Vec<Scenario>, ParseError> {
    let read = |error| ParseError::Read { path: folder.to_owned(), error };
    let mut paths = Vec::new();
    for file in fs::read_dir(folder).map_err(read)? {
        paths.push(file.map_err(read)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "scenario"));
    paths.sort();
    if paths.is_empty() {
        return Err(ParseError::Empty(folder.to_owned()));
    }
    paths.iter().map(|path| Scenario::read(path)).collect()
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it not understood.
    pub fn read(path: &Path) -> Result<Self, ParseError> {
        let text = fs::read_to_string(path).map_err(|error| ParseError::Read { path: path.to_owned(), error })?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(&name, &text)
    }

    /// Reads the text of a file of this name.
    ///
    /// # Errors
    /// When a line is not understood, or there is nothing to run or to check.
    pub fn parse(name: &str, text: &str) -> Result<Self, ParseError> {
        let (mut scripts, mut options, mut files, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let all: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while let Some(&line) = all.get(at) {
            let number = at + 1;
            at += 1;
            let mistake = |expected: &str| ParseError::Line {
                name: name.to_owned(),
                number,
                expected: expected.to_owned(),
                found: line.to_owned(),
            };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if is_indented(line) {
                return Err(mistake("an indented line only below `run:` or `file NAME:`"));
            }
            if let Some(first) = line.strip_prefix("run:") {
                let (more, next) = block(&all, at);
                at = next;
                let first = Some(first.trim().to_owned()).filter(|first| !first.is_empty());
                scripts.push(first.into_iter().chain(more).collect::<Vec<_>>().join("\n"));
            } else if let Some(file) = line.strip_prefix("file ") {
                let file = file.trim_end().strip_suffix(':').ok_or_else(|| mistake("`file NAME:`"))?.trim();
                let (content, next) = block(&all, at);
                at = next;
                let content = content.iter().map(|line| format!("{line}\n")).collect();
                files.push(HelperFile { name: file.to_owned(), content });
            } else if let Some(words) = line.strip_prefix("options:") {
                options.extend(words.split_whitespace().map(str::to_owned));
            } else {
                let text = line.trim();
                let claim = expected::claim(text).map_err(|expected| mistake(&expected))?;
                lines.push(Line { number, text: text.to_owned(), claim });
            }
        }
        match (scripts.len(), lines.is_empty()) {
            (0, _) => Err(ParseError::NoScript(name.to_owned())),
            (_, true) => Err(ParseError::NoLines(name.to_owned())),
            _ => Ok(Self {
                name: name.to_owned(),
                text: text.to_owned(),
                script: scripts.join("\n"),
                options,
                files,
                lines,
            }),
        }
    }
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

/// The indented lines from `at`, without the indentation that all have in common, and where they end. Blank lines
/// belong to them where more indented ones follow.
fn block(all: &[&str], at: usize) -> (Vec<String>, usize) {
    let belongs = |line: &&&str| is_indented(line) || line.is_empty();
    let mut lines: Vec<&str> = all[at..].iter().take_while(belongs).copied().collect();
    while lines.pop_if(|line| line.trim().is_empty()).is_some() {}
    let indentation = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    let end = at + lines.len();
    (lines.into_iter().map(|line| line.get(common..).unwrap_or("").to_owned()).collect(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, String> {
        Scenario::parse("x.scenario", text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_part_of_a_file_is_found() {
        let text = "# first\nrun: a |\n  b\n    c\nfile d/e.py:\n  def f():\n      # kept\n\n      pass\n\noptions: --x 1s\n\nread a *\nno write a *\n";
        let scenario = parse(text).unwrap();
        assert_eq!(scenario.script, "a |\nb\n  c");
        assert_eq!(
            scenario.files,
            [HelperFile { name: "d/e.py".into(), content: "def f():\n    # kept\n\n    pass\n".into() }]
        );
        assert_eq!(scenario.options, ["--x", "1s"]);
        let numbers: Vec<_> = scenario.lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(numbers, [(13, "read a *"), (14, "no write a *")]);
    }

    #[test]
    fn a_script_may_begin_on_the_line_after_run() {
        assert_eq!(parse("run:\n  a\n  b\nread a *").unwrap().script, "a\nb");
    }

    #[test]
    fn a_mistake_is_said_with_its_file_and_line() {
        let error = parse("run: a\nreed a *").unwrap_err();
        assert!(error.starts_with("x.scenario:2: expected ") && error.ends_with("found `reed a *`"), "{error}");
        assert!(parse("run: a\nread a *\n  b").unwrap_err().starts_with("x.scenario:3:"));
    }

    #[test]
    fn a_file_without_script_or_lines_is_refused() {
        assert_eq!(parse("read a *").unwrap_err(), "x.scenario: no `run: SCRIPT`");
        assert_eq!(parse("run: a").unwrap_err(), "x.scenario: no line says what must hold");
    }

    #[test]
    fn every_scenario_of_ours_is_understood() {
        assert!(all_in(&own_folder()).unwrap_or_else(|error| panic!("{error}")).len() >= 15);
    }
}

//! Command lines as words: arguments as they are, and the words of a script inside an argument.

use std::ops::Range;

use super::{Capture, Layout};

/// `sh -c "ssh host 'mysql -psecret'"` has three levels; more are searched by name and shape alone.
const DEEPEST_SCRIPT: u8 = 4;

/// The words of one command, and what they are written in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Where they are, without quotes around the whole word.
    pub(super) words: Vec<Range<usize>>,
    /// Who reads them.
    pub(super) reader: Reader,
}

/// Who reads the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The program: they are arguments.
    Program,
    /// A shell, for all we know.
    Shell,
    /// A shell, or a person.
    Anyone,
}

/// Whether the argument after this one is a script: `-c`, `-lc`, `--command`.
pub(super) fn is_script(before: &[u8]) -> bool {
    let short = before.len() <= 5
        && before.first() == Some(&b'-')
        && before.last() == Some(&b'c')
        && before.get(1) != Some(&b'-');
    short || before == b"--command" || before == b"eval"
}

/// Every command in the arguments, those in scripts included.
pub(super) fn commands(capture: &Capture<'_>) -> Vec<Command> {
    if capture.layout != Layout::Arguments {
        return Vec::new();
    }
    let arguments = capture.parts();
    let mut commands = Vec::new();
    let first = arguments.first().map_or(&b""[..], |first| base_name(&capture.bytes[first.clone()]));
    let runs_scripts =
        [&b"ssh"[..], b"su", b"watch", b"bash", b"sh", b"zsh", b"dash", b"script", b"sudo"].contains(&first);
    for (index, argument) in arguments.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &capture.bytes[arguments[before].clone()]);
        let reader = if runs_scripts || before.is_some_and(is_script) { Reader::Shell } else { Reader::Anyone };
        split_script(capture, argument.clone(), reader, DEEPEST_SCRIPT, &mut commands);
    }
    commands.push(Command { words: arguments, reader: Reader::Program });
    commands
}

/// The program's name without its folders.
pub(super) fn base_name(word: &[u8]) -> &[u8] {
    word.rsplit(|&byte| byte == b'/').next().unwrap_or(word)
}

/// Split at white space and at what ends a command, outside of quotes; then look into quoted words the same way.
fn split_script(capture: &Capture<'_>, text: Range<usize>, reader: Reader, depth: u8, commands: &mut Vec<Command>) {
    let bytes = capture.bytes;
    if depth == 0 || !bytes[text.clone()].iter().any(u8::is_ascii_whitespace) {
        return;
    }
    let mut words = Vec::new();
    let mut word_start = None;
    let mut at = text.start;
    // Once a quote of a kind has no end, no later one has: the search for it is done once.
    let mut unclosed = [false; 2];
    while at < text.end {
        let byte = bytes[at];
        match byte {
            b'\\' => {
                word_start.get_or_insert(at);
                at += 1;
            }
            b'"' | b'\'' => {
                word_start.get_or_insert(at);
                let kind = usize::from(byte == b'"');
                if !unclosed[kind] {
                    match closing(&bytes[at + 1..text.end], byte) {
                        Some(length) => at += length + 1,
                        None if capture.is_cut_at(text.end) => at = text.end - 1,
                        None => unclosed[kind] = true,
                    }
                }
            }
            _ if byte.is_ascii_whitespace() || b";|&()`".contains(&byte) => {
                words.extend(word_start.take().map(|start| start..at));
                if !matches!(byte, b' ' | b'\t') {
                    end_command(capture, &mut words, reader, depth, commands);
                }
            }
            _ => {
                word_start.get_or_insert(at);
            }
        }
        at += 1;
    }
    words.extend(word_start.map(|start| start..text.end));
    end_command(capture, &mut words, reader, depth, commands);
}

fn end_command(
    capture: &Capture<'_>,
    words: &mut Vec<Range<usize>>,
    reader: Reader,
    depth: u8,
    commands: &mut Vec<Command>,
) {
    if words.is_empty() {
        return;
    }
    let words: Vec<_> = std::mem::take(words).into_iter().map(|word| unquoted(capture, word)).collect();
    for word in &words {
        split_script(capture, word.clone(), reader, depth - 1, commands);
    }
    commands.push(Command { words, reader });
}

/// Without the quotes around the whole of it; the second one may be behind the cut.
pub(super) fn unquoted(capture: &Capture<'_>, word: Range<usize>) -> Range<usize> {
    match &capture.bytes[word.clone()] {
        [b'"', .., b'"'] | [b'\'', .., b'\''] => word.start + 1..word.end - 1,
        [b'"' | b'\'', ..] if capture.is_cut_at(word.end) => word.start + 1..word.end,
        _ => word,
    }
}

/// How many bytes before the quote that closes.
fn closing(rest: &[u8], quote: u8) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|&byte| {
        let closes = byte == quote && !escaped;
        escaped = quote == b'"' && byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(script: &str) -> Vec<Vec<String>> {
        let bytes = format!("-c\0{script}\0").into_bytes();
        let capture = Capture { bytes: &bytes, layout: Layout::Arguments, cut: false };
        let text = |word: &Range<usize>| String::from_utf8_lossy(&bytes[word.clone()]).into_owned();
        let of_scripts = |command: &&Command| command.reader == Reader::Shell;
        commands(&capture).iter().filter(of_scripts).map(|command| command.words.iter().map(text).collect()).collect()
    }

    #[test]
    fn a_script_is_split_where_a_shell_would() {
        assert_eq!(words_of("a 'b c' && d;e"), [vec!["b", "c"], vec!["a", "b c"], vec!["d"], vec!["e"]]);
    }

    #[test]
    fn an_apostrophe_without_its_pair_is_a_letter() {
        assert_eq!(words_of("don't run it"), [["don't", "run", "it"]]);
    }
}

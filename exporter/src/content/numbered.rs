//! Line numbers that a tool put before each line of a text it showed: `cat -n`, an agent's reading tool, a listing.

use super::unescape::Mapped;

/// The sign between number and line.
const SIGNS: &[&[u8]] = &[b"\t", "→".as_bytes(), b": ", b" | ", b"| ", "│".as_bytes(), b"|", b":"];

/// Without the numbers of lines that are counted up by one from a neighbour; a number that is alone is text.
pub(super) fn without_line_numbers(text: Mapped) -> Mapped {
    let mut starts = vec![0];
    starts.extend(text.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    let prefixes: Vec<Option<Prefix>> = starts.iter().map(|&start| prefix(&text.bytes[start..])).collect();
    let follows =
        |a: Option<&Option<Prefix>>, b: Option<&Option<Prefix>>| match (a.copied().flatten(), b.copied().flatten()) {
            (Some(a), Some(b)) => a.sign == b.sign && a.number.checked_add(1) == Some(b.number),
            _ => false,
        };
    let is_counted = |line: usize| {
        let this = prefixes.get(line);
        follows(this, prefixes.get(line + 1)) || line > 0 && follows(prefixes.get(line - 1), this)
    };
    let mut dropped: Vec<(usize, usize)> = Vec::new();
    for line in 0..starts.len() {
        let Some(prefix) = prefixes[line] else { continue };
        let is_alone = line == 0 || !follows(prefixes.get(line - 1), prefixes.get(line));
        // The first number may stand inside a line, behind what the text was put into.
        let before = (is_alone && line > 0).then(|| number_inside(&text.bytes[starts[line - 1]..starts[line]], prefix));
        if let Some((start, end)) = before.flatten() {
            dropped.push((starts[line - 1] + start, starts[line - 1] + end));
        } else if !is_counted(line) {
            continue;
        }
        dropped.push((starts[line], starts[line] + prefix.length));
    }
    if dropped.is_empty() {
        return text;
    }
    let mut out = Mapped::with_capacity(text.bytes.len());
    let mut copied = 0;
    for (start, end) in dropped.into_iter().chain(std::iter::once((text.bytes.len(), text.bytes.len()))) {
        // A number inside a line may stand right behind the one before that line.
        let start = start.max(copied);
        out.bytes.extend_from_slice(&text.bytes[copied..start]);
        out.from.extend_from_slice(&text.from[copied..start]);
        copied = end.max(copied);
    }
    out
}

/// Where the number before that of `next` stands, with its spaces and sign; the first such place.
fn number_inside(line: &[u8], next: Prefix) -> Option<(usize, usize)> {
    let number = [next.number.checked_sub(1)?.to_string().as_bytes(), SIGNS[next.sign]].concat();
    let start = line.windows(number.len()).position(|window| window == number)?;
    let spaces = line[..start].iter().rev().take(8).take_while(|&&byte| byte == b' ').count();
    let is_apart = spaces > 0 || start.checked_sub(1).is_some_and(|before| b"\"'`>".contains(&line[before]));
    is_apart.then_some((start - spaces, start + number.len()))
}

#[derive(Clone, Copy)]
struct Prefix {
    number: u32,
    sign: usize,
    length: usize,
}

fn prefix(line: &[u8]) -> Option<Prefix> {
    let spaces = line.iter().take(8).take_while(|&&byte| byte == b' ').count();
    let digits = line[spaces..].iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&line[spaces..spaces + digits]).ok()?.parse().ok()?;
    let rest = &line[spaces + digits..];
    let sign = SIGNS.iter().position(|sign| rest.starts_with(sign))?;
    Some(Prefix { number, sign, length: spaces + digits + SIGNS[sign].len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        String::from_utf8(without_line_numbers(Mapped::of(text.as_bytes())).bytes).expect("UTF-8")
    }

    #[test]
    fn numbers_that_count_lines_go_and_numbers_of_the_text_stay() {
        assert_eq!(stripped("     9\tfoo\n    10\tbar\n"), "foo\nbar\n");
        assert_eq!(stripped("1→a\n2→b\n3→\n"), "a\nb\n\n");
        assert_eq!(stripped("{\"text\":\"     1\ta\n     2\tb\"}"), "{\"text\":\"a\nb\"}");
        assert_eq!(stripped("12: a\n40: b\n"), "12: a\n40: b\n");
        assert_eq!(stripped("7 apples\n8 pears"), "7 apples\n8 pears");
    }

    #[test]
    fn what_is_left_keeps_its_place() {
        let text = without_line_numbers(Mapped::of(b"1\tab\n2\tcd"));
        assert_eq!(text.origin(3..5), 7..9);
    }
}

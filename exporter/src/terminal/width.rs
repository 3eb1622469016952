//! How many columns a text takes, and how to make it take fewer.

const ELLIPSIS: char = '…';

/// Columns of escaped text on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text in at most `limit` columns; what was cut shows as `…`.
#[must_use]
pub fn fit(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut room = limit.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            let fits = char_width(*c) <= room;
            room = room.saturating_sub(char_width(*c));
            fits
        })
        .collect();
    if limit > 0 {
        kept.push(ELLIPSIS);
    }
    kept
}

/// Two for what East Asian Width calls wide, emoji included, by ranges: a column too many shortens a line, no more.
fn char_width(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f000}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_left_alone_and_a_longer_one_ends_in_an_ellipsis() {
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(fit("abcde", 4), "abc…");
        assert_eq!(fit("数据文件", 5), "数据…");
        assert_eq!(fit("数据文件", 6), "数据…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("abc", 0), "");
    }
}

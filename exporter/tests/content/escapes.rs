//! The ways in which a text is written into another.

pub(crate) fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As Python's `json.dumps` has it: nothing but ASCII.
pub(crate) fn ascii_json(text: &str) -> String {
    let mut units = [0; 2];
    json(text)
        .chars()
        .map(|char| match char {
            ' '..='~' => char.to_string(),
            _ => char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        })
        .collect()
}

pub(crate) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

pub(crate) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

pub(crate) fn numbered(text: &str) -> String {
    text.split('\n').zip(1..).map(|(line, number)| format!("{number:6}\t{line}")).collect::<Vec<_>>().join("\n")
}

pub(crate) fn numbered_with_arrows(text: &str) -> String {
    text.split('\n').zip(118..).map(|(line, number)| format!("{number:6}→{line}")).collect::<Vec<_>>().join("\n")
}

pub(crate) fn indented(text: &str) -> String {
    text.split('\n').map(|line| format!("\t    {line}")).collect::<Vec<_>>().join("\r\n")
}

/// Words filled into lines of 60 bytes, each of them a comment.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_ascii_whitespace() {
        if lines.last().unwrap().len() + word.len() > 60 {
            lines.push(String::new());
        }
        let line = lines.last_mut().unwrap();
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n// ")
}

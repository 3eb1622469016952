//! What became of a request, by the rules of the OTLP specification.

use std::time::Duration;

/// The answer to one export request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend took it, some signals perhaps excepted (`partial_success`).
    Delivered {
        /// How many it refused; they are not sent again.
        rejected: u64,
        /// What it has to say about that; may come with nothing rejected.
        message: String,
    },
    /// Not now: send the same again.
    Retry {
        /// Not sooner than this, where the backend said so.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// Smaller requests may be taken.
    TooLarge {
        /// Why.
        reason: String,
    },
    /// Never: sending the same again would get the same answer.
    Refused {
        /// Why.
        reason: String,
    },
    /// Whoever sends is not let in. It says nothing about the signals: they are kept.
    Locked {
        /// Why.
        reason: String,
    },
    /// The backend does not take this kind of signal, or is no OTLP receiver.
    NotTaken {
        /// Why.
        reason: String,
    },
}

/// An outcome to come back to.
pub(super) fn retry(reason: impl Into<String>) -> Outcome {
    Outcome::Retry { after: None, reason: reason.into() }
}

/// Text from a backend, fit for a terminal: one line, no control characters, not endless.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 300;
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST + 1).collect();
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// An error with its causes, outermost first, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backends_text_cannot_drive_the_terminal_nor_flood_it() {
        assert_eq!(printable("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), 301);
    }
}

//! What a token opens: the questions about spans, or contents too. A token never opens contents unless it was made for that.

use super::token::Token;

/// The tokens of one server.
#[derive(Clone, Debug)]
pub struct Tokens {
    spans: Token,
    contents: Option<Token>,
}

/// Two tokens are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token for contents is the same as the other one, which would open contents to everybody who has that: give --content-token-file a file of its own"
)]
pub struct SameToken;

/// What a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// Everything but contents.
    Spans,
    /// Contents too.
    Contents,
}

impl Tokens {
    /// With one for contents, where they are served.
    ///
    /// # Errors
    /// Where both are the same.
    pub fn new(spans: Token, contents: Option<Token>) -> Result<Self, SameToken> {
        if contents.as_ref() == Some(&spans) { Err(SameToken) } else { Ok(Self { spans, contents }) }
    }

    /// The right of whoever sends this `Authorization` header; `None` of a stranger.
    pub(super) fn right_of(&self, header: &[u8]) -> Option<Right> {
        let opens_contents = self.contents.as_ref().is_some_and(|token| token.is_in(header));
        let opens_spans = self.spans.is_in(header);
        if opens_contents { Some(Right::Contents) } else { opens_spans.then_some(Right::Spans) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn only_the_token_for_contents_opens_contents() {
        let scratch = Scratch::new();
        let token = |name: &str| {
            let path = scratch.path().join(name);
            let token = Token::of_file(&path).unwrap();
            (token, format!("Bearer {}", std::fs::read_to_string(path).unwrap().trim()))
        };
        let ((spans, spans_header), (contents, contents_header)) = (token("spans"), token("contents"));
        let alone = Tokens::new(spans.clone(), None).unwrap();
        let both = Tokens::new(spans.clone(), Some(contents)).unwrap();
        for (header, of_alone, of_both) in [
            (spans_header.as_str(), Some(Right::Spans), Some(Right::Spans)),
            (&contents_header, None, Some(Right::Contents)),
            ("Bearer ", None, None),
            ("", None, None),
        ] {
            assert_eq!((alone.right_of(header.as_bytes()), both.right_of(header.as_bytes())), (of_alone, of_both));
        }
        assert_eq!(Tokens::new(spans.clone(), Some(spans)).unwrap_err(), SameToken);
    }
}

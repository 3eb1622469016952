//! The W3C `traceparent` value, read strictly: a value that is not one is ignored, never repaired.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

use crate::session::SpanRef;

/// A span that a program names, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The span.
    pub span: SpanRef,
    /// Its trace is recorded by whoever started it.
    pub sampled: bool,
}

/// The value is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent value (version-traceid-spanid-flags, lower-case hex)")]
pub struct MalformedTraceparent;

impl Traceparent {
    /// Read a value as it stands in the environment.
    ///
    /// # Errors
    /// Whatever the W3C recommendation calls invalid. A later version than 00 is read by its first four fields.
    pub fn parse(value: &[u8]) -> Result<Self, MalformedTraceparent> {
        let text = std::str::from_utf8(value).map_err(|_| MalformedTraceparent)?;
        let mut fields = text.splitn(5, '-');
        let mut field = |digits| fields.next().filter(|it| is_lower_hex(it, digits)).ok_or(MalformedTraceparent);
        let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let has_more = fields.next().is_some();
        if version == "ff" || (version == "00" && has_more) {
            return Err(MalformedTraceparent);
        }
        let trace_id = TraceId::from_hex(trace).map_err(|_| MalformedTraceparent)?;
        let span_id = SpanId::from_hex(span).map_err(|_| MalformedTraceparent)?;
        if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
            return Err(MalformedTraceparent);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| MalformedTraceparent)?;
        Ok(Self { span: SpanRef { trace_id, span_id }, sampled: TraceFlags::new(flags).is_sampled() })
    }
}

fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_values_are_read() {
        let sampled = Traceparent::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(sampled.span.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(sampled.span.span_id.to_string(), "b7ad6b7169203331");
        assert!(sampled.sampled);
        let random_flag_only = Traceparent::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02").unwrap();
        assert!(!random_flag_only.sampled);
        assert!(Traceparent::parse(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes").is_ok());
    }

    #[test]
    fn invalid_values_are_refused() {
        for value in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Traceparent::parse(value.as_bytes()), Err(MalformedTraceparent), "{value:?}");
        }
        assert_eq!(Traceparent::parse(&[0xff; 55]), Err(MalformedTraceparent));
    }
}

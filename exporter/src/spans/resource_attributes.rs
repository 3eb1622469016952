//! `OTEL_RESOURCE_ATTRIBUTES`, read as the OpenTelemetry specification says: all of it, or nothing.

/// Attributes that are taken from one value.
const COUNT_LIMIT: usize = 64;

/// `key1=value1,key2=value2`, values percent-encoded as in W3C Baggage.
///
/// `None` where any of it is malformed, too much, or not UTF-8: the specification has the whole value discarded.
pub(super) fn parse(value: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(value).ok()?;
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs: Option<Vec<_>> = pairs.take(COUNT_LIMIT + 1).map(pair).collect();
    pairs.filter(|pairs| pairs.len() <= COUNT_LIMIT)
}

fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let key = decode(key.trim())?;
    (!key.is_empty()).then_some((key, decode(value.trim())?))
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        decoded.extend(byte);
        rest = after;
    }
    String::from_utf8(decoded).ok().filter(|it| !it.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        let pairs = parse(text.as_bytes())?;
        Some(pairs.iter().map(|(key, value)| format!("{key}={value};")).collect())
    }

    #[test]
    fn values_are_percent_decoded() {
        let text = "service.name=my%20agent, deployment.environment.name = prod ,team=a%2Cb%3Dc,u=%C3%BC,empty=";
        let expected = "service.name=my agent;deployment.environment.name=prod;team=a,b=c;u=ü;empty=;";
        assert_eq!(parsed(text).as_deref(), Some(expected));
        assert_eq!(parsed("").as_deref(), Some(""));
        assert_eq!(parsed("a=1,").as_deref(), Some("a=1;"));
    }

    #[test]
    fn one_bad_pair_spoils_all() {
        for text in ["a=1,b", "=1", "a=%", "a=%2", "a=%zz", "a=%ff", "a=%00", "a=%\u{e9}9"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parse(b"a=\xff"), None);
        assert_eq!(parsed(&"a=1,".repeat(65)), None);
    }
}

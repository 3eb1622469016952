//! A DNS message (RFC 1035) to what is kept of it: the question and the addresses of the answer.
//!
//! The bytes are a stranger's: each length is checked, a compressed name may only point backwards and has at most 255
//! bytes, so the work is linear in the message, and nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DnsAnswer;

/// Addresses of an answer that are kept.
const ANSWERS_MAX: usize = 16;
/// RFC 1035, 2.3.4: a name with its length bytes.
const NAME_BYTES_MAX: usize = 255;
const HEADER_BYTES: usize = 12;
const CLASS_INTERNET: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// What a message travels over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A message is a datagram.
    Datagram,
    /// Two bytes of length come before a message, in the same call or in one before it.
    Stream,
}

/// What is kept of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) response_code: Option<u8>,
    pub(crate) name: String,
    pub(crate) query_type: u16,
    pub(crate) answers: Vec<DnsAnswer>,
}

/// The first message of a payload; `None` where it is no look-up. `cut`: the payload was longer than these bytes.
pub(crate) fn parse(payload: &[u8], transport: Transport, cut: bool) -> Option<Message> {
    let message = match transport {
        Transport::Datagram => payload,
        Transport::Stream => without_length(payload, cut),
    };
    let mut reader = Reader { message, at: 0 };
    let id = reader.u16()?;
    let flags = reader.u16()?;
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.at = HEADER_BYTES;
    let is_response = flags & 0x8000 != 0;
    let opcode = flags >> 11 & 0xf;
    // More than one question was never put into use: what has none or several is something else on this port.
    if opcode != 0 || questions != 1 || !is_response && answers != 0 {
        return None;
    }
    let name = reader.name()?;
    let query_type = reader.u16()?;
    let _class = reader.u16()?;
    Some(Message {
        id,
        response_code: is_response.then_some(flags.to_be_bytes()[1] & 0xf),
        name,
        query_type,
        answers: if is_response { reader.addresses(answers) } else { Vec::new() },
    })
}

/// Some read the two bytes and then the message, some both at once: the length itself tells.
fn without_length(payload: &[u8], cut: bool) -> &[u8] {
    let Some((length, message)) = payload.split_first_chunk::<2>() else { return payload };
    let length = usize::from(u16::from_be_bytes(*length));
    // Behind the first message there may be the next.
    let is_framed = length >= HEADER_BYTES && (length <= message.len() || cut);
    match (is_framed, message.get(..length)) {
        (true, Some(first)) => first,
        (true, None) => message,
        (false, _) => payload,
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let byte = *self.message.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.chunk()?))
    }

    fn chunk<const N: usize>(&mut self) -> Option<&[u8; N]> {
        let chunk = self.message.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(chunk)
    }

    /// The name that begins here; the reader is behind it afterwards.
    fn name(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut used = 0;
        // A pointer leads to before where the name it is in began: there is an end to it.
        let mut earliest = self.at;
        let mut behind = None;
        loop {
            match self.u8()? {
                0 => break,
                length @ 1..=63 => {
                    let label = self.message.get(self.at..self.at + usize::from(length))?;
                    used += label.len() + 1;
                    if used >= NAME_BYTES_MAX {
                        return None;
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    push_escaped(&mut text, label);
                    self.at += label.len();
                }
                high @ 192.. => {
                    let target = usize::from(u16::from_be_bytes([high & 0x3f, self.u8()?]));
                    if target >= earliest {
                        return None;
                    }
                    behind = behind.or(Some(self.at));
                    (earliest, self.at) = (target, target);
                }
                64..=191 => return None,
            }
        }
        self.at = behind.unwrap_or(self.at);
        Some(text)
    }

    /// Steps over a name without following it.
    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.u8()? {
                0 => return Some(()),
                length @ 1..=63 => self.at += usize::from(length),
                192.. => return self.u8().map(drop),
                64..=191 => return None,
            }
        }
    }

    /// The addresses among the next `records`, as far as they are there.
    fn addresses(&mut self, records: u16) -> Vec<DnsAnswer> {
        let mut answers = Vec::new();
        for _ in 0..records {
            match self.record() {
                Some(Some(answer)) => answers.push(answer),
                Some(None) => {}
                None => break,
            }
            if answers.len() == ANSWERS_MAX {
                break;
            }
        }
        answers
    }

    /// One record: its address where it has one.
    fn record(&mut self) -> Option<Option<DnsAnswer>> {
        self.skip_name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        let ttl = u32::from_be_bytes(*self.chunk()?);
        let length = usize::from(self.u16()?);
        let data = self.message.get(self.at..self.at + length)?;
        self.at += length;
        let address = match (kind, class) {
            (TYPE_A, CLASS_INTERNET) => <[u8; 4]>::try_from(data).ok().map(|it| IpAddr::V4(Ipv4Addr::from(it))),
            (TYPE_AAAA, CLASS_INTERNET) => <[u8; 16]>::try_from(data).ok().map(|it| IpAddr::V6(Ipv6Addr::from(it))),
            _ => None,
        };
        // RFC 2181, 8: a time with the highest bit set is none.
        let ttl_seconds = if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl };
        Some(address.map(|address| DnsAnswer { address, ttl_seconds }))
    }
}

/// RFC 1035, 5.1: a dot in a label and what cannot be shown are `\DDD`.
fn push_escaped(text: &mut String, label: &[u8]) {
    for chunk in label.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character.is_whitespace() || matches!(character, '.' | '\\') {
                let mut bytes = [0; 4];
                character.encode_utf8(&mut bytes).bytes().for_each(|byte| push_number(text, byte));
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| push_number(text, *byte));
    }
}

fn push_number(text: &mut String, byte: u8) {
    text.push('\\');
    for digit in [byte / 100, byte / 10 % 10, byte % 10] {
        text.push(char::from(b'0' + digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: u16 = 0x0100;
    const ANSWER: u16 = 0x8180;
    /// `example.org`, as the question of every message here.
    const NAME: &[u8] = b"\x07example\x03org\0";

    fn message(flags: u16, counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = 0xabcd_u16.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
        rest.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        let parts = [name, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data];
        parts.concat()
    }

    fn answer(records: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(records.len()).unwrap();
        message(ANSWER, [1, count, 0, 0], &[NAME, &[0, 1, 0, 1], &records.concat()])
    }

    fn datagram(payload: &[u8]) -> Option<Message> {
        parse(payload, Transport::Datagram, false)
    }

    fn name_of(name: &[u8]) -> Option<String> {
        datagram(&message(QUERY, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]])).map(|message| message.name)
    }

    #[test]
    fn a_query_has_its_name_and_type() {
        let got = datagram(&message(QUERY, [1, 0, 0, 1], &[NAME, &[0, 28, 0, 1], b"\0\0\x29"])).unwrap();
        assert_eq!((got.id, got.response_code, got.query_type), (0xabcd, None, 28));
        assert_eq!((got.name.as_str(), got.answers.len()), ("example.org", 0));
    }

    #[test]
    fn addresses_behind_an_alias_are_the_answer() {
        let got = datagram(&answer(&[
            record(b"\xc0\x0c", 5, 9, b"\x03www\xc0\x0c"),
            record(b"\xc0\x29", TYPE_A, 60, &[192, 0, 2, 7]),
            record(b"\x03www\xc0\x0c", TYPE_AAAA, 1 << 31, &[0xfe; 16]),
            record(b"\xc0\x29", TYPE_A, 60, &[1, 2, 3]),
        ]))
        .unwrap();
        let expected = [
            DnsAnswer { address: "192.0.2.7".parse().unwrap(), ttl_seconds: 60 },
            DnsAnswer { address: IpAddr::V6([0xfe; 16].into()), ttl_seconds: 0 },
        ];
        assert_eq!((got.response_code, got.answers.as_slice()), (Some(0), expected.as_slice()));
    }

    #[test]
    fn a_refusal_has_its_code() {
        let got = datagram(&message(ANSWER | 3, [1, 0, 0, 0], &[NAME, &[0, 1, 0, 1]])).unwrap();
        assert_eq!(got.response_code, Some(3));
    }

    #[test]
    fn sixteen_addresses_are_kept_of_many() {
        let records: Vec<_> = (0..100).map(|last| record(b"\xc0\x0c", TYPE_A, 1, &[10, 0, 0, last])).collect();
        assert_eq!(datagram(&answer(&records)).unwrap().answers.len(), 16);
    }

    #[test]
    fn a_message_cut_anywhere_gives_the_addresses_that_are_whole() {
        let whole = answer(&[1, 2, 3].map(|last| record(b"\xc0\x0c", TYPE_A, 1, &[10, 0, 0, last])));
        let question = HEADER_BYTES + NAME.len() + 4;
        for length in 0..whole.len() {
            let got = parse(&whole[..length], Transport::Datagram, true).map(|message| message.answers.len());
            assert_eq!(got, (length >= question).then(|| (length - question) / 16), "{length}");
        }
    }

    #[test]
    fn over_a_stream_the_length_is_there_or_was_read_before() {
        let bare = message(QUERY, [1, 0, 0, 0], &[NAME, &[0, 1, 0, 1]]);
        let framed = [&u16::try_from(bare.len()).unwrap().to_be_bytes(), bare.as_slice()].concat();
        let two = [framed.as_slice(), framed.as_slice()].concat();
        for payload in [bare.as_slice(), &framed, &two] {
            assert_eq!(parse(payload, Transport::Stream, false).unwrap().name, "example.org");
        }
        assert_eq!(parse(&framed[..framed.len() - 1], Transport::Stream, true), None);
        assert_eq!(parse(&framed[..2], Transport::Stream, false), None);
    }

    #[test]
    fn what_is_no_look_up_is_nothing() {
        for payload in [
            b"".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            message(QUERY, [0, 0, 0, 0], &[]),
            message(QUERY, [2, 0, 0, 0], &[NAME, &[0, 1, 0, 1], NAME, &[0, 1, 0, 1]]),
            message(QUERY, [1, 1, 0, 0], &[NAME, &[0, 1, 0, 1]]),
            message(0x2800, [1, 0, 0, 0], &[NAME, &[0, 6, 0, 1]]),
        ] {
            assert_eq!(datagram(&payload), None, "{payload:x?}");
        }
    }

    #[test]
    fn names_that_lead_nowhere_are_refused() {
        for hostile in [
            // To itself, forwards, to each other, and into the middle of what points there.
            b"\xc0\x0c".as_slice(),
            b"\xc0\x20",
            b"\xff\xff",
            b"\x01a\xc0\x0c",
            b"\x01a\xc0\x0e",
            // Lengths that are none, and past the end.
            b"\x40a\0",
            b"\x80a\0",
            b"\x3fa\0",
            b"\xc0",
        ] {
            assert_eq!(name_of(hostile), None, "{hostile:x?}");
        }
    }

    #[test]
    fn a_name_has_255_bytes_at_most() {
        let label = [b"\x3f".as_slice(), &[b'a'; 63]].concat();
        let three = label.repeat(3);
        let name = |last: u8| [&three, &[last][..], &vec![b'b'; usize::from(last)], b"\0"].concat();
        assert_eq!(name_of(&name(61)).map(|name| name.len()), Some(253));
        assert_eq!(name_of(&name(62)), None);
        // The same by pointers: each 64 bytes more than the one before it.
        let mut rest = label.clone();
        rest.push(0);
        let mut last = HEADER_BYTES;
        for _ in 0..4 {
            let at = HEADER_BYTES + rest.len();
            rest.extend_from_slice(&label);
            rest.extend(u16::try_from(0xc000 | last).unwrap().to_be_bytes());
            last = at;
        }
        let payload = message(QUERY, [1, 0, 0, 0], &[&rest]);
        assert_eq!(Reader { message: &payload, at: last }.name(), None);
        assert!(Reader { message: &payload, at: HEADER_BYTES + 65 }.name().is_some());
    }

    #[test]
    fn what_cannot_be_shown_is_escaped() {
        assert_eq!(
            name_of(b"\x05a.b\\c\x03\xff\x1b \x03\xc3\xbc!\0").as_deref(),
            Some("a\\046b\\092c.\\255\\027\\032.ü!")
        );
        assert_eq!(name_of(b"\0").as_deref(), Some(""));
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        let mut state = 1_u64;
        let seed = answer(&[record(b"\xc0\x0c", TYPE_A, 1, &[1, 2, 3, 4])]);
        for round in 0..20_000_usize {
            let mut payload = seed.clone();
            for _ in 0..1 + round % 8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = usize::from(state.to_be_bytes()[1]) % payload.len();
                payload[place] = state.to_be_bytes()[0];
            }
            payload.truncate(payload.len() - round % 5);
            for transport in [Transport::Datagram, Transport::Stream] {
                if let Some(message) = parse(&payload, transport, round % 2 == 0) {
                    assert!(message.answers.len() <= ANSWERS_MAX && message.name.len() <= 4 * NAME_BYTES_MAX);
                }
            }
        }
    }
}

//! Made-up secrets in every form that contents have: none leaves; and how often something else is taken for one.

use agentsight::capture::redact::Redactor;
use agentsight::content::{Assembly, Chunk, Content, Ending, Order, Redacted};

use crate::documents::repository;
use crate::escapes;

/// Made up here. `{s}` stands for each of them in turn.
const SECRETS: &[&str] = &[
    "ghp_a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7G",
    "sk-ant-api03-Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7Gh2J",
    "hunter2-Korrekt!Pferd9",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
];

/// Where files, pipes, requests and answers have them.
const FORMS: &[&str] = &[
    // Files.
    "A=1\nDB_PASSWORD={s}\nB=2\n",
    "export API_TOKEN='{s}'\n",
    "database:\n  user: app\n  password: {s}\n  port: 5432\n",
    "database:\n  password: \"{s}\"\n",
    "- name: x\n  secret: {s}\n",
    "[db]\nuser = app\npassword = {s}\n",
    "[registry]\ntoken = \"{s}\"\n",
    "{\"user\": \"app\", \"password\": \"{s}\", \"port\": 5432}\n",
    "{\n  \"api_key\": \"{s}\"\n}\n",
    "{\"accessToken\":\"{s}\",\"expires\":3600}",
    "client = Client(api_key=\"{s}\", retries=3)\n",
    "const client = new Client({ apiKey: \"{s}\" });\n",
    "    let password = \"{s}\";\n",
    "jdbc.url=jdbc:postgresql://app:{s}@db:5432/x\n",
    "//registry.npmjs.org/:_authToken={s}\n",
    "-----BEGIN PRIVATE KEY-----\n{s}\n{s}\n-----END PRIVATE KEY-----\n",
    "#!/bin/sh\nmysql --user=app --password={s} db < dump.sql\n",
    // Pipes, and what /proc says of arguments and environments.
    "curl\0-H\0Authorization: Bearer {s}\0https://x\0",
    "HOME=/root\0API_KEY={s}\0PATH=/bin\0",
    "app --token={s} --verbose\n",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"params\":{\"token\":\"{s}\"}}\n",
    // Headers.
    "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {s}\r\nAccept: */*\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: {s}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nPrivate-Token:{s}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nSet-Cookie: session={s}; Path=/; HttpOnly\r\n\r\n",
    "GET / HTTP/1.1\r\nCookie: a=b; session={s}\r\n\r\n",
    "> Authorization: token {s}\n> Accept: */*\n",
    "GET /x?access_token={s}&page=2 HTTP/1.1\r\nHost: x\r\n\r\n",
    // Bodies.
    "POST / HTTP/1.1\r\nHost: x\r\n\r\nuser=app&password={s}&folder=7",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\npassword={s}&user=app",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\n{\"password\":\"{s}\"}",
    "data: {\"delta\": \"export TOKEN={s}\"}\n\n",
];

type Writing = fn(&str) -> String;

/// The forms that another text has when it is written into this.
const WRITINGS: &[(&str, Writing)] = &[
    ("as it is", str::to_owned),
    ("in JSON", |text| format!("{{\"content\":\"{}\"}}", escapes::json(text))),
    ("in JSON in JSON", |text| {
        format!("{{\"body\":\"{}\"}}", escapes::json(&format!("{{\"x\":\"{}\"}}", escapes::json(text))))
    }),
    ("URL-encoded", |text| format!("POST / HTTP/1.1\r\n\r\na=1&content={}&b=2", escapes::percent(text))),
    ("in HTML", |text| format!("<pre>{}</pre>", escapes::html(text))),
];

fn in_chunks(bytes: &[u8], size: usize, redactor: &Redactor) -> Redacted {
    let mut assembly = Assembly::new(1 << 20);
    for (sequence, part) in bytes.chunks(size).enumerate() {
        let offset = (sequence * size) as u64;
        let call = offset..offset + part.len() as u64;
        assembly.push(Chunk { sequence: sequence as u64, call, offset, bytes: part.to_vec(), missing: None }).unwrap();
    }
    assembly.finish(Order::Stream, Ending::Complete).redact(redactor)
}

fn text_of(redacted: &Redacted) -> String {
    redacted.runs().iter().map(|run| String::from_utf8_lossy(&run.bytes)).collect()
}

/// What says the secret itself: after the prefix that stays readable.
fn telling(secret: &str) -> &str {
    &secret[secret.len() - 12..]
}

#[test]
fn no_secret_leaves_in_any_form() {
    let redactor = Redactor::new().unwrap();
    let mut leaked = Vec::new();
    let mut cases = 0;
    for form in FORMS {
        for (name, write) in WRITINGS {
            for secret in SECRETS {
                let text = write(&form.replace("{s}", secret));
                let shown = text_of(&in_chunks(text.as_bytes(), 7, &redactor));
                cases += 1;
                assert_eq!(shown.len(), text.len(), "{text}");
                if [telling(secret), &escapes::percent(telling(secret))].iter().any(|secret| shown.contains(*secret)) {
                    leaked.push(format!("{name}: {text}\n   {shown}"));
                }
            }
        }
    }
    println!("{cases} secrets, {} left", leaked.len());
    assert!(cases >= 500 && leaked.is_empty(), "{} of {cases} left:\n{}", leaked.len(), leaked.join("\n"));
}

#[test]
fn how_contents_are_cut_into_chunks_changes_nothing() {
    let redactor = Redactor::new().unwrap();
    for form in FORMS {
        let text = form.replace("{s}", SECRETS[0]);
        let whole = text_of(&Content::whole(text.as_bytes()).redact(&redactor));
        for size in [1, 2, 3, 5, 8, 13, 21] {
            assert_eq!(text_of(&in_chunks(text.as_bytes(), size, &redactor)), whole, "{size}: {text}");
        }
    }
}

/// This repository has corpora of made-up secrets; what is redacted in those files is right.
const FULL_OF_SECRETS: &[&str] =
    &["redact", "content/secrets.rs", "redaction.rs", "tests/trust.rs", "content/matching.rs"];

#[test]
fn ordinary_source_code_is_hardly_touched() {
    let redactor = Redactor::new().unwrap();
    let (mut bytes, mut lines, mut taken, mut places) = (0, 0, 0, Vec::new());
    for (path, text) in repository() {
        if FULL_OF_SECRETS.iter().any(|part| path.contains(part)) {
            continue;
        }
        let redacted = Content::whole(text.as_bytes()).redact(&redactor);
        bytes += text.len();
        lines += text.lines().count();
        for range in redacted.redactions() {
            taken += range.end - range.start;
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            let start = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
            let end = text[range.end..].find('\n').map_or(text.len(), |end| range.end + end);
            places.push(format!("{path}: {} >>{}<<", &text[start..end], &text[range]));
        }
    }
    println!("{}", places.join("\n"));
    let per_10_000 = places.len() as f64 * 10_000.0 / lines as f64;
    println!("{} places in {lines} lines, {taken} of {bytes} bytes: {per_10_000:.1} in 10,000 lines", places.len());
    assert!(per_10_000 < 20.0, "{per_10_000} in 10,000 lines");
}

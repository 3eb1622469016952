//! Questions over HTTP: what the document says is what the server does, nobody asks without the token, and Jaeger's API
//! answers as a real Jaeger does on the same spans.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::difference::difference;
use agentsight_tests::http::{encoded, get};
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::server::Server;
use agentsight_tests::store::put_content;
use serde_json::{Value, json};

const SCRIPT: &str = "expr 1 + 2; cat /etc/hosts | wc -l; /bin/false; exit 3";

fn traced(options: &[&str]) -> Agentsight {
    let agentsight = Agentsight::as_root();
    let run = ["run", "--no-tree", "--no-self-telemetry"];
    let program = ["--", "sh", "-c", SCRIPT];
    let _ = agentsight.run(run.iter().chain(options).chain(&program)).expect_code(3);
    agentsight
}

#[test]
fn every_path_of_the_document_answers_and_its_examples_do() {
    let agentsight = traced(&[]);
    let server = Server::start_with_contents(&agentsight);
    let get = |path: &str| server.get_by(server.content_token(), path);
    let (code, document) = get("/api/v1/openapi.json");
    assert_eq!(code, 200);
    let (_, spans) = get("/api/v1/spans?exe=wc");
    let span = &spans["spans"][0];
    let text = |name: &str| span[name].as_str().unwrap_or_else(|| panic!("no {name} in {spans}")).to_owned();
    let layout = json!({"runs": [[0, 5], [9, 1]], "holes": [{"range": {"start": 5, "end": 9}, "cause": "ring_full"}],
        "redacted": [{"start": 1, "end": 3}], "lost_chunks": 1, "complete": false});
    put_content(&agentsight, (&text("trace_id"), &text("span_id")), 1, b"a**de\xff", &layout);
    let paths = document["paths"].as_object().expect("a document has paths");
    assert!(paths.len() >= 9, "{paths:?}");
    for (path, methods) in paths {
        assert_eq!(
            methods.as_object().map(|methods| methods.keys().collect::<Vec<_>>()),
            Some(vec![&"get".to_owned()])
        );
        let filled = path
            .replace("{session}", &text("session_id"))
            .replace("{trace}", &text("trace_id"))
            .replace("{span}", &text("span_id"));
        let (code, answer) = get(&filled);
        assert_eq!(code, 200, "{filled}: {answer}");
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_fits(&answer, schema, &document, path);
        for (name, parameter) in parameters(methods) {
            // What the document says of a parameter is a question that is understood.
            for example in examples(parameter, &document) {
                let example: String = example.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let (code, answer) = get(&format!("{filled}?{name}={example}"));
                assert_eq!(code, 200, "{path}?{name}={example}: {answer}");
            }
        }
        let (code, refused) = get(&format!("{filled}?no-such-parameter=1"));
        if path != "/api/v1/openapi.json" {
            assert_eq!((code, refused["error"]["reason"].as_str()), (400, Some("bad_parameter")), "{path}");
        }
    }
}

fn parameters(methods: &Value) -> Vec<(&str, &Value)> {
    let all = methods["get"]["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|one| one["in"] == "query").filter_map(|one| Some((one["name"].as_str()?, one))).collect()
}

/// Values that a schema, or an example, names.
fn examples(parameter: &Value, document: &Value) -> Vec<String> {
    let mut schema = resolved(&parameter["schema"], document);
    if schema["type"] == "array" {
        schema = resolved(&schema["items"], document);
    }
    let mut values: Vec<&Value> = Vec::new();
    for given in [&parameter["example"], &schema["enum"], &schema["minimum"], &schema["maximum"], &schema["default"]] {
        match given {
            Value::Null => {}
            Value::Array(list) => values.extend(list),
            one => values.push(one),
        }
    }
    values.into_iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

fn resolved<'d>(schema: &'d Value, document: &'d Value) -> &'d Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or_else(|| panic!("the document has no {pointer}")),
        None => schema,
    }
}

/// As much of JSON Schema as the document uses; a property that it does not name is a fault of it too.
#[track_caller]
fn assert_fits(value: &Value, schema: &Value, document: &Value, place: &str) {
    let schema = resolved(schema, document);
    if value.is_null() {
        return assert_eq!(schema["nullable"], true, "{place} is null");
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{place} is no object: {value}"));
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(object.contains_key(name), "{place} has no {name}: {value}");
            }
            let Some(properties) = schema["properties"].as_object() else { return };
            for (name, value) in object {
                let property = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not in the document"));
                assert_fits(value, property, document, &format!("{place}.{name}"));
            }
        }
        Some("array") => {
            for value in value.as_array().unwrap_or_else(|| panic!("{place} is no list: {value}")) {
                assert_fits(value, &schema["items"], document, &format!("{place}[]"));
            }
        }
        Some("string") => {
            let text = value.as_str().unwrap_or_else(|| panic!("{place} is no string: {value}"));
            let words = schema["enum"].as_array();
            assert!(words.is_none_or(|words| words.contains(value)), "{place} is {text:?}");
            if let Some(pattern) = schema["pattern"].as_str() {
                assert!(regex::Regex::new(pattern).expect("it is a pattern").is_match(text), "{place} is {text:?}");
            }
        }
        Some("integer") => assert!(value.is_i64() || value.is_u64(), "{place} is {value}"),
        Some("number") => assert!(value.is_number(), "{place} is {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place} is {value}"),
        other => panic!("{place} has a schema of type {other:?}"),
    }
}

#[test]
fn nobody_asks_without_the_token_and_nothing_can_be_changed() {
    let agentsight = traced(&[]);
    let server = Server::start(&agentsight);
    let token_file = fs::metadata(agentsight.directory().join("api-token")).expect("it was made");
    assert_eq!(token_file.mode() & 0o777, 0o600);
    let send = |method: &str, path: &str, authorization: &str| {
        server.send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n"))
    };
    for wrong in ["", "Authorization: Bearer x\r\n", "Authorization: Basic eDp5\r\n", "Authorization: Bearer \r\n"] {
        for path in ["/api/v1/sessions", "/api/v3/services", "/api/services", "/api/nothing", "/"] {
            let (code, head, body) = send("GET", path, wrong);
            assert_eq!(code, 401, "{path} {wrong:?}: {body}");
            assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
        }
    }
    let right = format!("Authorization: Bearer {}\r\n", server.token());
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        for path in ["/api/v1/sessions", "/api/v1/spans", "/api/v1/openapi.json", "/api/v3/services", "/api/traces"] {
            let with_body = format!("{right}Content-Type: application/json\r\nContent-Length: 2\r\n");
            let (code, head, body) = server
                .send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{with_body}\r\n{{}}"));
            assert_eq!(code, 405, "{method} {path}");
            assert!(head.to_lowercase().contains("allow: get, head"), "{method} {path}: {head}");
            let body: Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{method} {path}: {error}: {body}"));
            assert!(body.to_string().contains("read-only"), "{method} {path}: {body}");
        }
    }
    assert_eq!(send("GET", "/api/v1/sessions", &right).0, 200);
}

/// What somebody types who wants to get elsewhere: into SQL, a file, a shell, a page, past the end of something.
const TRICKS: [&str; 16] = [
    "' OR 1=1 --",
    "1; DROP TABLE span; --",
    "' UNION SELECT sql FROM sqlite_master --",
    "\" OR \"\"=\"",
    "%' ESCAPE '",
    "../../../../etc/passwd",
    "/etc/passwd\u{0}.json",
    "file:///etc/passwd?mode=rw",
    "$(id)`id`|id",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}%n%s",
    "-9223372036854775809",
    "NaN",
    "\u{202e}\u{feff}\u{d7ff}",
    "((((((((((a*)*)*)*)*)*)*)*)*)*)*b",
    "[[:alpha:]-\\]{1,99999999}",
];

#[test]
fn no_trick_in_any_parameter_or_path_gets_elsewhere() {
    let agentsight = traced(&[]);
    let server = Server::start_with_contents(&agentsight);
    let everything = |server: &Server| server.get("/api/v1/spans?limit=10000").1;
    let before = everything(&server);
    let (_, document) = server.get("/api/v1/openapi.json");
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        let id = "0123456789abcdef0123456789abcdef";
        let filled = path.replace("{session}", id).replace("{trace}", id).replace("{span}", &id[..16]);
        for trick in TRICKS {
            let said = encoded(trick);
            let mut asked: Vec<String> =
                parameters(methods).iter().map(|(name, _)| format!("{filled}?{name}={said}")).collect();
            asked.push(format!("{filled}?{said}={said}"));
            asked.extend(["session", "trace", "span"].iter().filter(|name| path.contains(*name)).map(|name| {
                let other = path.replace(&format!("{{{name}}}"), &said);
                other.replace("{session}", id).replace("{trace}", id).replace("{span}", &id[..16])
            }));
            for asked in asked {
                let (code, answer) = server.get_by(server.content_token(), &asked);
                assert!([200, 400, 404, 422].contains(&code), "{asked} ({trick}): {code} {answer}");
                let told = answer.to_string();
                assert!(!told.contains("root:") && !told.contains("CREATE TABLE"), "{asked} ({trick}): {told}");
            }
        }
    }
    for path in [
        "/api/traces?service=",
        "/api/services/",
        "/api/operations?service=",
        "/api/v3/operations?service=",
        "/api/traces/",
        "/api/v3/traces/",
    ] {
        for trick in TRICKS {
            let (code, answer) = server.get(&format!("{path}{}", encoded(trick)));
            assert!([200, 400, 404, 422].contains(&code), "{path} {trick}: {code} {answer}");
        }
    }
    assert_eq!(everything(&server), before, "what is there has not changed");
}

#[test]
fn malformed_and_huge_questions_get_an_answer_that_is_no_fault_of_the_server() {
    let agentsight = traced(&[]);
    let server = Server::start(&agentsight);
    let long = "a".repeat(20_000);
    let many = "pid=1&".repeat(1_000);
    for (path, wanted) in [
        ("/api/v1/spans?exe=%27%20OR%201%3D1%20--", 200),
        ("/api/v1/spans?path=%2Fetc%2F..%2F..%2Fetc%2Fpasswd%27%3B%20DROP%20TABLE%20span%3B--", 200),
        ("/api/v1/spans?attribute=a%00b%3D%27", 200),
        ("/api/v1/spans?pid=99999999999999999999", 400),
        ("/api/v1/spans?since=%ff%fe", 400),
        ("/api/v1/spans?limit=10001", 400),
        ("/api/v1/spans?limit=1&limit=2", 400),
        ("/api/v1/spans?cursor=ffffffffffffffffffffffffffffffff", 200),
        ("/api/v1/spans?path=%5B", 400),
        (&format!("/api/v1/spans?path={long}"), 400),
        (&format!("/api/v1/spans?{many}"), 400),
        ("/api/v1/traces/../../../etc/passwd", 404),
        ("/api/v1/traces/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 400),
        ("/api/v1/traces/00000000000000000000000000000000", 404),
        ("/api/v1/traces/0123456789abcdef0123456789abcdef", 404),
        ("/api/v1/spans/x/y/why", 400),
        ("/api/traces?service=a&limit=x", 400),
        ("/api/traces?service=a&tags=%7B", 400),
        ("/api/traces/zz", 400),
        ("/api/v3/traces", 400),
        ("/api/v3/traces?query.start_time_min=x&query.start_time_max=y", 400),
        ("/api/dependencies?endTs=18446744073709551615&lookback=18446744073709551615", 200),
    ] {
        let (code, answer) = server.get(path);
        assert_eq!(code, wanted, "{}: {answer}", &path[..path.len().min(100)]);
    }
    let (code, _, _) = server.send(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)));
    assert!((400..500).contains(&code), "{code}");
    let (code, _, _) = server.send("this is no HTTP\r\n\r\n");
    assert_eq!(code, 400);
    let (_, all) = server.get("/api/v1/spans?action=exec");
    assert_eq!(all["spans"].as_array().map(Vec::len), Some(5), "the table is still there: {all}");
}

#[test]
fn jaegers_api_answers_as_a_real_jaeger_does_on_the_same_spans() {
    let jaeger = Jaeger::start();
    let agentsight = traced(&["--endpoint", &jaeger.http_endpoint(), "--protocol", "http/protobuf"]);
    let server = Server::start(&agentsight);
    let (_, sessions) = server.get("/api/v1/sessions");
    let trace = sessions["sessions"][0]["trace_id"].as_str().expect("a session has a trace").to_owned();
    let _ = jaeger.trace(&trace, 5);
    let service = "unknown_service%3Adash";
    let range =
        "query.start_time_min=2020-01-01T00:00:00Z&query.start_time_max=2099-01-01T00:00:00Z&query.num_traces=10";
    let tags = "%7B%22process.executable.name%22%3A%22wc%22%7D";
    // Not `tag=error:true`: Jaeger's memory does not look at a span's status for that, as its other storages do and we do.
    for path in [
        "/api/services".to_owned(),
        "/api/v3/services".to_owned(),
        format!("/api/services/{service}/operations"),
        format!("/api/operations?service={service}"),
        format!("/api/operations?service={service}&spanKind=internal"),
        format!("/api/operations?service={service}&spanKind=server"),
        format!("/api/v3/operations?service={service}"),
        format!("/api/traces/{trace}"),
        format!("/api/v3/traces/{trace}"),
        format!("/api/traces?service={service}"),
        format!("/api/traces?service={service}&tags={tags}"),
        format!("/api/traces?service={service}&operation=false"),
        format!("/api/traces?service={service}&minDuration=1h"),
        "/api/traces?service=nobody".to_owned(),
        format!("/api/traces?traceID={trace}"),
        format!("/api/v3/traces?query.service_name={service}&{range}"),
        format!("/api/v3/traces?query.service_name=nobody&{range}"),
        "/api/traces/0123456789abcdef0123456789abcdef".to_owned(),
        "/api/v3/traces/0123456789abcdef0123456789abcdef".to_owned(),
        "/api/traces".to_owned(),
        "/api/operations".to_owned(),
        "/api/dependencies".to_owned(),
    ] {
        let (code, ours) = server.get(&path);
        // Jaeger may need a moment until a span that it took is found.
        let theirs = wait_for("Jaeger", Duration::from_secs(20), || {
            let (theirs, body) = get(jaeger.query_port(), &path)?;
            let body: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
            Some((theirs, body))
        });
        assert_eq!(code, theirs.0, "{path}: we say {ours}, Jaeger {}", theirs.1);
        if code == 200 {
            let (ours, theirs) = (in_order(one_by_one(ours)), in_order(one_by_one(theirs.1)));
            assert!(ours == theirs, "{path}: {}", difference(&ours, &theirs, ""));
        }
    }
}

/// OTLP with a group for each span: a real Jaeger groups spans as they came, in one request or another.
fn one_by_one(mut answer: Value) -> Value {
    let Some(groups) = answer["result"]["resourceSpans"].as_array() else { return answer };
    let mut single = Vec::new();
    for group in groups {
        for scope in group["scopeSpans"].as_array().into_iter().flatten() {
            let spans = scope["spans"].as_array().into_iter().flatten();
            single.extend(spans.map(|span| serde_json::json!([group["resource"], scope["scope"], span])));
        }
    }
    answer["result"]["resourceSpans"] = single.into();
    answer
}

/// Lists in an order of their own: neither promises one.
fn in_order(value: Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(in_order).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(object) => object.into_iter().map(|(name, value)| (name, in_order(value))).collect(),
        other => other,
    }
}

//! The configurations for vendors and SIEMs, and the local one: each starts, and a trace goes through.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::otelcol::{Otelcol, Settings};
use agentsight_tests::receiver::Receiver;
use serde_json::{Value, json};

use crate::others;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_vendor_gets_the_trace_by_http() {
    let backend = Receiver::start();
    let environment = [("VENDOR_OTLP_ENDPOINT", &*backend.endpoint()), ("VENDOR_OTLP_HEADERS", "{x-key: tulip}")];
    assert_passes(Settings::shipped("vendor-otlp"), &environment, &[&backend]);
}

#[test]
fn a_vendor_gets_the_headers_that_the_environment_names() {
    let head = first_request(|endpoint| vec![("VENDOR_OTLP_ENDPOINT", endpoint.to_owned())]);
    assert!(head.starts_with("post /v1/traces ") && head.contains("x-honeycomb-team: tulip"), "{head}");
    assert!(head.contains("x-honeycomb-dataset: agents"), "{head}");
}

/// As Splunk Observability Cloud has it.
#[test]
fn a_vendor_whose_traces_have_an_address_of_their_own_gets_them_there() {
    let head = first_request(|endpoint| {
        let traces = format!("{endpoint}/v2/trace/otlp");
        vec![("VENDOR_OTLP_ENDPOINT", endpoint.to_owned()), ("VENDOR_OTLP_TRACES_ENDPOINT", traces)]
    });
    assert!(head.starts_with("post /v2/trace/otlp ") && head.contains("x-honeycomb-team: tulip"), "{head}");
}

/// What a vendor is first sent, up to its body, in small letters; `addresses` are the settings that say where it is.
#[track_caller]
fn first_request(addresses: impl FnOnce(&str) -> Vec<(&'static str, String)>) -> String {
    let agentsight = Agentsight::without_rights();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    let addresses = addresses(&format!("http://{}", listener.local_addr().expect("a listener has an address")));
    let headers = "{x-honeycomb-team: tulip, x-honeycomb-dataset: agents}";
    let mut environment: Vec<(&str, &str)> = addresses.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.push(("VENDOR_OTLP_HEADERS", headers));
    let collector = Otelcol::start(Settings::shipped("vendor-otlp"), &environment, agentsight.directory());
    others::send(collector.ports.http, 0..1, |_| (json!([]), 0));
    let heads = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the Collector connects");
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).expect("it sends a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it waits for an answer");
        String::from_utf8_lossy(&head[..length]).to_lowercase()
    });
    wait_for("the request", LIMIT, || heads.is_finished().then_some(()));
    heads.join().expect("it was read")
}

/// The exporter `splunk_hec` cannot be built here: OTLP/HTTP takes its place, with its queue and its retries.
#[test]
fn what_splunk_gets_passes_the_rest_of_its_configuration() {
    let backend = Receiver::start();
    let settings =
        in_place_of_exporter("splunk", "splunk_hec", &["endpoint", "token", "index", "source", "sourcetype"]);
    assert_passes(settings, &[("STAND_IN", &backend.endpoint())], &[&backend]);
}

/// The exporter `elasticsearch` cannot be built here: OTLP/HTTP takes its place, with its queue.
#[test]
fn what_elastic_gets_passes_the_rest_of_its_configuration() {
    let backend = Receiver::start();
    let settings = in_place_of_exporter("elastic", "elasticsearch", &["endpoint", "api_key"]);
    assert_passes(settings, &[("STAND_IN", &backend.endpoint())], &[&backend]);
}

#[test]
fn the_local_configuration_sends_to_jaeger_and_tempo_at_once() {
    let (jaeger, tempo) = (Receiver::start(), Receiver::start());
    let (first, second) = (jaeger.endpoint(), tempo.endpoint());
    let bare = |endpoint: &str| endpoint.trim_start_matches("http://").to_owned();
    let environment = [("JAEGER_ENDPOINT", &*bare(&first)), ("TEMPO_ENDPOINT", &*bare(&second))];
    assert_passes(Settings::shipped("local"), &environment, &[&jaeger, &tempo]);
}

#[test]
fn the_local_configuration_sends_to_one_of_both_where_the_environment_says_so() {
    let jaeger = Receiver::start();
    let endpoint = jaeger.endpoint();
    let exporters = "[span_metrics, otlp_grpc/jaeger]";
    let environment =
        [("JAEGER_ENDPOINT", endpoint.trim_start_matches("http://")), ("LOCAL_TRACE_EXPORTERS", exporters)];
    assert_passes(Settings::shipped("local"), &environment, &[&jaeger]);
}

/// A trace of AgentSight's arrives whole at every backend.
#[track_caller]
fn assert_passes(settings: Settings, environment: &[(&str, &str)], backends: &[&Receiver]) {
    let agentsight = Agentsight::as_root();
    let collector = Otelcol::start(settings, environment, agentsight.directory());
    let endpoint = format!("http://127.0.0.1:{}", collector.ports.grpc);
    let options = ["--endpoint", &endpoint, "--protocol", "grpc"];
    let traced = agentsight.record(&options, &[], &["sh", "-c", "expr 1 + 2; exit 3"]);
    let id = traced.trace.spans[0].trace_id.clone();
    let sent = traced.trace.sorted();
    for backend in backends {
        let arrived = wait_for("the trace", LIMIT, || {
            Some(backend.trace().of_id(&id)).filter(|arrived| arrived.spans.len() >= sent.spans.len())
        });
        let arrived = arrived.sorted();
        assert!(arrived.spans == sent.spans, "behind the Collector\n{arrived}\nbefore it\n{sent}");
    }
    collector.assert_up_to_date();
}

/// The settings with this exporter, whose own settings are `names` and those of a queue, replaced by OTLP/HTTP.
#[track_caller]
fn in_place_of_exporter(file: &str, exporter: &str, names: &[&str]) -> Settings {
    let settings = Settings::shipped(file);
    let mut stand_in = settings.at(&format!("/exporters/{exporter}"));
    let all = stand_in.as_object_mut().expect("an exporter has settings");
    for name in names {
        assert!(all.remove(*name).is_some(), "{exporter} has {name}");
    }
    let left: Vec<&String> = all.keys().collect();
    assert!(left.iter().all(|name| ["sending_queue", "retry_on_failure"].contains(&name.as_str())), "{left:?}");
    all.insert("endpoint".to_owned(), Value::from("${env:STAND_IN}"));
    settings.in_place_of("exporters", exporter, "otlp_http", stand_in)
}

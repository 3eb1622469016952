//! Traces that are not AgentSight's, made here and sent as OTLP/JSON.

use agentsight_tests::http::post_json;
use serde_json::{Value, json};

/// Sends one trace of one span for each number: `what` gives the span's attributes and status code.
#[track_caller]
pub(crate) fn send(port: u16, numbers: std::ops::Range<u32>, what: impl Fn(u32) -> (Value, u32)) {
    let spans: Vec<Value> = numbers
        .map(|number| {
            let (attributes, code) = what(number);
            json!({
                "traceId": trace_id(number), "spanId": format!("{:016x}", number + 1), "name": "other", "kind": 1,
                "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000001000000",
                "attributes": attributes, "status": {"code": code},
            })
        })
        .collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "other"}}]});
    let request = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    let (code, body) = post_json(port, "/v1/traces", &request.to_string()).expect("the Collector answers");
    assert_eq!(code, 200, "{body}");
}

/// Ids that look random, as sampling by them takes them to be, and are the same in each run.
pub(crate) fn trace_id(number: u32) -> String {
    let scrambled = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("{scrambled:032x}")
}

//! Reads OTLP/JSON by the letter of the specification: ids are hex digits, 64-bit numbers are decimal strings.
//!
//! It shares no code with what AgentSight writes by, so that a mistake there shows here.

use serde_json::Value as Json;
use thiserror::Error;

use super::{Attributes, Event, Link, Log, Point, Span, Trace, Value};

/// Why a text is no OTLP/JSON.
#[derive(Debug, Error)]
pub enum ParseError {
    /// A line, or a body, is no JSON.
    #[error("line {line} is no JSON: {source}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A member is missing or of the wrong kind.
    #[error("`{member}` should be {expected}, in {found}")]
    Member {
        /// Its name.
        member: String,
        /// What the specification says.
        expected: &'static str,
        /// The object that it is in.
        found: String,
    },
}

impl Trace {
    /// Reads lines of which each is an export request for spans or for log records.
    ///
    /// # Errors
    /// When a line is no OTLP/JSON.
    pub fn from_json_lines(text: &str) -> Result<Self, ParseError> {
        let mut trace = Self::default();
        for (index, line) in text.lines().enumerate() {
            let json = serde_json::from_str(line).map_err(|source| ParseError::Json { line: index + 1, source })?;
            trace.add(&json)?;
        }
        Ok(trace)
    }

    /// Adds what an export request, or Jaeger's answer, holds.
    ///
    /// # Errors
    /// When it is no OTLP/JSON.
    pub fn add(&mut self, request: &Json) -> Result<(), ParseError> {
        for batch in members(request, "resourceSpans") {
            let resource = attributes(&batch["resource"])?;
            for span in members(batch, "scopeSpans").iter().flat_map(|scope| members(scope, "spans")) {
                self.spans.push(span_of(span, &resource)?);
            }
        }
        for batch in members(request, "resourceLogs") {
            for log in members(batch, "scopeLogs").iter().flat_map(|scope| members(scope, "logRecords")) {
                self.logs.push(log_of(log)?);
            }
        }
        for batch in members(request, "resourceMetrics") {
            let resource = attributes(&batch["resource"])?;
            for metric in members(batch, "scopeMetrics").iter().flat_map(|scope| members(scope, "metrics")) {
                let name = text(metric, "name")?;
                for point in ["sum", "gauge", "histogram"].iter().flat_map(|kind| members(&metric[kind], "dataPoints"))
                {
                    let attributes = attributes(point)?.into_iter().chain(resource.clone()).collect();
                    self.metrics.push(Point { metric: name.clone(), attributes, value: point_value(point)? });
                }
            }
        }
        Ok(())
    }
}

/// A double is a JSON number, an integer of 64 bits a decimal string.
fn point_value(json: &Json) -> Result<f64, ParseError> {
    let integer = ["asInt", "count"].iter().find_map(|member| json[*member].as_str()?.parse().ok());
    json["asDouble"].as_f64().or(integer).ok_or_else(|| ParseError::Member {
        member: "asDouble or asInt".to_owned(),
        expected: "a number",
        found: json.to_string(),
    })
}

fn span_of(json: &Json, resource: &Attributes) -> Result<Span, ParseError> {
    let parent = text(json, "parentSpanId")?;
    Ok(Span {
        trace_id: id(json, "traceId", 32)?,
        id: id(json, "spanId", 16)?,
        parent: if parent.is_empty() { None } else { Some(id(json, "parentSpanId", 16)?) },
        trace_state: text(json, "traceState")?,
        name: text(json, "name")?,
        kind: number(json, "kind")?,
        start_nanos: nanos(json, "startTimeUnixNano")?,
        end_nanos: nanos(json, "endTimeUnixNano")?,
        attributes: attributes(json)?,
        events: members(json, "events")
            .iter()
            .map(|event| {
                Ok(Event {
                    name: text(event, "name")?,
                    at_nanos: nanos(event, "timeUnixNano")?,
                    attributes: attributes(event)?,
                })
            })
            .collect::<Result<_, ParseError>>()?,
        links: members(json, "links")
            .iter()
            .map(|link| {
                Ok(Link {
                    trace_id: id(link, "traceId", 32)?,
                    span_id: id(link, "spanId", 16)?,
                    attributes: attributes(link)?,
                })
            })
            .collect::<Result<_, ParseError>>()?,
        status_code: number(&json["status"], "code")?,
        status_message: text(&json["status"], "message")?,
        resource: resource.clone(),
    })
}

fn log_of(json: &Json) -> Result<Log, ParseError> {
    Ok(Log {
        event_name: text(json, "eventName")?,
        severity: number(json, "severityNumber")?,
        body: text(&json["body"], "stringValue")?,
        attributes: attributes(json)?,
        span_id: text(json, "spanId")?,
    })
}

fn attributes(json: &Json) -> Result<Attributes, ParseError> {
    members(json, "attributes").iter().map(|pair| Ok((text(pair, "key")?, value_of(&pair["value"])?))).collect()
}

fn value_of(json: &Json) -> Result<Value, ParseError> {
    let object = json
        .as_object()
        .filter(|object| object.len() == 1)
        .ok_or_else(|| wrong(json, "value", "an object of one member"))?;
    let (kind, inner) = object.iter().next().ok_or_else(|| wrong(json, "value", "an object of one member"))?;
    let value = match kind.as_str() {
        "stringValue" => inner.as_str().map(|text| Value::Text(text.to_owned())),
        "intValue" => inner.as_str().and_then(|text| text.parse().ok()).map(Value::Int),
        "doubleValue" => inner.as_f64().map(Value::Double),
        "boolValue" => inner.as_bool().map(Value::Bool),
        "arrayValue" => Some(Value::List(members(inner, "values").iter().map(value_of).collect::<Result<_, _>>()?)),
        _ => None,
    };
    value.ok_or_else(|| wrong(json, kind, "of the kind that its name says, an integer as a decimal string"))
}

/// The elements of a member that is a list; none where it is missing.
fn members<'a>(json: &'a Json, name: &str) -> &'a [Json] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Json, name: &str) -> Result<String, ParseError> {
    match &json[name] {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        _ => Err(wrong(json, name, "a string")),
    }
}

fn number(json: &Json, name: &str) -> Result<u64, ParseError> {
    if json[name].is_null() { Ok(0) } else { json[name].as_u64().ok_or_else(|| wrong(json, name, "a number")) }
}

fn nanos(json: &Json, name: &str) -> Result<u64, ParseError> {
    text(json, name)?.parse().map_err(|_| wrong(json, name, "a decimal string of nanoseconds"))
}

fn id(json: &Json, name: &str, digits: usize) -> Result<String, ParseError> {
    let id = text(json, name)?;
    let is_hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if id.len() == digits && is_hex && id.bytes().any(|byte| byte != b'0') {
        Ok(id)
    } else {
        Err(wrong(json, name, "lower-case hex digits, not all zero, of the length that the specification says"))
    }
}

fn wrong(json: &Json, member: &str, expected: &'static str) -> ParseError {
    ParseError::Member { member: member.to_owned(), expected, found: json.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"n","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"3","attributes":[{"key":"i","value":{"intValue":"-5"}},{"key":"a","value":{"arrayValue":{"values":[{"stringValue":"q"}]}}}],"status":{"code":2}}]}]}]}"#;

    #[test]
    fn a_request_is_read() {
        let trace = Trace::from_json_lines(LINE).unwrap();
        let span = trace.only("n");
        assert_eq!((span.int("i"), span.texts("a"), span.status_code), (Some(-5), vec!["q"], 2));
        assert_eq!(span.resource["service.name"], Value::Text("x".into()));
    }

    #[test]
    fn an_id_in_base64_is_refused() {
        let error = Trace::from_json_lines(&LINE.replace("eee19b7ec3c1b174", "7uGbfsPBsXQ=")).unwrap_err();
        assert!(error.to_string().contains("spanId"), "{error}");
    }

    #[test]
    fn an_integer_that_is_no_string_is_refused() {
        let error = Trace::from_json_lines(&LINE.replace(r#""-5""#, "-5")).unwrap_err();
        assert!(error.to_string().contains("intValue"), "{error}");
    }
}

//! OTLP/JSON: one export request per line, as the Collector's file exporter writes and its `otlpjsonfile` receiver reads.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::Serialize;

use super::request::Request;
use crate::spans::model::Signal;

/// Signals as lines, each ended by a newline: one for the spans, one for the log records, none for nothing.
#[must_use]
pub fn lines<'a>(signals: impl IntoIterator<Item = &'a Signal>) -> String {
    let requests = Request::of(signals);
    let lines = requests.iter().map(|request| match request {
        Request::Traces(traces) => trace_line(traces),
        Request::Logs(logs) => log_line(logs),
    });
    lines.collect()
}

/// One request for spans as a line.
#[must_use]
pub fn trace_line(request: &ExportTraceServiceRequest) -> String {
    line(request)
}

/// One request for log records as a line.
#[must_use]
pub fn log_line(request: &ExportLogsServiceRequest) -> String {
    line(request)
}

fn line(request: &impl Serialize) -> String {
    let json = serde_json::to_string(request).expect("OTLP messages have string keys and infallible encoders");
    json + "\n"
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::otlp::encode::tests::{rich_span, signals};
    use crate::otlp::{encode, request};

    #[test]
    fn a_span_and_a_log_record_are_a_line_each_by_the_otlp_mapping() {
        let version = env!("CARGO_PKG_VERSION");
        let pretty: Vec<_> = lines(&signals())
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"))
            .map(|value| format!("{value:#}").replace(version, "VERSION"))
            .collect();
        expect![[r#"
            {
              "resourceSpans": [
                {
                  "resource": {
                    "attributes": [
                      {
                        "key": "service.name",
                        "value": {
                          "stringValue": "make"
                        }
                      }
                    ],
                    "droppedAttributesCount": 0,
                    "entityRefs": []
                  },
                  "schemaUrl": "https://opentelemetry.io/schemas/1.44.0",
                  "scopeSpans": [
                    {
                      "schemaUrl": "https://opentelemetry.io/schemas/1.44.0",
                      "scope": {
                        "attributes": [],
                        "droppedAttributesCount": 0,
                        "name": "agentsight",
                        "version": "VERSION"
                      },
                      "spans": [
                        {
                          "attributes": [
                            {
                              "key": "process.command_args",
                              "value": {
                                "arrayValue": {
                                  "values": [
                                    {
                                      "stringValue": "make"
                                    },
                                    {
                                      "stringValue": "all"
                                    }
                                  ]
                                }
                              }
                            },
                            {
                              "key": "process.exit.code",
                              "value": {
                                "intValue": "2"
                              }
                            }
                          ],
                          "droppedAttributesCount": 3,
                          "droppedEventsCount": 4,
                          "droppedLinksCount": 6,
                          "endTimeUnixNano": "1700000000000000002",
                          "events": [
                            {
                              "attributes": [],
                              "droppedAttributesCount": 0,
                              "name": "agentsight.loss",
                              "timeUnixNano": "1700000000000000001"
                            }
                          ],
                          "flags": 1,
                          "kind": 1,
                          "links": [
                            {
                              "attributes": [
                                {
                                  "key": "agentsight.link.type",
                                  "value": {
                                    "stringValue": "exec"
                                  }
                                },
                                {
                                  "key": "agentsight.link.confidence",
                                  "value": {
                                    "doubleValue": 0.5
                                  }
                                },
                                {
                                  "key": "agentsight.asserted",
                                  "value": {
                                    "boolValue": true
                                  }
                                }
                              ],
                              "droppedAttributesCount": 0,
                              "flags": 1,
                              "spanId": "0505050505050505",
                              "traceId": "05050505050505050505050505050505",
                              "traceState": ""
                            }
                          ],
                          "name": "make all",
                          "parentSpanId": "0202020202020202",
                          "spanId": "0101010101010101",
                          "startTimeUnixNano": "1700000000000000001",
                          "status": {
                            "code": 2,
                            "message": "exit code 2"
                          },
                          "traceId": "01010101010101010101010101010101",
                          "traceState": "vendor=1"
                        }
                      ]
                    }
                  ]
                }
              ]
            }
            {
              "resourceLogs": [
                {
                  "resource": {
                    "attributes": [],
                    "droppedAttributesCount": 0,
                    "entityRefs": []
                  },
                  "schemaUrl": "https://opentelemetry.io/schemas/1.44.0",
                  "scopeLogs": [
                    {
                      "logRecords": [
                        {
                          "attributes": [],
                          "body": {
                            "stringValue": "3 events were lost"
                          },
                          "droppedAttributesCount": 0,
                          "eventName": "agentsight.loss",
                          "flags": 1,
                          "observedTimeUnixNano": "1700000000000000003",
                          "severityNumber": 13,
                          "severityText": "WARN",
                          "spanId": "0101010101010101",
                          "timeUnixNano": "1700000000000000003",
                          "traceId": "01010101010101010101010101010101"
                        }
                      ],
                      "schemaUrl": "https://opentelemetry.io/schemas/1.44.0",
                      "scope": {
                        "attributes": [],
                        "droppedAttributesCount": 0,
                        "name": "agentsight",
                        "version": "VERSION"
                      }
                    }
                  ]
                }
              ]
            }"#]]
        .assert_eq(&pretty.join("\n"));
    }

    #[test]
    fn nothing_is_no_line_and_each_resource_appears_once() {
        assert_eq!(lines(&[]), "");
        let other = crate::spans::model::Span { resource: Default::default(), ..rich_span() };
        let mixed = [rich_span(), other, rich_span()].map(|span| Signal::Span(Box::new(span)));
        let lines = lines(&mixed);
        assert_eq!((lines.lines().count(), lines.matches("\"resource\":").count()), (1, 2));
    }

    #[test]
    fn what_is_written_can_be_read_as_the_same_request() {
        let groups = vec![(Default::default(), vec![encode::span(&rich_span())])];
        let request = request::traces(groups);
        let read: ExportTraceServiceRequest = serde_json::from_str(&trace_line(&request)).expect("our own line");
        assert_eq!(read, request);
    }
}

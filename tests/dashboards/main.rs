//! Every panel of every dashboard asks what a backend can answer: PromQL a real Prometheus with data of a real run,
//! TraceQL Grafana's own grammar, and both only for names that the registry has.

mod board;
mod names;
mod promql;
mod traceql;

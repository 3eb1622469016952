//! The metrics, each an observable that reads the account when it is collected.

use agentsight_semconv::{self as semconv, value};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::event_kind::name_of_lost;
use super::{Account, SCOPE};
use crate::otlp::sender::Requests;
use crate::store::Kind;
use crate::usage::{ProcessorTime, resident_bytes};

/// Declares every metric on `provider`.
pub(super) fn observe(provider: &SdkMeterProvider, account: &Account) {
    let meter = provider.meter(SCOPE);
    observe_events(&meter, account);
    observe_delivery(&meter, account);
    let read = account.clone();
    counter(&meter, semconv::AGENTSIGHT_SPANS_STORED, "{span}", move || read.spans_stored());
    let read = account.clone();
    counter(&meter, semconv::AGENTSIGHT_BPF_RUN_TIME, "ns", move || read.bpf_run_nanos());
    let read = account.clone();
    counter(&meter, semconv::AGENTSIGHT_BPF_RUN_COUNT, "{run}", move || read.bpf_runs());
    let read = account.clone();
    let _ = meter
        .i64_observable_up_down_counter(semconv::AGENTSIGHT_STORE_SIZE.as_str())
        .with_unit("By")
        .with_callback(move |observer| {
            observer.observe(i64::try_from(read.store_bytes()).unwrap_or(i64::MAX), &[]);
        })
        .build();
    let _ = meter
        .f64_observable_counter(semconv::PROCESS_CPU_TIME.as_str())
        .with_unit("s")
        .with_callback(|observer| {
            let Some(time) = ProcessorTime::so_far() else { return };
            for (mode, time) in [("user", time.user), ("system", time.system)] {
                observer.observe(time.as_secs_f64(), &[attribute(semconv::CPU_MODE, mode)]);
            }
        })
        .build();
    let _ = meter
        .i64_observable_up_down_counter(semconv::PROCESS_MEMORY_USAGE.as_str())
        .with_unit("By")
        .with_callback(|observer| {
            let Some(bytes) = resident_bytes() else { return };
            observer.observe(i64::try_from(bytes).unwrap_or(i64::MAX), &[]);
        })
        .build();
}

fn observe_events(meter: &Meter, account: &Account) {
    let read = account.clone();
    let _ = meter
        .u64_observable_counter(semconv::AGENTSIGHT_EVENTS.as_str())
        .with_unit("{event}")
        .with_callback(move |observer| {
            for (kind, count) in read.events() {
                observer.observe(count, &[attribute(semconv::AGENTSIGHT_EVENT_KIND, kind)]);
            }
        })
        .build();
    let read = account.clone();
    let _ = meter
        .u64_observable_counter(semconv::AGENTSIGHT_EVENTS_LOST.as_str())
        .with_unit("{event}")
        .with_callback(move |observer| {
            for (kind, count) in read.lost() {
                observer.observe(count, &[attribute(semconv::AGENTSIGHT_EVENT_KIND, name_of_lost(kind))]);
            }
        })
        .build();
}

fn observe_delivery(meter: &Meter, account: &Account) {
    let spans = |progress: &crate::otlp::sender::Progress, number: u64| {
        if progress.kind == Kind::Span { number } else { 0 }
    };
    let read = account.clone();
    counter(meter, semconv::AGENTSIGHT_SPANS_SENT, "{span}", move || {
        read.over_senders(|progress| spans(progress, progress.counts.sent))
    });
    let read = account.clone();
    counter(meter, semconv::AGENTSIGHT_SPANS_REJECTED, "{span}", move || {
        read.over_senders(|progress| spans(progress, progress.counts.rejected))
    });
    let read = account.clone();
    counter(meter, semconv::AGENTSIGHT_SPANS_DROPPED, "{span}", move || {
        read.spans_dropped() + read.over_senders(|progress| spans(progress, progress.counts.dropped))
    });
    let read = account.clone();
    let _ = meter
        .u64_observable_counter(semconv::AGENTSIGHT_OTLP_REQUESTS.as_str())
        .with_unit("{request}")
        .with_callback(move |observer| {
            use value::otlp_outcome::{PARTIAL, REJECTED, RETRY, SUCCESS, UNSUPPORTED};
            let observe = |outcome, number: fn(&Requests) -> u64| {
                let count = read.over_senders(|progress| number(&progress.requests));
                observer.observe(count, &[attribute(semconv::AGENTSIGHT_OTLP_OUTCOME, outcome)]);
            };
            observe(SUCCESS, |requests| requests.success);
            observe(PARTIAL, |requests| requests.partial);
            observe(RETRY, |requests| requests.retry);
            observe(REJECTED, |requests| requests.rejected);
            observe(UNSUPPORTED, |requests| requests.unsupported);
        })
        .build();
}

fn counter(meter: &Meter, name: semconv::Name, unit: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
    let _ = meter
        .u64_observable_counter(name.as_str())
        .with_unit(unit)
        .with_callback(move |observer| observer.observe(read(), &[]))
        .build();
}

fn attribute(name: semconv::Name, value: &'static str) -> KeyValue {
    KeyValue::new(Key::from_static_str(name.as_str()), value)
}

//! Backends as sources: whoever has the spans can be asked the same questions as the store.

mod jaeger;

pub use jaeger::JaegerSource;

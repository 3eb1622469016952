//! A shipped configuration as a tree, in which a test changes what it must, and says so.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::backend::free_ports;

/// Settings of a Collector.
#[derive(Clone, Debug)]
pub struct Settings(Value);

/// Where a Collector listens, on the loopback interface; 0 where it does not.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// OTLP/gRPC of the receiver `otlp`.
    pub grpc: u16,
    /// OTLP/HTTP of the receiver `otlp`.
    pub http: u16,
    /// The Prometheus exporter.
    pub prometheus: u16,
    /// The Collector's own metrics.
    pub own: u16,
}

impl Settings {
    /// `collector-config/NAME.yaml`.
    ///
    /// # Panics
    /// When it is no YAML.
    #[must_use]
    pub fn shipped(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../collector-config/{name}.yaml"));
        Self::from_text(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Settings that stand elsewhere.
    ///
    /// # Panics
    /// When they are no YAML.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}")))
    }

    /// The setting at this path, its names joined by slashes.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn at(&self, path: &str) -> Value {
        self.0.pointer(path).unwrap_or_else(|| panic!("no setting {path}")).clone()
    }

    /// Gives the setting at this path, its names joined by slashes, another value.
    ///
    /// # Panics
    /// When there is no such setting: a test changes only what users have.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, path: &str, value: Value) -> Self {
        *self.0.pointer_mut(path).unwrap_or_else(|| panic!("no setting {path}")) = value;
        self
    }

    /// Puts another component in the place of one that the test's Collector does not have, wherever it is used.
    ///
    /// # Panics
    /// When nothing uses it.
    #[must_use]
    #[track_caller]
    pub fn in_place_of(mut self, section: &str, component: &str, name: &str, settings: Value) -> Self {
        let all = self.0[section].as_object_mut().unwrap_or_else(|| panic!("no {section}"));
        assert!(all.remove(component).is_some(), "no {component} among {section}");
        all.insert(name.to_owned(), settings);
        let mut uses = 0;
        for pipeline in self.0["service"]["pipelines"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
            for used in pipeline[section].as_array_mut().into_iter().flatten().filter(|used| **used == component) {
                *used = json!(name);
                uses += 1;
            }
        }
        assert!(uses > 0, "nothing uses {component}");
        self
    }

    /// The settings as text, with every port replaced by a free one.
    pub(super) fn on_free_ports(mut self) -> (String, Ports) {
        let [grpc, http, whole, prometheus, own] = free_ports();
        let endpoint = |port: u16| json!(format!("127.0.0.1:{port}"));
        let mut found = Ports { grpc: 0, http: 0, prometheus: 0, own: 0 };
        for (path, port, kept) in [
            ("/receivers/otlp/protocols/grpc/endpoint", grpc, Some(&mut found.grpc)),
            ("/receivers/otlp/protocols/http/endpoint", http, Some(&mut found.http)),
            ("/receivers/otlp~1whole_traces/protocols/grpc/endpoint", whole, None),
            ("/exporters/prometheus/endpoint", prometheus, Some(&mut found.prometheus)),
        ] {
            if let Some(setting) = self.0.pointer_mut(path) {
                *setting = endpoint(port);
                if let Some(kept) = kept {
                    *kept = port;
                }
            }
        }
        if let Some(setting) = self.0.pointer_mut("/service/telemetry/metrics/readers/0/pull/exporter/prometheus/port")
        {
            *setting = json!(own);
            found.own = own;
        }
        // In a test the first tier's only replica is the Collector itself.
        (self.0.to_string().replace("WHOLE_TRACES", &format!("127.0.0.1:{whole}")), found)
    }
}

//! The part of Weaver's registry format that the project uses; a field outside of it is an error that names file and entry.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml_ng::Value;

/// All files of the registry, in order of their names.
pub(crate) struct Model {
    /// Schema URL of the OpenTelemetry release that `ref`s point into.
    pub(crate) standard_schema_url: String,
    pub(crate) groups: Vec<Group>,
}

/// A group of attributes, a kind of span, an event or a metric.
pub(crate) struct Group {
    /// File and id, for messages.
    pub(crate) place: String,
    pub(crate) head: Head,
    pub(crate) attributes: Vec<Attribute>,
}

/// All that a group says about itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) group_type: GroupType,
    pub(crate) brief: String,
    pub(crate) note: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) stability: Option<Stability>,
    pub(crate) span_kind: Option<SpanKind>,
    pub(crate) name: Option<String>,
    pub(crate) metric_name: Option<String>,
    pub(crate) instrument: Option<Instrument>,
    pub(crate) unit: Option<String>,
    #[serde(default)]
    attributes: Vec<Value>,
}

/// An attribute: its definition (`id`) or a reference to one (`ref`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    pub(crate) id: Option<String>,
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    #[serde(rename = "type")]
    pub(crate) value_type: Option<ValueType>,
    pub(crate) stability: Option<Stability>,
    pub(crate) brief: Option<String>,
    #[serde(default)]
    pub(crate) examples: Vec<Value>,
    pub(crate) annotations: Option<Annotations>,
}

/// Weaver lets annotations hold anything. Here: the type of a standard attribute, which a `ref` cannot say otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annotations {
    #[serde(rename = "type")]
    pub(crate) value_type: Simple,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupType {
    Span,
    Event,
    Metric,
    AttributeGroup,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stability {
    Stable,
    ReleaseCandidate,
    Development,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpanKind {
    Client,
    Server,
    Producer,
    Consumer,
    Internal,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
}

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a type is string, int, double, boolean, string[] or has members, each with id, value, stability and brief"
)]
pub(crate) enum ValueType {
    Simple(Simple),
    Enum(Members),
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum Simple {
    #[serde(rename = "string")]
    String,
    #[serde(rename = "int")]
    Int,
    #[serde(rename = "double")]
    Double,
    #[serde(rename = "boolean")]
    Boolean,
    #[serde(rename = "string[]")]
    Strings,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) value: String,
    pub(crate) brief: String,
    #[serde(rename = "stability")]
    _stability: Stability,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "schema_url")]
    _schema_url: String,
    dependencies: [Dependency; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    schema_url: String,
    #[serde(rename = "registry_path")]
    _registry_path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Value>,
}

/// Reads `manifest.yaml` and every other `*.yaml` of the folder. The error says which entry of which file is wrong.
pub(crate) fn read_model(folder: &Path) -> Result<Model, String> {
    let list = |error| format!("listing {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(list)? {
        paths.push(entry.map_err(list)?.path());
    }
    paths.sort();
    let mut schema_url = None;
    let mut groups = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("reading {file}: {error}"))?;
        if path.ends_with("manifest.yaml") {
            schema_url = Some(parse_manifest(&file, &text)?);
        } else {
            groups.extend(parse_groups(&file, &text)?);
        }
    }
    let standard_schema_url = schema_url.ok_or(format!("{}: no manifest.yaml", folder.display()))?;
    Ok(Model { standard_schema_url, groups })
}

/// The groups of one file.
pub(crate) fn parse_groups(file: &str, text: &str) -> Result<Vec<Group>, String> {
    let content: File = serde_yaml_ng::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    content.groups.into_iter().map(|group| parse_group(file, group)).collect()
}

fn parse_manifest(file: &str, text: &str) -> Result<String, String> {
    let manifest: Manifest = serde_yaml_ng::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let [dependency] = manifest.dependencies;
    Ok(dependency.schema_url)
}

fn parse_group(file: &str, group: Value) -> Result<Group, String> {
    let place = format!("{file}: {}", label(&group));
    let mut head: Head = parse_entry(&place, group)?;
    let attributes = std::mem::take(&mut head.attributes)
        .into_iter()
        .map(|attribute| parse_entry(&format!("{place}: {}", label(&attribute)), attribute))
        .collect::<Result<_, _>>()?;
    Ok(Group { place, head, attributes })
}

fn parse_entry<T: DeserializeOwned>(place: &str, entry: Value) -> Result<T, String> {
    serde_yaml_ng::from_value(entry).map_err(|error| format!("{place}: {error}"))
}

fn label(entry: &Value) -> &str {
    ["id", "ref"].iter().find_map(|key| entry.get(key)?.as_str()).unwrap_or("an entry without id or ref")
}

//! The registry keeps its own rules: standard names exist, mistakes are found when it is built, the table is up to date.
// A standard name that OpenTelemetry has since deprecated must not pass.
#![deny(deprecated)]

#[expect(dead_code, reason = "the build script's module; only its rules are tested here")]
#[path = "../build/registry.rs"]
mod registry;
#[expect(dead_code, reason = "the build script's module; only its parsing is tested here")]
#[path = "../build/yaml.rs"]
mod yaml;

use std::path::Path;

use agentsight_semconv::{ALL, Kind, Name, Origin, SCHEMA_URL, Type, lookup, value};
use expect_test::{expect, expect_file};

/// Ours, and the constant that OpenTelemetry's crate has under the same name.
const STANDARD: &[(Name, &str)] = include!(concat!(env!("OUT_DIR"), "/standard.rs"));

#[test]
fn each_standard_name_is_one_of_opentelemetry() {
    for (ours, theirs) in STANDARD {
        assert_eq!(ours.as_str(), *theirs);
    }
    let standard = ALL.iter().filter(|declared| declared.origin == Origin::Standard);
    assert!(standard.map(|declared| declared.name).eq(STANDARD.iter().map(|(ours, _)| *ours)));
}

#[test]
fn the_registry_is_not_older_than_the_constants_that_it_is_compared_with() {
    assert!(release(SCHEMA_URL) >= release(opentelemetry_semantic_conventions::SCHEMA_URL));
}

#[test]
fn own_names_are_exactly_those_under_agentsight_and_events_that_are_calls() {
    for declared in ALL {
        let name = declared.name.as_str();
        let is_call = declared.kind == Kind::Event && !name.contains('.');
        assert_eq!(declared.origin == Origin::Own, name.starts_with("agentsight.") || is_call, "{declared:?}");
    }
}

#[test]
fn each_name_is_found_with_what_it_says() {
    for declared in ALL {
        assert_eq!(lookup(declared.name.as_str()), Some(declared));
    }
    let link_type = lookup("agentsight.link.type").expect("declared in link.yaml");
    assert_eq!(link_type.kind, Kind::Attribute(Type::Enum(value::link_type::ALL)));
    assert!(value::link_type::ALL.contains(&value::link_type::FLOW));
    assert_eq!(lookup("agentsight.link"), None);
}

#[test]
fn the_documentation_table_is_what_the_registry_says() {
    expect_file!["../ATTRIBUTES.md"].assert_eq(include_str!(concat!(env!("OUT_DIR"), "/ATTRIBUTES.md")));
}

#[test]
fn a_field_that_weaver_does_not_know_is_an_error_that_names_file_and_entry() {
    expect!["link.yaml: group: agentsight.x: unknown field `breif`, expected one of `id`, `ref`, `type`, `stability`, `brief`, `examples`, `annotations`"]
        .assert_eq(&problem("{id: agentsight.x, type: int, stability: development, breif: X.}"));
}

#[test]
fn a_type_that_no_attribute_has_is_an_error_that_names_the_entry() {
    expect!["link.yaml: group: agentsight.x: a type is string, int, double, boolean, string[] or has members, each with id, value, stability and brief"].assert_eq(&problem("{id: agentsight.x, type: integer, stability: development, brief: X.}"));
}

#[test]
fn an_own_name_outside_of_agentsight_is_an_error() {
    expect!["link.yaml: group: process.x: an own name begins with agentsight.; a standard one is a `ref`"]
        .assert_eq(&problem("{id: process.x, type: int, stability: development, brief: X.}"));
}

#[test]
fn a_use_of_a_name_that_nothing_declares_is_an_error() {
    expect!["link.yaml: group: agentsight.x: declared nowhere; say `id` for an own name, `annotations: {type: …}` and `brief` for a standard one"].assert_eq(&problem("{ref: agentsight.x}"));
}

#[test]
fn a_standard_name_without_a_type_is_an_error() {
    expect!["link.yaml: group: process.pid: an own attribute says id, type, stability and brief; a standard one ref, annotations and brief; a use only ref"].assert_eq(&problem("{ref: process.pid, brief: X.}"));
}

#[test]
fn a_string_without_examples_is_an_error() {
    expect!["link.yaml: group: agentsight.x: a string needs examples"]
        .assert_eq(&problem("{id: agentsight.x, type: string, stability: development, brief: X.}"));
}

#[test]
fn two_names_with_the_same_constant_are_an_error() {
    let entry = |name| format!("{{id: {name}, type: int, stability: development, brief: X.}}");
    expect!["link.yaml: group: agentsight.x_y: agentsight.x.y is declared already, and gives the same constant"]
        .assert_eq(&problem(&format!("{}, {}", entry("agentsight.x.y"), entry("agentsight.x_y"))));
}

#[test]
fn a_name_that_opentelemetry_forbids_is_an_error() {
    expect![
        "link.yaml: group: agentsight.X: a name is parts of a-z, 0-9 and _ that begin with a letter, joined by dots"
    ]
    .assert_eq(&problem("{id: agentsight.X, type: int, stability: development, brief: X.}"));
}

#[test]
fn an_event_under_a_name_of_others_is_an_error() {
    let text = "groups: [{id: event, type: event, name: file.rename, stability: development, brief: X.}]";
    expect!["link.yaml: event: file.rename: an event is named as a call of the kernel is, or begins with agentsight."]
        .assert_eq(&problem_of_file(text));
}

#[test]
fn an_event_without_a_name_is_an_error() {
    let text = "groups: [{id: event, type: event, stability: development, brief: X.}]";
    expect!["link.yaml: event: a span says span_kind and stability; an event name and stability; a metric metric_name, instrument, unit and stability; and none says another's"].assert_eq(&problem_of_file(text));
}

#[test]
fn a_folder_without_a_manifest_is_an_error() {
    expect!["build: no manifest.yaml"].assert_eq(&yaml::read_model(Path::new("build")).err().unwrap_or_default());
}

/// What is wrong with a group of these attributes; empty if nothing is.
fn problem(attributes: &str) -> String {
    problem_of_file(&format!("groups: [{{id: group, type: attribute_group, brief: X., attributes: [{attributes}]}}]"))
}

fn problem_of_file(text: &str) -> String {
    yaml::parse_groups("link.yaml", text)
        .map(|groups| yaml::Model { standard_schema_url: String::new(), groups })
        .and_then(|model| registry::check(&model))
        .err()
        .unwrap_or_default()
}

/// Major and minor number at the end of a schema URL.
fn release(schema_url: &str) -> (u32, u32) {
    let mut parts = schema_url.rsplit('/').next().into_iter().flat_map(|version| version.split('.'));
    let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("a schema URL ends in a version");
    (number(), number())
}

//! Writes the Rust constants: one per name, the values of enums, and the list of all.

use crate::registry::{Declaration, Kind};
use crate::yaml::{Member, Simple};

/// The text of `names.rs`, which `lib.rs` includes: it needs `Name`, `Declared`, `Kind`, `Type`, `Instrument` and `Origin` in scope.
pub(crate) fn generate(schema_url: &str, names: &[Declaration]) -> String {
    let mut text = String::new();
    push(
        &mut text,
        &format!(
            "/// The OpenTelemetry schema that the standard names are taken from.\npub const SCHEMA_URL: &str = {schema_url:?};\n"
        ),
    );
    for name in names {
        push(
            &mut text,
            &format!(
                "#[doc = {:?}]\npub const {}: Name = Name({:?});\n",
                documentation(name),
                name.constant(),
                name.name
            ),
        );
    }
    push(&mut text, "/// Every declared name, sorted.\npub const ALL: &[Declared] = &[\n");
    for name in names {
        let origin = if name.is_own() { "Own" } else { "Standard" };
        push(
            &mut text,
            &format!(
                "Declared {{ name: {}, kind: {}, brief: {:?}, origin: Origin::{origin} }},\n",
                name.constant(),
                kind(name),
                name.brief
            ),
        );
    }
    push(
        &mut text,
        "];\n/// The values of attributes that take one of a fixed set, a module per attribute.\npub mod value {\n",
    );
    for name in names {
        if let Kind::EnumAttribute(members) = &name.kind {
            push_values(&mut text, name, members);
        }
    }
    push(&mut text, "}\n");
    text
}

fn push_values(text: &mut String, name: &Declaration, members: &[Member]) {
    push(text, &format!("/// Values of `{}`.\npub mod {} {{\n", name.name, value_module(name)));
    for member in members {
        push(
            text,
            &format!(
                "#[doc = {:?}]\npub const {}: &str = {:?};\n",
                member.brief,
                member.id.to_uppercase(),
                member.value
            ),
        );
    }
    let all: Vec<_> = members.iter().map(|member| member.id.to_uppercase()).collect();
    push(text, &format!("/// Every value.\npub const ALL: &[&str] = &[{}];\n}}\n", all.join(", ")));
}

/// `agentsight.link.type` has its values in `value::link_type`.
fn value_module(name: &Declaration) -> String {
    name.name.trim_start_matches("agentsight.").replace('.', "_")
}

fn documentation(name: &Declaration) -> String {
    let what = match &name.kind {
        Kind::Attribute(simple) => format!("attribute, {}", type_name(*simple)),
        Kind::EnumAttribute(_) => format!("attribute, string, one of [`value::{}`]", value_module(name)),
        Kind::Event => "event".to_owned(),
        Kind::Metric { instrument, unit } => {
            format!("metric, {} in `{unit}`", format!("{instrument:?}").to_lowercase())
        }
    };
    format!("`{}` ({what}): {}", name.name, name.brief)
}

fn kind(name: &Declaration) -> String {
    match &name.kind {
        Kind::Attribute(simple) => format!("Kind::Attribute(Type::{simple:?})"),
        Kind::EnumAttribute(_) => format!("Kind::Attribute(Type::Enum(value::{}::ALL))", value_module(name)),
        Kind::Event => "Kind::Event".to_owned(),
        Kind::Metric { instrument, unit } => {
            format!("Kind::Metric {{ instrument: Instrument::{instrument:?}, unit: {unit:?} }}")
        }
    }
}

/// The type's name in Weaver's format.
pub(crate) fn type_name(simple: Simple) -> &'static str {
    match simple {
        Simple::String => "string",
        Simple::Int => "int",
        Simple::Double => "double",
        Simple::Boolean => "boolean",
        Simple::Strings => "string[]",
    }
}

fn push(text: &mut String, part: &str) {
    text.push_str(part);
}

//! Writes the documentation table, `ATTRIBUTES.md`.

use crate::constants::type_name;
use crate::registry::{Declaration, Kind, attribute_name};
use crate::yaml::{Group, GroupType, Model};

const OPENING: &str = "# Every name that AgentSight emits

Generated from `model/*.yaml`; `UPDATE_EXPECT=1 cargo test -p agentsight-semconv` writes it anew.
";

/// The text of `ATTRIBUTES.md`.
pub(crate) fn generate(model: &Model, names: &[Declaration]) -> String {
    let mut text = format!(
        "{OPENING}Standard names are those of {}; our own begin with `agentsight.`.\n",
        model.standard_schema_url
    );
    for group in model.groups.iter().filter(|group| is_table(group)) {
        let title = group.head.display_name.as_deref().unwrap_or(&group.head.id);
        text += &format!("\n## {title}\n\n{}\n", group.head.brief.trim());
        if let Some(note) = &group.head.note {
            text += &format!("\n{}\n", note.trim());
        }
        text += &attribute_table(group, names);
    }
    text += "\n## Events\n\nSpan events and log records.\n\n| Name | Meaning | Attributes |\n|---|---|---|\n";
    for (group, name) in declared_by_groups(model, names) {
        if let Kind::Event = name.kind {
            text += &format!("| `{}` | {} | {} |\n", name.name, cell(&name.brief), attribute_list(group));
        }
    }
    text += "\n## Metrics\n\nAgentSight's own.\n\n| Name | Instrument | Unit | Meaning | Attributes |\n|---|---|---|---|---|\n";
    for (group, name) in declared_by_groups(model, names) {
        if let Kind::Metric { instrument, unit } = &name.kind {
            let instrument = format!("{instrument:?}").to_lowercase();
            let brief = cell(&name.brief);
            text += &format!("| `{}` | {instrument} | `{unit}` | {brief} | {} |\n", name.name, attribute_list(group));
        }
    }
    text
}

fn is_table(group: &Group) -> bool {
    matches!(group.head.group_type, GroupType::Span | GroupType::AttributeGroup)
}

fn attribute_table(group: &Group, names: &[Declaration]) -> String {
    let mut text = "\n| Attribute | Type | Meaning | Examples |\n|---|---|---|---|\n".to_owned();
    let mut values = String::new();
    for name in group.attributes.iter().filter_map(attribute_name).filter_map(|name| find(names, name)) {
        let value_type = match &name.kind {
            Kind::Attribute(simple) => type_name(*simple),
            Kind::EnumAttribute(members) => {
                values += &format!("\n`{}` is one of:\n\n| Value | Meaning |\n|---|---|\n", name.name);
                for member in members {
                    values += &format!("| `{}` | {} |\n", member.value, cell(&member.brief));
                }
                "string"
            }
            Kind::Event | Kind::Metric { .. } => continue,
        };
        let examples: Vec<_> = name.examples.iter().map(|example| format!("`{}`", cell(example))).collect();
        text += &format!("| `{}` | {value_type} | {} | {} |\n", name.name, cell(&name.brief), examples.join(", "));
    }
    text + &values
}

fn attribute_list(group: &Group) -> String {
    let names: Vec<_> = group.attributes.iter().filter_map(attribute_name).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Groups that are a name themselves, with it.
fn declared_by_groups<'a>(
    model: &'a Model,
    names: &'a [Declaration],
) -> impl Iterator<Item = (&'a Group, &'a Declaration)> {
    model.groups.iter().filter_map(|group| {
        let name = group.head.name.as_deref().or(group.head.metric_name.as_deref())?;
        Some((group, find(names, name)?))
    })
}

fn find<'a>(names: &'a [Declaration], name: &str) -> Option<&'a Declaration> {
    names.iter().find(|declaration| declaration.name == name)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

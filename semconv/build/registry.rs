//! The rules of the registry: which names may stand in it, and what each must say. Gives every name once, sorted.

use std::collections::BTreeMap;

use crate::yaml::{Attribute, Group, GroupType, Head, Instrument, Member, Model, Simple, ValueType};

/// All that the project calls its own begins so.
const OWN_PREFIX: &str = "agentsight.";

/// One declared name.
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) brief: String,
    pub(crate) examples: Vec<String>,
    pub(crate) kind: Kind,
}

/// What the name names.
pub(crate) enum Kind {
    Attribute(Simple),
    EnumAttribute(Vec<Member>),
    Event,
    Metric { instrument: Instrument, unit: String },
}

impl Declaration {
    /// The name of its constant: `process.pid` is `PROCESS_PID`.
    pub(crate) fn constant(&self) -> String {
        self.name.replace('.', "_").to_uppercase()
    }

    /// Whether the project made the name, or took it from OpenTelemetry. An event that is a call of the kernel is named as the call is.
    pub(crate) fn is_own(&self) -> bool {
        self.name.starts_with(OWN_PREFIX) || matches!(self.kind, Kind::Event)
    }
}

/// Every name that the model declares, sorted; or the first rule that it breaks, and where.
pub(crate) fn check(model: &Model) -> Result<Vec<Declaration>, String> {
    let mut declarations: BTreeMap<String, Declaration> = BTreeMap::new();
    let mut uses = Vec::new();
    for group in &model.groups {
        let mut found: Vec<Declaration> = declare_group(group)?.into_iter().collect();
        for attribute in &group.attributes {
            let place = format!("{}: {}", group.place, attribute_name(attribute).unwrap_or("?"));
            match declare_attribute(attribute).map_err(|problem| format!("{place}: {problem}"))? {
                Some(declaration) => found.push(declaration),
                None => uses.push((place, attribute_name(attribute).unwrap_or_default())),
            }
        }
        for declaration in found {
            let place = format!("{}: {}", group.place, declaration.name);
            check_name(&declaration).map_err(|problem| format!("{place}: {problem}"))?;
            if let Some(other) = declarations.insert(declaration.constant(), declaration) {
                return Err(format!("{place}: {} is declared already, and gives the same constant", other.name));
            }
        }
    }
    let mut declarations: Vec<_> = declarations.into_values().collect();
    declarations.sort_by(|a, b| a.name.cmp(&b.name));
    for (place, name) in uses {
        if declarations.binary_search_by(|declaration| declaration.name.as_str().cmp(name)).is_err() {
            return Err(format!(
                "{place}: declared nowhere; say `id` for an own name, `annotations: {{type: …}}` and `brief` for a standard one"
            ));
        }
    }
    Ok(declarations)
}

/// The attribute's name, whether it is defined or referred to.
pub(crate) fn attribute_name(attribute: &Attribute) -> Option<&str> {
    attribute.id.as_deref().or(attribute.reference.as_deref())
}

fn declare_group(group: &Group) -> Result<Option<Declaration>, String> {
    let head = &group.head;
    let (name, kind) = match head {
        Head { group_type: GroupType::AttributeGroup, name: None, metric_name: None, span_kind: None, .. }
        | Head {
            group_type: GroupType::Span,
            name: None,
            metric_name: None,
            span_kind: Some(_),
            stability: Some(_),
            ..
        } => {
            return Ok(None);
        }
        Head { group_type: GroupType::Event, name: Some(name), metric_name: None, stability: Some(_), .. } => {
            (name, Kind::Event)
        }
        Head {
            group_type: GroupType::Metric,
            name: None,
            metric_name: Some(name),
            instrument: Some(instrument),
            unit: Some(unit),
            stability: Some(_),
            ..
        } => (name, Kind::Metric { instrument: *instrument, unit: unit.clone() }),
        _ => {
            return Err(format!(
                "{}: a span says span_kind and stability; an event name and stability; a metric metric_name, instrument, unit and stability; and none says another's",
                group.place
            ));
        }
    };
    let declaration = Declaration { name: name.clone(), brief: one_line(&head.brief), examples: Vec::new(), kind };
    if matches!(declaration.kind, Kind::Event) && name.contains('.') && !name.starts_with(OWN_PREFIX) {
        return Err(format!(
            "{}: {name}: an event is named as a call of the kernel is, or begins with {OWN_PREFIX}",
            group.place
        ));
    }
    Ok(Some(declaration))
}

/// `None` for the mere use of an attribute that is declared elsewhere.
fn declare_attribute(attribute: &Attribute) -> Result<Option<Declaration>, String> {
    let (name, kind) = match attribute {
        Attribute { id: Some(id), reference: None, value_type: Some(value_type), stability: Some(_), annotations: None, .. } => {
            if !id.starts_with(OWN_PREFIX) {
                return Err(format!("an own name begins with {OWN_PREFIX}; a standard one is a `ref`"));
            }
            let kind = match value_type {
                ValueType::Simple(simple) => Kind::Attribute(*simple),
                ValueType::Enum(members) => Kind::EnumAttribute(members.members.clone()),
            };
            (id, kind)
        }
        Attribute { id: None, reference: Some(name), value_type: None, stability: None, annotations: Some(annotations), .. } => {
            if name.starts_with(OWN_PREFIX) {
                return Err("a `ref` to an own name says nothing but `ref`; its `id` entry has the type".to_owned());
            }
            (name, Kind::Attribute(annotations.value_type))
        }
        Attribute { id: None, reference: Some(_), value_type: None, stability: None, annotations: None, brief: None, .. } => {
            return Ok(None);
        }
        _ => return Err("an own attribute says id, type, stability and brief; a standard one ref, annotations and brief; a use only ref".to_owned()),
    };
    let brief = attribute.brief.as_deref().ok_or("brief is missing")?;
    let needs_examples = matches!(kind, Kind::Attribute(Simple::String | Simple::Strings));
    if needs_examples && attribute.examples.is_empty() {
        return Err("a string needs examples".to_owned());
    }
    let examples = attribute.examples.iter().map(example_text).collect::<Result<_, _>>()?;
    Ok(Some(Declaration { name: name.clone(), brief: one_line(brief), examples, kind }))
}

/// OpenTelemetry's rule for names, and what keeps constants legal: dotted, lower-case, each part beginning with a letter.
/// The names of calls have no dots.
fn check_name(declaration: &Declaration) -> Result<(), String> {
    let name = &declaration.name;
    let legal = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part
                .chars()
                .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_')
    };
    let dotted = name.contains('.') || matches!(declaration.kind, Kind::Event);
    if dotted && name.split('.').all(legal) {
        Ok(())
    } else {
        Err("a name is parts of a-z, 0-9 and _ that begin with a letter, joined by dots".to_owned())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn example_text(example: &serde_yaml_ng::Value) -> Result<String, String> {
    use serde_yaml_ng::Value;
    match example {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Sequence(list) => {
            let parts = list
                .iter()
                .map(|part| part.as_str().map(|text| format!("{text:?}")).ok_or("an example list holds strings"));
            Ok(format!("[{}]", parts.collect::<Result<Vec<_>, _>>()?.join(", ")))
        }
        _ => Err("an example is a string, a number or a list of strings".to_owned()),
    }
}

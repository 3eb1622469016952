//! Values of attributes by name.

use agentsight_semconv::Name;

use crate::spans::model::{Attribute, Value};

fn value(attributes: &[Attribute], name: Name) -> Option<&Value> {
    attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
}

pub(super) fn text(attributes: &[Attribute], name: Name) -> Option<&str> {
    if let Some(Value::Text(text)) = value(attributes, name) { Some(text) } else { None }
}

pub(super) fn texts(attributes: &[Attribute], name: Name) -> &[String] {
    if let Some(Value::Texts(texts)) = value(attributes, name) { texts } else { &[] }
}

pub(super) fn int(attributes: &[Attribute], name: Name) -> Option<i64> {
    if let Some(Value::Int(number)) = value(attributes, name) { Some(*number) } else { None }
}

pub(super) fn double(attributes: &[Attribute], name: Name) -> Option<f64> {
    if let Some(Value::Double(number)) = value(attributes, name) { Some(*number) } else { None }
}

pub(super) fn is_set(attributes: &[Attribute], name: Name) -> bool {
    value(attributes, name) == Some(&Value::Bool(true))
}

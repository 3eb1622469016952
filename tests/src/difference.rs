//! Where two answers in JSON part.

use serde_json::Value;

/// One line for each place where two values part.
#[must_use]
pub fn difference(ours: &Value, theirs: &Value, place: &str) -> String {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys());
            let parts = names
                .filter(|name| one.get(*name) != other.get(*name))
                .map(|name| difference(&ours[name.as_str()], &theirs[name.as_str()], &format!("{place}.{name}")));
            parts.collect::<Vec<_>>().join("\n")
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
            pairs
                .map(|(at, (one, other))| difference(one, other, &format!("{place}[{at}]")))
                .collect::<Vec<_>>()
                .join("\n")
        }
        (Value::Array(one), Value::Array(other)) => {
            let only = |these: &[Value], those: &[Value]| {
                let only: Vec<String> =
                    these.iter().filter(|value| !those.contains(value)).map(Value::to_string).collect();
                only.join("\n    ")
            };
            let (here, there) = (only(one, other), only(other, one));
            format!("{place}: {} and {} of them\n  only here: {here}\n  only there: {there}", one.len(), other.len())
        }
        _ => format!("{place}: {ours} and {theirs}"),
    }
}

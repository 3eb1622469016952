//! Jaeger's query API over the store, so that whatever asks a Jaeger can ask AgentSight: the stable `/api/v3`, and the older
//! one that Grafana's data source and Jaeger's page call.

mod find;
mod legacy;
mod v3;

use serde_json::Value;

use super::answer::Trouble;
use super::parameters::Parameters;
use super::v1::Ask;

type Handler = Box<dyn FnOnce(&Ask<'_>, Parameters) -> Result<Value, Trouble> + Send>;

/// What answers a path behind `/api/`.
pub(super) fn handler(segments: &[&str]) -> Option<Handler> {
    let own = |text: &str| text.to_owned();
    Some(match *segments {
        ["v3", "services"] => Box::new(v3::services),
        ["v3", "operations"] => Box::new(v3::operations),
        ["v3", "traces"] => Box::new(v3::traces),
        ["v3", "traces", id] => {
            let id = own(id);
            Box::new(move |ask, parameters| v3::trace(ask, &id, parameters))
        }
        ["services"] => Box::new(legacy::services),
        ["services", service, "operations"] => {
            let service = own(service);
            Box::new(move |ask, parameters| legacy::operation_names(ask, &service, parameters))
        }
        ["operations"] => Box::new(legacy::operations),
        ["traces"] => Box::new(legacy::traces),
        ["traces", id] => {
            let id = own(id);
            Box::new(move |ask, parameters| legacy::trace(ask, &id, parameters))
        }
        ["dependencies"] => Box::new(legacy::dependencies),
        _ => return None,
    })
}

/// A number as Go writes it: without a fraction where it has none.
fn double(number: f64) -> Value {
    // Below 2^53 every whole number has its own double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // Whole, and within the bounds of the type.
    #[expect(clippy::cast_possible_truncation)]
    if number.fract() == 0.0 && number.abs() < EXACT { (number as i64).into() } else { number.into() }
}

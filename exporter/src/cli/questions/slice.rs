//! `agentsight why` and `agentsight impact`.

use std::process::ExitCode;

use agentsight::answer::picture::Picture;
use agentsight::answer::{json, slice_text};
use agentsight::query::slice::{Reach, Slice, Way, slice};
use serde_json::Value;

use super::focus::focus;
use super::place::{Place, clock};
use super::{SliceArgs, TreeFormat, Trouble, finish, output};

/// `agentsight why`.
pub(crate) fn why(args: &SliceArgs) -> ExitCode {
    finish("why", try_slice(args, Way::Why))
}

/// `agentsight impact`.
pub(crate) fn impact(args: &SliceArgs) -> ExitCode {
    finish("impact", try_slice(args, Way::Impact))
}

fn try_slice(args: &SliceArgs, way: Way) -> Result<(), Trouble> {
    let place = Place::open(&args.place)?;
    let focus = focus(&place, &args.focus)?;
    let reach = Reach { depth: args.depth, spans: args.spans.max(1), confidence: args.confidence };
    let found = slice(&mut *place.source()?, &[focus], way, reach)?;
    if found.nodes.is_empty() {
        return Err(Trouble::NotFound(format!("there is no span {} in trace {} here", focus.span_id, focus.trace_id)));
    }
    match args.format {
        TreeFormat::Tree => output::text(&slice_text(&found, way, &clock()))?,
        TreeFormat::Json => output::json(&json::slice(&found))?,
        TreeFormat::Ndjson => output::lines(objects(&found))?,
        TreeFormat::Dot => output::text(&Picture::of_slice(&found).dot())?,
        TreeFormat::Mermaid => output::text(&Picture::of_slice(&found).mermaid())?,
    }
    Ok(())
}

/// Each span, edge and gap with what it is.
fn objects(found: &Slice) -> Vec<Value> {
    let Value::Object(mut all) = json::slice(found) else { return Vec::new() };
    let mut objects = Vec::new();
    for (list, what) in [("spans", "span"), ("edges", "edge"), ("gaps", "gap")] {
        let Some(Value::Array(values)) = all.remove(list) else { continue };
        objects.extend(values.into_iter().map(|value| serde_json::json!({ what: value })));
    }
    objects
}

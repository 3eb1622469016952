//! `agentsight content`: the bytes that a span moved, where they were captured.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use agentsight::answer::{content, readings_table};
use agentsight::session::SpanRef;
use agentsight::store::CONTENT_LIMITS;

use super::focus::focus;
use super::place::{Place, clock};
use super::{ContentArgs, Trouble, finish, output};

/// `agentsight content`.
pub(crate) fn content(args: &ContentArgs) -> ExitCode {
    finish("content", try_content(args))
}

fn try_content(args: &ContentArgs) -> Result<(), Trouble> {
    if args.raw && io::stdout().is_terminal() {
        return Err(Trouble::Unclear(
            "raw bytes could drive this terminal: send them to a file or a program (--raw > FILE), or leave --raw out"
                .to_owned(),
        ));
    }
    let place = Place::open(&args.place)?;
    let id = focus(&place, &args.focus)?;
    if args.readers {
        return Ok(output::text(&readings_table(&place.readings(id)?, &clock()))?);
    }
    let found = place.content(id)?.ok_or_else(|| none(id))?;
    if args.raw {
        output::bytes(&found.bytes)?;
    } else if args.hex {
        output::text(&content::hex(&found))?;
    } else {
        output::text(&content::text(&found))?;
    }
    for note in content::notes(&found) {
        eprintln!("agentsight: {note}");
    }
    Ok(())
}

fn none(id: SpanRef) -> Trouble {
    Trouble::NotFound(format!(
        "there are no contents of span {} here: contents are captured only where `run --capture` or the daemon's configuration asks for it, and kept for {} days",
        id.span_id,
        CONTENT_LIMITS.age.as_secs() / 86_400
    ))
}

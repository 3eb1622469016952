//! Whether spans can be kept.

use super::{AS_ROOT, Question, mebibytes};
use crate::doctor::facts::{Facts, Place};
use crate::doctor::report::{Check, Group, Need};

/// A busy hour's spans.
const ROOM_BYTES: u64 = 256 << 20;

pub(super) fn folder(facts: &Facts) -> Check {
    let check = Question { id: "store.folder", group: Group::Store, title: "folder", need: Need::Needed };
    let dir = facts.store.dir.display();
    let means = "Spans are kept there until they are sent; root alone may look into it.";
    match &facts.store.place {
        Place::Opens => check.ok(format!("{dir} opens"), means),
        Place::Missing => check.ok(format!("{dir} is made by the first run"), means),
        Place::Closed => check.ok(format!("{dir} belongs to root"), means),
        Place::Refused(reason) => {
            check.broken(reason, "Tracing does not start without a store.", format!("sudo mv {dir} {dir}.old"))
        }
        Place::Foreign(owner) => check.broken(
            format!("{dir} belongs to user {owner}"),
            "Whoever owns the store can rewrite a trace, so it is not used.",
            format!("sudo mv {dir} {dir}.old"),
        ),
    }
}

pub(super) fn free_space(facts: &Facts) -> Check {
    let check = Question { id: "store.free_space", group: Group::Store, title: "free space", need: Need::Feature };
    let means = "The store takes up to 1 GiB; on a full disk spans wait in memory, and are lost in the end.";
    match facts.store.free_bytes {
        Some(bytes) if bytes >= ROOM_BYTES => check.ok(mebibytes(bytes), means),
        Some(bytes) => {
            check.limited(mebibytes(bytes), means, format!("make room; see: df -h {}", facts.store.dir.display()))
        }
        None => check.unknown("cannot be seen", means, AS_ROOT),
    }
}

pub(super) fn collectors(facts: &Facts) -> Check {
    let check = Question { id: "store.collectors", group: Group::Store, title: "collectors", need: Need::Information };
    let means = "A process that one of them traces already is not traced twice; without one, run starts its own.";
    let stale = match facts.store.stale_sockets {
        0 => String::new(),
        number => format!(" ({number} left a socket behind, which the next one removes)"),
    };
    match facts.store.collectors {
        0 => check.ok(format!("none is running{stale}"), means),
        number => check.ok(format!("{number} running{stale}"), means),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::well;

    #[test]
    fn a_store_that_is_not_there_yet_is_well_and_anothers_is_not() {
        let status = |place| {
            let mut facts = well();
            facts.store.place = place;
            folder(&facts).status
        };
        assert_eq!(status(Place::Missing), Status::Ok);
        assert_eq!(status(Place::Closed), Status::Ok);
        assert_eq!(status(Place::Foreign(1000)), Status::Broken);
        assert_eq!(status(Place::Refused("it is a link".to_owned())), Status::Broken);
    }

    #[test]
    fn a_nearly_full_disk_limits() {
        let mut facts = well();
        facts.store.free_bytes = Some(5 << 20);
        assert_eq!((free_space(&facts).status, free_space(&facts).found.as_str()), (Status::Limited, "5 MiB"));
    }
}

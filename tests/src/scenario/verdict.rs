//! Whether a line of a scenario holds of a trace.

use std::collections::BTreeMap;

use super::account::{Account, Image, io_bytes, is_system};
use super::claim::{Claim, Endpoint, ImagePattern, LinkClaim, PidRelation, Statement, Status};
use super::links::Link;

/// Whether it does.
pub(super) fn holds(claim: &Claim, account: &Account<'_>) -> bool {
    match claim {
        Claim::Holds(statement) => is_said(statement, account, Wanted::Yes),
        Claim::Never(statement) => !is_said(statement, account, Wanted::No),
        Claim::Either(claims) => claims.iter().any(|claim| holds(claim, account)),
    }
}

/// A doubtful link is held against the trace: where it is wanted all must be sure enough, where not, none may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

fn is_said(statement: &Statement, account: &Account<'_>, wanted: Wanted) -> bool {
    match statement {
        Statement::Child { parent, child, pids } => is_child(account, parent, child, *pids),
        Statement::Transfer { action, image, object, bytes } => account.matches(image).into_iter().any(|image| {
            let bursts = account.doings(image, action, object);
            let sum: u64 = bursts.iter().map(|&at| io_bytes(account.span(at))).sum();
            !bursts.is_empty() && bytes.is_none_or(|bytes| bytes == sum)
        }),
        Statement::Link(claim) => by_images(account, claim).values().any(|links| is_enough(claim, links, wanted)),
        Statement::Count(claim, number) => {
            let sure = |link: &&&Link<'_>| claim.confidence.is_none_or(|least| link.confidence >= least);
            let pairs = by_images(account, claim);
            let counted = pairs.values().filter(|links| has_bytes(claim, links));
            counted.map(|links| links.iter().filter(sure).count()).sum::<usize>() == *number
        }
        Statement::Event { image, name } => images(account, image)
            .any(|image| image.spans.iter().flat_map(|span| &span.events).any(|event| event.name == *name)),
        Statement::Status { of, status } => has_status(account, of, status),
        Statement::Trace { image, trace_id, parent } => images(account, image).any(|image| {
            let is_parent = |parent: &String| image.span.parent.as_ref() == Some(parent);
            image.span.trace_id == *trace_id && parent.as_ref().is_none_or(is_parent)
        }),
    }
}

/// The links that a claim may speak of, by the pair of images that they join.
pub(super) fn by_images<'a, 'b>(
    account: &'b Account<'a>,
    claim: &LinkClaim,
) -> BTreeMap<(usize, usize), Vec<&'b Link<'a>>> {
    let (causes, effects) = (account.matches(&claim.cause.image), account.matches(&claim.effect.image));
    let mut pairs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for link in account.links.iter().filter(|link| link.link_type == claim.link_type) {
        let Some(cause) = link.cause.filter(|&cause| account.is_end(cause, &claim.cause)) else { continue };
        let ends = account.owner(cause).zip(account.owner(link.effect));
        let Some(ends) = ends.filter(|_| account.is_end(link.effect, &claim.effect)) else { continue };
        if causes.contains(&ends.0) && effects.contains(&ends.1) {
            pairs.entry(ends).or_default().push(link);
        }
    }
    pairs
}

fn is_enough(claim: &LinkClaim, links: &[&Link<'_>], wanted: Wanted) -> bool {
    let sure = |link: &&Link<'_>| claim.confidence.is_none_or(|least| link.confidence >= least);
    let confident = match wanted {
        Wanted::Yes => links.iter().all(sure),
        Wanted::No => links.iter().any(sure),
    };
    confident && has_bytes(claim, links)
}

fn has_bytes(claim: &LinkClaim, links: &[&Link<'_>]) -> bool {
    claim.bytes.is_none_or(|bytes| bytes == links.iter().map(|link| link.bytes).sum::<u64>())
}

fn is_child(account: &Account<'_>, parent: &ImagePattern, child: &ImagePattern, pids: PidRelation) -> bool {
    let parents = account.matches(parent);
    images(account, child).any(|child| {
        child.parent.filter(|parent| parents.contains(parent)).is_some_and(|parent| {
            let pid = |image: &Image<'_>| image.span.int("process.pid");
            let (here, there) = (pid(child), pid(&account.images[parent]));
            match pids {
                PidRelation::Any => true,
                PidRelation::Same => here.is_some() && here == there,
                PidRelation::Other => here.is_some() && there.is_some() && here != there,
            }
        })
    })
}

fn has_status(account: &Account<'_>, of: &Endpoint, status: &Status) -> bool {
    let is_it = |code: u64, error_type: &str| match status {
        Status::Unset => code == 0,
        Status::Ok => code == 1,
        Status::Error(expected) => code == 2 && error_type == expected,
    };
    match &of.doing {
        None => images(account, &of.image).any(|image| {
            let (code, error_type) = image_status(image);
            is_it(code, error_type)
        }),
        Some((action, object)) => account.matches(&of.image).into_iter().any(|image| {
            account.doings(image, action, object).into_iter().any(|at| {
                let span = account.span(at);
                is_it(span.status_code, span.text("error.type"))
            })
        }),
    }
}

/// An image's status: that of its `exit` where it was promoted.
pub(super) fn image_status<'a>(image: &Image<'a>) -> (u64, &'a str) {
    let last = image.spans.iter().find(|span| span.text("agentsight.action") == "exit").unwrap_or(&image.span);
    (last.status_code, last.text("error.type"))
}

fn images<'a, 'b>(account: &'b Account<'a>, pattern: &ImagePattern) -> impl Iterator<Item = &'b Image<'a>> {
    account.matches(pattern).into_iter().map(|index| &account.images[index])
}

/// Whether a link's ends both count, that is neither is on a system path.
pub(super) fn counts(account: &Account<'_>, link: &Link<'_>) -> bool {
    let is_counted = |at: usize| !is_system(account.span(at));
    is_counted(link.effect) && link.cause.is_none_or(is_counted)
}

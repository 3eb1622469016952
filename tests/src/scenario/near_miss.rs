//! What a trace has in place of what a line says: said where a line fails, so that a reader need not open the trace.

use super::account::{Account, Image, io_bytes, is_process};
use super::claim::{Claim, ImagePattern, LinkClaim, Object, PidRelation, Statement};
use super::links::Link;
use super::verdict::{by_images, counts, image_status};

/// More lines than these are cut.
const SHOWN_MAX: usize = 20;

/// One thing a line; never nothing.
pub(super) fn of(claim: &Claim, account: &Account<'_>) -> Vec<String> {
    let mut found = match claim {
        Claim::Holds(statement) => instead(statement, account),
        Claim::Never(statement) => forbidden(statement, account),
        Claim::Either(claims) => claims.iter().flat_map(|claim| of(claim, account)).collect(),
    };
    if found.len() > SHOWN_MAX {
        let more = found.len() - SHOWN_MAX;
        found.truncate(SHOWN_MAX);
        found.push(format!("… and {more} more"));
    }
    if found.is_empty() {
        found.push("nothing like it".into());
    }
    found
}

/// What there is where something should be.
fn instead(statement: &Statement, account: &Account<'_>) -> Vec<String> {
    let missing = missing_images(statement, account);
    if !missing.is_empty() {
        return missing;
    }
    match statement {
        Statement::Child { parent, child, .. } => {
            let of_child = account.matches(child).into_iter().map(|index| with_parent(account, index));
            let of_parent = account.matches(parent);
            let is_child =
                |index: &usize| account.images[*index].parent.is_some_and(|parent| of_parent.contains(&parent));
            let children = (0..account.images.len()).filter(is_child).map(|index| with_parent(account, index));
            unique(of_child.chain(children))
        }
        Statement::Transfer { action, image, object, .. } => {
            let owns = account.matches(image);
            let own = owns.iter().flat_map(|&index| account.doings(index, action, &Object::Any));
            let all = 0..account.images.len();
            let others =
                all.filter(|index| !owns.contains(index)).flat_map(|index| account.doings(index, action, object));
            unique(own.chain(others).map(|at| doing(account, at)))
        }
        Statement::Link(claim) => near_links(claim, account),
        Statement::Count(claim, _) => {
            let links: Vec<_> = by_images(account, claim).into_values().flatten().map(|it| link(account, it)).collect();
            std::iter::once(format!("{} such links", links.len())).chain(links).collect()
        }
        Statement::Event { image, .. } => {
            account.matches(image).into_iter().map(|index| events(account, index)).collect()
        }
        Statement::Status { of, .. } => match &of.doing {
            None => account.matches(&of.image).into_iter().map(|index| status(account, index)).collect(),
            Some((action, object)) => {
                let all = account.matches(&of.image).into_iter();
                let spans = all.flat_map(|index| account.doings(index, action, object));
                spans
                    .map(|at| {
                        format!(
                            "{} has status {} {:?}",
                            doing(account, at),
                            account.span(at).status_code,
                            account.span(at).text("error.type")
                        )
                    })
                    .collect()
            }
        },
        Statement::Trace { image, .. } => {
            account.matches(image).into_iter().map(|index| in_trace(account, index)).collect()
        }
    }
}

/// What there is where nothing should be.
fn forbidden(statement: &Statement, account: &Account<'_>) -> Vec<String> {
    match statement {
        Statement::Child { parent, child, pids } => {
            let parents = account.matches(parent);
            let pid = |index: usize| account.images[index].span.int("process.pid");
            let is_it = |&index: &usize| {
                account.images[index].parent.filter(|parent| parents.contains(parent)).is_some_and(
                    |parent| match pids {
                        PidRelation::Any => true,
                        PidRelation::Same => pid(parent) == pid(index),
                        PidRelation::Other => pid(parent) != pid(index),
                    },
                )
            };
            account.matches(child).into_iter().filter(is_it).map(|index| with_parent(account, index)).collect()
        }
        Statement::Transfer { action, image, object, .. } => {
            let all = account.matches(image).into_iter().flat_map(|index| account.doings(index, action, object));
            all.map(|at| doing(account, at)).collect()
        }
        Statement::Link(claim) => {
            by_images(account, claim).into_values().flatten().map(|found| link(account, found)).collect()
        }
        Statement::Count(..) | Statement::Event { .. } | Statement::Status { .. } | Statement::Trace { .. } => {
            instead(statement, account)
        }
    }
}

/// Links of this type, and links of another between these images.
fn near_links(claim: &LinkClaim, account: &Account<'_>) -> Vec<String> {
    let (causes, effects) = (account.matches(&claim.cause.image), account.matches(&claim.effect.image));
    let joins = |found: &&Link<'_>| {
        let cause = found.cause.and_then(|cause| account.owner(cause));
        let effect = account.owner(found.effect);
        cause.is_some_and(|cause| causes.contains(&cause)) && effect.is_some_and(|effect| effects.contains(&effect))
    };
    let counted = || account.links.iter().filter(|link| counts(account, link));
    let between = counted().filter(joins).map(|found| link(account, found));
    let same_type = counted().filter(|found| found.link_type == claim.link_type).map(|found| link(account, found));
    let ends = [(&claim.cause, &causes), (&claim.effect, &effects)].into_iter();
    let actions = ends.filter_map(|(end, images)| end.doing.as_ref().map(|(action, _)| (action, images)));
    let bursts = actions.flat_map(|(action, images)| {
        images.iter().flat_map(|&index| account.doings(index, action, &Object::Any)).collect::<Vec<_>>()
    });
    unique(between.chain(same_type).chain(bursts.map(|at| doing(account, at))))
}

/// A word for patterns that no image matches, and what images there are.
fn missing_images(statement: &Statement, account: &Account<'_>) -> Vec<String> {
    let patterns: Vec<&ImagePattern> = match statement {
        Statement::Child { parent, child, .. } => vec![parent, child],
        Statement::Link(claim) | Statement::Count(claim, _) => vec![&claim.cause.image, &claim.effect.image],
        Statement::Transfer { image, .. } | Statement::Event { image, .. } | Statement::Trace { image, .. } => {
            vec![image]
        }
        Statement::Status { of, .. } => vec![&of.image],
    };
    let missing = patterns.into_iter().filter(|pattern| account.matches(pattern).is_empty());
    let missing: Vec<_> = missing.map(|pattern| format!("no image `{pattern}`")).collect();
    if missing.is_empty() {
        return missing;
    }
    let images = (0..account.images.len()).map(|index| with_parent(account, index));
    missing.into_iter().chain(images).collect()
}

/// An image in few words.
pub(super) fn image(found: &Image<'_>) -> String {
    let span = found.span;
    let pid = span.int("process.pid").map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let arguments = span.texts("process.command_args").join(" ");
    let arguments = arguments.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    format!("{} (pid {pid}: {arguments})", span.text("process.executable.name"))
}

/// A span in few words, with its image.
pub(super) fn doing(account: &Account<'_>, at: usize) -> String {
    let span = account.span(at);
    let owner = account.owner(at).map_or_else(|| "nobody".to_owned(), |index| image(&account.images[index]));
    if is_process(span) {
        return owner;
    }
    let path = span.text("file.path");
    let object = if path.is_empty() { String::new() } else { format!(" {path}") };
    let kind = span.text("agentsight.object.type");
    format!("{owner} {} {kind}{object} {} bytes", span.text("agentsight.action"), io_bytes(span))
}

/// A link in few words.
pub(super) fn link(account: &Account<'_>, found: &Link<'_>) -> String {
    let cause = match found.cause {
        Some(cause) => doing(account, cause),
        None => format!("a span {} that is not there", found.names.span_id),
    };
    let Link { link_type, bytes, confidence, .. } = found;
    format!("link {link_type}: {cause} -> {}, {bytes} bytes, confidence {confidence}", doing(account, found.effect))
}

fn with_parent(account: &Account<'_>, index: usize) -> String {
    let found = &account.images[index];
    let parent = found.parent.map_or_else(|| "nobody".to_owned(), |parent| image(&account.images[parent]));
    format!("{}, child of {parent}", image(found))
}

fn events(account: &Account<'_>, index: usize) -> String {
    let found = &account.images[index];
    let names: Vec<_> = found.spans.iter().flat_map(|span| &span.events).map(|event| event.name.as_str()).collect();
    format!("{} has the events [{}]", image(found), names.join(", "))
}

fn status(account: &Account<'_>, index: usize) -> String {
    let (code, error_type) = image_status(&account.images[index]);
    format!("{} has status {code} (0 unset, 1 OK, 2 ERROR), error.type {error_type:?}", image(&account.images[index]))
}

fn in_trace(account: &Account<'_>, index: usize) -> String {
    let span = account.images[index].span;
    let parent = span.parent.as_deref().unwrap_or("none");
    format!("{} is in trace {}, its parent is {parent}", image(&account.images[index]), span.trace_id)
}

fn unique(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for line in lines {
        if !kept.contains(&line) {
            kept.push(line);
        }
    }
    kept
}

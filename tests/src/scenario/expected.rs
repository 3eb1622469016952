//! One line of a scenario that says what must hold, from text to `Claim`.

use super::claim::{Claim, Endpoint, ImagePattern, LinkClaim, Object, PidRelation, Statement, Status};

/// Reads a line; the error says what was expected in its place.
pub(super) fn claim(line: &str) -> Result<Claim, String> {
    let alternatives: Vec<&str> = line.split(" OR ").map(str::trim).collect();
    if let [only] = alternatives[..] {
        return single(only);
    }
    Ok(Claim::Either(alternatives.into_iter().map(single).collect::<Result<_, _>>()?))
}

fn single(line: &str) -> Result<Claim, String> {
    match line.strip_prefix("no ") {
        Some(line) => Ok(Claim::Never(statement(line.trim())?)),
        None => Ok(Claim::Holds(statement(line)?)),
    }
}

fn statement(line: &str) -> Result<Statement, String> {
    let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match keyword {
        "child" => child(rest, PidRelation::Any),
        "same-pid" => child(rest, PidRelation::Same),
        "other-pid" => child(rest, PidRelation::Other),
        "read" => transfer(rest, "read"),
        "write" => transfer(rest, "write"),
        "link" => Ok(Statement::Link(link(rest)?)),
        "count" => {
            let (what, number) = rest.rsplit_once('=').ok_or("`count link … = N`")?;
            let what = what.strip_prefix("link ").ok_or("`link` after `count`")?;
            Ok(Statement::Count(link(what.trim())?, number.trim().parse().map_err(|_| "a number after `=`")?))
        }
        "event" => match words(rest)[..] {
            [who, name] => Ok(Statement::Event { image: image(who)?, name: name.to_owned() }),
            _ => Err("`event P NAME`".into()),
        },
        "status" => status(rest),
        "trace" => trace(rest),
        _ => {
            Err("`run:`, `file NAME:`, `options:`, a comment, or a line that starts with child, same-pid, other-pid, \
                  read, write, link, count, event, status, trace or no"
                .into())
        }
    }
}

fn child(rest: &str, pids: PidRelation) -> Result<Statement, String> {
    let (parent, child) = rest.split_once(" > ").ok_or("`A > B`")?;
    Ok(Statement::Child { parent: image(parent)?, child: image(child)?, pids })
}

fn transfer(rest: &str, action: &'static str) -> Result<Statement, String> {
    let form = || format!("`{action} P OBJ [N]`");
    let (who, rest) = rest.split_once(char::is_whitespace).ok_or_else(form)?;
    // The last word is the number of bytes, unless it is the only one: then it is the name of a file.
    let (object, bytes) = match rest.trim().rsplit_once(char::is_whitespace).map(|(name, n)| (name, n.parse())) {
        Some((name, Ok(bytes))) => (name.trim(), Some(bytes)),
        _ => (rest.trim(), None),
    };
    Ok(Statement::Transfer { action, image: image(who)?, object: self::object(object)?, bytes })
}

/// `TYPE CAUSE -> EFFECT [N] [>=C]`.
fn link(rest: &str) -> Result<LinkClaim, String> {
    let form = || "`link TYPE P.write(OBJ) -> Q.read(OBJ) [N] [>=C]`, or `-> Q`".to_owned();
    let (link_type, ends) = rest.split_once(char::is_whitespace).ok_or_else(form)?;
    let (cause, rest) = ends.split_once(" -> ").ok_or_else(form)?;
    let rest = rest.trim();
    // A file's name may have blanks, an image's may not.
    let end = rest.rfind(')').map(|at| at + 1).or_else(|| rest.find(char::is_whitespace)).unwrap_or(rest.len());
    let (effect, numbers) = rest.split_at(end);
    let mut claim = LinkClaim {
        link_type: link_type.to_owned(),
        cause: endpoint(cause)?,
        effect: endpoint(effect)?,
        bytes: None,
        confidence: None,
    };
    for word in words(numbers) {
        if let Some(least) = word.strip_prefix(">=") {
            let least = least.parse::<f64>().ok().filter(|least| (0.0..=1.0).contains(least));
            claim.confidence = Some(least.ok_or("a confidence from 0 to 1 after `>=`")?);
        } else {
            claim.bytes = Some(word.parse().map_err(|_| form())?);
        }
    }
    Ok(claim)
}

fn status(rest: &str) -> Result<Statement, String> {
    let form = || "`status P ERROR TYPE` (or `status P UNSET`, `status P OK`)".to_owned();
    let at = rest.rfind(')').map_or(0, |at| at + 1);
    let split = rest[at..].find(char::is_whitespace).ok_or_else(form)? + at;
    let (of, said) = rest.split_at(split);
    let status = match words(said)[..] {
        ["ERROR", error_type] => Status::Error(error_type.to_owned()),
        ["UNSET"] => Status::Unset,
        ["OK"] => Status::Ok,
        _ => return Err(form()),
    };
    Ok(Statement::Status { of: endpoint(of)?, status })
}

fn trace(rest: &str) -> Result<Statement, String> {
    let (who, trace_id, parent) = match words(rest)[..] {
        [who, trace_id] => (who, trace_id, None),
        [who, trace_id, "parent", parent] => (who, trace_id, Some(parent)),
        _ => return Err("`trace P TRACE [parent SPAN]`".into()),
    };
    let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex(trace_id, 32) || !parent.is_none_or(|parent| is_hex(parent, 16)) {
        return Err("a trace id of 32 hex digits, and a span id of 16".into());
    }
    Ok(Statement::Trace {
        image: image(who)?,
        trace_id: trace_id.to_ascii_lowercase(),
        parent: parent.map(str::to_ascii_lowercase),
    })
}

/// `P` or `P.ACTION(OBJ)`.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let text = text.trim();
    let Some((before, object)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
        return Ok(Endpoint { image: image(text)?, doing: None });
    };
    // An image's name may have a dot, an action has none.
    let (who, action) = before.rsplit_once('.').ok_or("`P.ACTION(OBJ)`")?;
    Ok(Endpoint { image: image(who)?, doing: Some((action.to_owned(), self::object(object)?)) })
}

fn image(text: &str) -> Result<ImagePattern, String> {
    let text = text.trim();
    let (name, number) = match text.rsplit_once('#') {
        Some((name, number)) => {
            let number = number.parse().ok().filter(|number| *number > 0);
            (name, Some(number.ok_or("a number from 1 after `#`")?))
        }
        None => (text, None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("the name of an image, not `{text}`"));
    }
    Ok(ImagePattern { name: name.to_owned(), number })
}

fn object(text: &str) -> Result<Object, String> {
    match text.trim() {
        "" => Err("an object: the base name of a file, `pipe`, `unix`, `tcp`, `udp` or `*`".into()),
        "*" => Ok(Object::Any),
        name => Ok(Object::Named(name.to_owned())),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ImagePattern {
        ImagePattern { name: name.into(), number: None }
    }

    #[test]
    fn a_link_is_read_with_and_without_its_numbers() {
        let line = "link pipe cat#2.write(pipe) -> sort.read(a b) 32 >=0.95";
        let Ok(Claim::Holds(Statement::Link(link))) = claim(line) else { panic!() };
        assert_eq!(link.cause.to_string(), "cat#2.write(pipe)");
        assert_eq!(link.effect.to_string(), "sort.read(a b)");
        assert_eq!((link.bytes, link.confidence), (Some(32), Some(0.95)));
    }

    #[test]
    fn the_effect_of_a_link_may_be_an_image() {
        let Ok(Claim::Never(Statement::Link(link))) = claim("no link flow python3.11.read(*) -> cat >=0.3") else {
            panic!()
        };
        assert_eq!((link.cause.image, link.effect.doing), (named("python3.11"), None));
        assert_eq!(link.cause.doing, Some(("read".into(), Object::Any)));
        assert_eq!((link.bytes, link.confidence), (None, Some(0.3)));
    }

    #[test]
    fn the_last_number_of_a_transfer_is_its_bytes_unless_it_is_all_there_is() {
        let read = |name: &str, bytes| {
            let (image, object) = (named("cat"), Object::Named(name.into()));
            Ok(Claim::Holds(Statement::Transfer { action: "read", image, object, bytes }))
        };
        assert_eq!(claim("read cat in.txt 3000"), read("in.txt", Some(3000)));
        assert_eq!(claim("read cat 3000"), read("3000", None));
        assert_eq!(claim("read cat a b"), read("a b", None));
    }

    #[test]
    fn either_line_of_an_or_may_be_a_no() {
        let Ok(Claim::Either(lines)) = claim("no event mv rename OR child a > b OR write c *") else { panic!() };
        assert!(matches!(lines[..], [Claim::Never(_), Claim::Holds(_), Claim::Holds(_)]), "{lines:?}");
    }

    #[test]
    fn a_count_takes_the_number_after_the_last_equals_sign() {
        let Ok(Claim::Holds(Statement::Count(link, 2))) = claim("count link file a.write(x) -> b.read(x) >=0.5 = 2")
        else {
            panic!()
        };
        assert_eq!(link.confidence, Some(0.5));
    }

    #[test]
    fn each_mistake_is_refused() {
        for line in [
            "reads cat in.txt",
            "read cat",
            "child a b",
            "link file a.write(x) b.read(x)",
            "link file a.write(x) -> b.read(x) many",
            "link file a.write(x) -> b.read(x) >=2",
            "link file a.write() -> b.read(x)",
            "count link file a.write(x) -> b.read(x)",
            "event cat",
            "status cat ERROR",
            "status cat WRONG 1",
            "trace cat 12",
            "child a#0 > b",
            "no",
            "read cat in.txt OR ",
        ] {
            assert!(claim(line).is_err(), "`{line}` should be refused");
        }
    }
}

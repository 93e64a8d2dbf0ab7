//! Keys that are not at fixed places.
//!
//! Where the count of keys is wrong, the keys are unknown and nothing can be sent, so the errors are Redis' own words.

use super::refusal::Refusal;
use super::request::{Request, integer};

/// SINTERCARD numkeys key [key ...]
pub(super) fn sintercard(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    let count = positive_count(request)?;
    if count > request.len() - 2 {
        return Err(Refusal::invalid("Number of keys can't be greater than number of args"));
    }
    Ok((2..2 + count).collect())
}

/// LMPOP numkeys key [key ...] LEFT|RIGHT, ZMPOP numkeys key [key ...] MIN|MAX
pub(super) fn popped(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    let count = positive_count(request)?;
    // The end to pop from must follow the keys.
    if count >= request.len() - 2 {
        return Err(Refusal::syntax());
    }
    Ok((2..2 + count).collect())
}

/// ZUNION numkeys key [key ...] and its kin
pub(super) fn combined(name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    inputs(name, request, 1)
}

/// ZUNIONSTORE destination numkeys key [key ...] and its kin
pub(super) fn stored(name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    let mut keys = vec![1];
    keys.extend(inputs(name, request, 2)?);
    Ok(keys)
}

/// SORT key [... STORE destination ...]
pub(super) fn sort(name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    let mut keys = vec![1];
    let mut index = 2;
    while index < request.len() {
        index += match () {
            () if ["ASC", "DESC", "ALPHA"].iter().any(|option| request.is(index, option)) => 1,
            () if request.is(index, "LIMIT") && index + 2 < request.len() => {
                request.integer(index + 1)?;
                request.integer(index + 2)?;
                3
            }
            () if index + 1 >= request.len() => return Err(Refusal::syntax()),
            () if request.is(index, "STORE") && name == "sort" => {
                keys.push(index + 1);
                2
            }
            () if request.is(index, "BY") || request.is(index, "GET") => pattern(name, request, index)?,
            () => return Err(Refusal::syntax()),
        };
    }
    Ok(keys)
}

/// BY and GET may name only what the key itself holds: other keys, found by the elements' text, cannot be known before.
fn pattern(name: &str, request: &Request<'_>, index: usize) -> Result<usize, Refusal> {
    let pattern = request.arg(index + 1);
    let own = if request.is(index, "BY") { !pattern.contains(&b'*') } else { pattern == b"#" };
    if own {
        return Ok(2);
    }
    let reason = "BY and GET that look into other keys are not supported yet (BY nosort and GET # are)";
    Err(Refusal::unsupported(name, reason))
}

/// GEORADIUS key longitude latitude radius unit [... STORE key] [STOREDIST key]
pub(super) fn georadius(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    Ok(source_and_destinations(request, 6))
}

/// GEORADIUSBYMEMBER key member radius unit [... STORE key] [STOREDIST key]
pub(super) fn georadiusbymember(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    Ok(source_and_destinations(request, 5))
}

/// Where an option is none, the node refuses the command, in its own words: nothing will be stored.
fn source_and_destinations(request: &Request<'_>, start: usize) -> Vec<usize> {
    let (options, well_formed) = destinations(request, start);
    let found = options.into_iter().filter(|_| well_formed).map(|option| option + 1);
    std::iter::once(1).chain(found).collect()
}

/// The places of STORE and STOREDIST, and whether all is as it should be.
pub(super) fn destinations(request: &Request<'_>, start: usize) -> (Vec<usize>, bool) {
    const FLAGS: [&str; 6] = ["WITHDIST", "WITHHASH", "WITHCOORD", "ANY", "ASC", "DESC"];
    let mut found = Vec::new();
    let mut index = start;
    while index < request.len() {
        let last = index + 1 == request.len();
        index += match () {
            () if FLAGS.iter().any(|option| request.is(index, option)) => 1,
            () if request.is(index, "COUNT") && !last => 2,
            () if (request.is(index, "STORE") || request.is(index, "STOREDIST")) && !last => {
                found.push(index);
                2
            }
            () => return (found, false),
        };
    }
    (found, true)
}

fn positive_count(request: &Request<'_>) -> Result<usize, Refusal> {
    integer(request.arg(1))
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| Refusal::invalid("numkeys should be greater than 0"))
}

fn inputs(name: &str, request: &Request<'_>, at: usize) -> Result<Vec<usize>, Refusal> {
    let count = request.integer(at)?;
    match usize::try_from(count) {
        Ok(count @ 1..) if count < request.len() - at => Ok((at + 1..=at + count).collect()),
        Ok(1..) => Err(Refusal::syntax()),
        _ => Err(Refusal::invalid(format!("at least 1 input key is needed for '{name}' command"))),
    }
}

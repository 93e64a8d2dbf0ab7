//! What counts as the same reply.

use std::collections::BTreeSet;

use redis::Value;

use crate::generate::Words;
use crate::stated::{Manner, manner};

/// What is known besides the two replies.
pub struct Known<'a> {
    /// What the key held, where the choice is the server's own.
    pub held: Option<&'a Value>,
    pub circumstances: Circumstances,
}

#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// How long the sequence took, on both.
    pub apart_ms: u64,
    /// Errors are in the words of several versions, and numbers in their digits.
    pub has_other_words: bool,
}

/// Whether the reply of the store is what the plain server's reply says that it should be.
pub fn is_same(words: &Words, ours: &Value, plain: &Value, known: &Known<'_>) -> bool {
    let Circumstances { apart_ms, has_other_words } = known.circumstances;
    let alike = has_other_words.then(|| (of_any_version(ours), of_any_version(plain)));
    let (our_form, plain_form) = alike.as_ref().map_or((ours, plain), |(ours, plain)| (ours, plain));
    if matches!(ours, Value::ServerError(_)) || matches!(plain, Value::ServerError(_)) {
        return our_form == plain_form;
    }
    let (ours, plain) = (our_form, plain_form);
    match manner(words) {
        Manner::Equal => ours == plain,
        Manner::AnyOrder(size) => in_order(ours, size) == in_order(plain, size),
        Manner::Chosen(_, size) => {
            let held =
                known.held.map(|held| if has_other_words { of_any_version(held) } else { held.clone() });
            held.is_some_and(|held| is_choice(words, ours, plain, &held, size))
        }
        Manner::Length => items(ours).len() == items(plain).len(),
        Manner::Time(unit_ms) => is_near(ours, plain, apart_ms.div_ceil(unit_ms)),
        Manner::Presence => std::mem::discriminant(ours) == std::mem::discriminant(plain),
    }
}

/// Without what each version does in its own way: the words of errors after the first one, and the digits of numbers.
pub fn of_any_version(value: &Value) -> Value {
    match value {
        Value::ServerError(error) => Value::SimpleString(format!("-{}", error.code())),
        Value::Array(items) => Value::Array(items.iter().map(of_any_version).collect()),
        Value::BulkString(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
            // Whether a score keeps the sign of zero depends on version and encoding: + 0.0 takes it away.
            number.map_or_else(|| value.clone(), |number| Value::SimpleString(format!("{:?}", number + 0.0)))
        }
        other => other.clone(),
    }
}

/// Groups of so many items, sorted.
pub fn in_order(value: &Value, size: usize) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let mut groups: Vec<&[Value]> = items.chunks(size).collect();
    groups.sort_by_cached_key(|group| format!("{group:?}"));
    Value::Array(groups.concat())
}

/// Negative numbers say that there is no time.
fn is_near(ours: &Value, plain: &Value, apart: u64) -> bool {
    match (ours, plain) {
        (Value::Int(ours @ 0..), Value::Int(plain @ 0..)) => ours.abs_diff(*plain) <= apart,
        _ => ours == plain,
    }
}

/// As many elements, all of them from what was there, and none twice unless the count was negative.
fn is_choice(words: &Words, ours: &Value, plain: &Value, held: &Value, size: usize) -> bool {
    let (Value::Array(chosen), Value::Array(expected)) = (ours, plain) else {
        let is_member = candidates(held, size, 1).contains(&format!("{:?}", [ours]));
        return if *plain == Value::Nil { ours == plain } else { is_member };
    };
    // WITHSCORES or WITHVALUES follows the count.
    let with = if words.len() > 3 { size } else { 1 };
    let groups: Vec<String> = chosen.chunks(with).map(|group| format!("{group:?}")).collect();
    let repeats = words.get(2).is_some_and(|count| count.starts_with(b"-"));
    let distinct = groups.iter().collect::<BTreeSet<_>>().len() == groups.len();
    let candidates = candidates(held, size, with);
    let are_candidates = groups.iter().all(|group| candidates.contains(group));
    chosen.len() == expected.len() && (repeats || distinct) && are_candidates
}

/// What could be chosen: elements alone, or with their values.
fn candidates(held: &Value, size: usize, with: usize) -> BTreeSet<String> {
    items(held).chunks(size).map(|group| format!("{:?}", &group[..with.min(group.len())])).collect()
}

pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

//! How several replies become one.
//!
//! A reply of a type that the command cannot give (a node changed from outside, a server that is none) is passed on as
//! it is: the caller's own conversion names what it got.

use super::call::Part;
use redis::{ServerError, Value};

/// How the replies of the commands of one [`Call`](super::Call) become the reply of the one command behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// The first one; the others are witnesses of what was stored.
    First,
    /// The last one: the length of a list after all pushes.
    Last,
    /// The sum of integers.
    Sum,
    /// The largest integer: whether anything changed.
    Max,
    /// One array of all elements.
    Concat,
}

impl Fold {
    /// Folds the replies of one batch, in the order of its commands. An error among them is the whole reply.
    pub fn fold(self, replies: Vec<Value>) -> Result<Value, ServerError> {
        let mut replies = replies.into_iter().map(value);
        let Some(first) = replies.next() else {
            return Ok(Value::Nil);
        };
        match self {
            Self::First => first,
            _ => replies.try_fold(first?, |folded, next| Ok(self.step(folded, next?))),
        }
    }

    fn step(self, folded: Value, next: Value) -> Value {
        match (self, folded, next) {
            (Self::First, first, _) => first,
            (Self::Sum, Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(b)),
            (Self::Max, Value::Int(a), Value::Int(b)) => Value::Int(a.max(b)),
            (Self::Concat, Value::Array(mut all), Value::Array(more)) => {
                all.extend(more);
                Value::Array(all)
            }
            (_, _, last) => last,
        }
    }
}

/// How the replies of the parts of a split command become its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Each element goes to its part's `places`.
    Places,
    /// The sum of integers.
    Sum,
    /// OK, if every part said so.
    Ok,
    /// XREAD: the streams that have something to tell, in the order of the request; nil if none has.
    Streams,
}

impl Join {
    /// Joins the replies of all parts, in the order of `parts`. An error among them is the whole reply.
    pub fn join(self, parts: &[Part], replies: Vec<Value>) -> Result<Value, ServerError> {
        match self {
            Self::Places => place(parts, replies),
            Self::Sum => Fold::Sum.fold(replies),
            Self::Ok => Fold::Last.fold(replies),
            Self::Streams => streams(parts, replies),
        }
    }
}

fn place(parts: &[Part], replies: Vec<Value>) -> Result<Value, ServerError> {
    let total = parts.iter().map(|part| part.places.len()).sum();
    let mut whole = vec![Value::Nil; total];
    for (part, reply) in parts.iter().zip(replies) {
        let elements = match value(reply)? {
            Value::Array(elements) => elements,
            unexpected => return Ok(unexpected),
        };
        for (place, element) in part.places.iter().zip(elements) {
            if let Some(slot) = whole.get_mut(*place) {
                *slot = element;
            }
        }
    }
    Ok(Value::Array(whole))
}

fn streams(parts: &[Part], replies: Vec<Value>) -> Result<Value, ServerError> {
    let mut whole: Vec<(usize, Value)> = Vec::new();
    for (part, reply) in parts.iter().zip(replies) {
        match value(reply)? {
            Value::Nil => {}
            Value::Array(streams) => {
                whole.extend(streams.into_iter().map(|stream| (place_of(part, &stream), stream)));
            }
            unexpected => return Ok(unexpected),
        }
    }
    whole.sort_by_key(|(place, _)| *place);
    let streams: Vec<Value> = whole.into_iter().map(|(_, stream)| stream).collect();
    Ok(if streams.is_empty() { Value::Nil } else { Value::Array(streams) })
}

/// Where the request first names the stream, which its reply begins with.
fn place_of(part: &Part, stream: &Value) -> usize {
    let name = match stream {
        Value::Array(fields) => fields.first(),
        _ => None,
    };
    let is_it = |key: &Vec<u8>| matches!(name, Some(Value::BulkString(name)) if name == key);
    let index = part.call.keys.iter().position(is_it);
    index.and_then(|index| part.places.get(index)).copied().unwrap_or(usize::MAX)
}

fn value(reply: Value) -> Result<Value, ServerError> {
    match reply {
        Value::ServerError(error) => Err(error),
        reply => Ok(reply),
    }
}

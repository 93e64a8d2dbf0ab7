//! The types of RESP3: which command's reply is a map, a set or a number where RESP2 has strings in a list.
//!
//! Nodes are asked in RESP2, and scripts answer in it, so the shape is known by the command alone, as Redis 7 gives it.

use super::request::Request;

/// How a reply is written where its `redis::Value` does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it is.
    Plain,
    /// As it is, but "nothing" is a null list in RESP2.
    List,
    /// Names and values in turn; the values of these shapes by name, else plain.
    Map(&'static [(&'static str, Shape)]),
    /// A list of elements of one shape.
    Each(&'static Shape),
    /// Pairs of two; RESP3 keeps them together in lists, RESP2 does not.
    Pairs(&'static Shape),
    /// Pairs of name and value that are lists of two in RESP2, and a map in RESP3.
    Entries,
    /// A list whose elements have these shapes; those behind the last one are plain.
    Fields(&'static [Shape]),
    /// A set.
    Set,
    /// A number with a fraction.
    Double,
    /// A longer text for people.
    Text,
    /// The place of a member, and what else was asked for: coordinates are numbers.
    Places,
}

/// The shape of a whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Of one command.
    One(Shape),
    /// Of EXEC: each command's reply in its own.
    Exec(Vec<Shape>),
    /// Messages that are pushed, one or more.
    Pushes,
}

const DOUBLES: Shape = Shape::Each(&Shape::Double);
const SCORED: Shape = Shape::Pairs(&Shape::Double);
const MAP: Shape = Shape::Map(&[]);
const CONSUMERS: Shape = Shape::Each(&MAP);
const GROUP: Shape = Shape::Map(&[("consumers", CONSUMERS)]);
const STREAM: Shape = Shape::Map(&[("groups", Shape::Each(&GROUP))]);
/// ZMPOP: a key, and its members with their scores.
const MEMBERS: Shape = Shape::Each(&Shape::Fields(&[Shape::Plain, Shape::Double]));

/// The form of the reply to a request.
pub fn form_of(name: &str, request: &Request) -> Form {
    match name {
        "subscribe" | "psubscribe" | "ssubscribe" | "unsubscribe" | "punsubscribe" | "sunsubscribe" => {
            Form::Pushes
        }
        _ => Form::One(shape_of(name, request)),
    }
}

/// The shape of the reply to a request.
pub fn shape_of(name: &str, request: &Request) -> Shape {
    let has = |option: &str| has(request, option);
    match name {
        "hgetall" | "config" => MAP,
        "smembers" | "sinter" | "sunion" | "sdiff" => Shape::Set,
        "spop" if request.len() > 2 => Shape::Set,
        "zscore" | "zincrby" => Shape::Double,
        "zadd" if has("INCR") => Shape::Double,
        "zmscore" => DOUBLES,
        "zrange" | "zrevrange" | "zrangebyscore" | "zrevrangebyscore" | "zdiff" | "zinter" | "zunion"
        | "zrandmember"
            if has("WITHSCORES") =>
        {
            SCORED
        }
        "zpopmin" | "zpopmax" if request.len() > 2 => SCORED,
        "zpopmin" | "zpopmax" => Shape::Fields(&[Shape::Plain, Shape::Double]),
        "bzpopmin" | "bzpopmax" => Shape::Fields(&[Shape::Plain, Shape::Plain, Shape::Double]),
        "zmpop" | "bzmpop" => Shape::Fields(&[Shape::Plain, MEMBERS]),
        "hrandfield" if has("WITHVALUES") => Shape::Pairs(&Shape::Plain),
        "lpop" | "rpop" if request.len() > 2 => Shape::List,
        "lmpop" | "blmpop" | "blpop" | "brpop" | "blmove" | "brpoplpush" | "exec" => Shape::List,
        "xread" | "xreadgroup" => Shape::Entries,
        // The last part names consumers, and there may be none.
        "xpending" if request.len() == 3 => {
            Shape::Fields(&[Shape::Plain, Shape::Plain, Shape::Plain, Shape::List])
        }
        "xinfo" => stream_info(request),
        "geopos" => Shape::Each(&DOUBLES),
        "georadius" | "georadius_ro" | "georadiusbymember" | "georadiusbymember_ro" | "geosearch"
            if has("WITHCOORD") =>
        {
            Shape::Places
        }
        "lcs" if has("IDX") => MAP,
        "info" => Shape::Text,
        _ => Shape::Plain,
    }
}

fn has(request: &Request, option: &str) -> bool {
    (1..request.len()).any(|place| request.word(place).eq_ignore_ascii_case(option.as_bytes()))
}

fn stream_info(request: &Request) -> Shape {
    match request.word(1).to_ascii_lowercase().as_slice() {
        b"stream" => STREAM,
        b"groups" | b"consumers" => CONSUMERS,
        _ => Shape::Plain,
    }
}

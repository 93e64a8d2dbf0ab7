//! Commands that are answered here, without any node.

use super::refusal::Refusal;
use super::request::{Request, integer};
use super::table::Table;
use redis::Value;

/// PING [message]
pub(super) fn ping(_: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    match request.args() {
        [_] => Ok(Value::SimpleString("PONG".to_owned())),
        [_, message] => Ok(Value::BulkString(message.to_vec())),
        _ => Err(Refusal::Arity { name: "ping".to_owned() }),
    }
}

/// ECHO message
pub(super) fn echo(_: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    Ok(Value::BulkString(request.arg(1).to_vec()))
}

/// FLUSHALL [ASYNC | SYNC]: the nodes delete at once, and hand the memory back as they are set up to.
pub(super) fn flush(request: &Request<'_>) -> Result<(), Refusal> {
    match request.len() {
        1 => Ok(()),
        2 if request.is(1, "ASYNC") || request.is(1, "SYNC") => Ok(()),
        _ => Err(Refusal::syntax()),
    }
}

/// SELECT 0: a cluster has one database, whichever the nodes' URLs name.
pub(super) fn select(_: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    match integer(request.arg(1)) {
        Some(0) => Ok(Value::Okay),
        Some(number) if i32::try_from(number).is_err() => Err(Refusal::invalid(format!(
            "value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))),
        Some(1..) => {
            let reason =
                "DB index is out of range: there is one database, 0; use a prefix of the keys instead";
            Err(Refusal::unsupported("select", reason))
        }
        Some(_) => Err(Refusal::invalid("DB index is out of range")),
        None => Err(Refusal::not_an_integer()),
    }
}

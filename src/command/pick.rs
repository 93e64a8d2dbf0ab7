//! Commands whose outcome is a node's own choice (pitfall P19: one SPOP, fanned out, left 199 of 200 sets different).
//!
//! The choice is made once, by a read, and what was chosen is then removed by name. That op must hold only at the digest
//! that was read: another op in between could have taken the same members.

use super::call::Call;
use super::chunk::{Chunk, divide};
use super::fold::Fold;
use super::refusal::Refusal;
use super::request::Request;
use super::table::Table;
use redis::Value;

/// A choice to be made by a linearizable read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The read that chooses.
    pub read: Call,
    /// The command that removes members by name.
    removal: &'static str,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The member, or nil.
    One,
    /// All of them.
    Many,
    /// How many they are.
    Count,
}

/// What to do with the choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Run the call at exactly the digest that was read; once it is applied, `reply` is the reply to the user (the
    /// call's own replies are of no interest). At any other digest: read and choose again.
    Write {
        /// Removes what was chosen.
        call: Call,
        /// The reply to the user.
        reply: Value,
    },
    /// There was nothing to choose: the reply, and nothing to write.
    Nothing(Value),
}

impl Pick {
    /// What follows from the reply that `self.read.reply(..)` gave.
    pub fn effect(&self, chosen: Value) -> Effect {
        let Some(members) = members(&chosen) else {
            return Effect::Nothing(chosen);
        };
        let reply = match self.shape {
            Shape::One => members.first().cloned().map_or(Value::Nil, Value::BulkString),
            Shape::Many => Value::Array(members.iter().cloned().map(Value::BulkString).collect()),
            Shape::Count => Value::Int(i64::try_from(members.len()).unwrap_or(i64::MAX)),
        };
        if members.is_empty() {
            return Effect::Nothing(reply);
        }
        Effect::Write { call: self.removal(members), reply }
    }

    /// The same inside a transaction, where no read can come between: each node chooses for itself, and what it chose belongs to its
    /// history, so that one node's choice is settled.
    pub(super) fn on_each_node(&self, args: &[&[u8]]) -> Call {
        let mut commands = vec![args.iter().map(|arg| arg.to_vec()).collect()];
        if self.shape == Shape::Count {
            let key = self.read.keys.first().cloned().unwrap_or_default();
            commands.push(vec![b"ZRANGE".to_vec(), key, b"0".to_vec(), b"-1".to_vec()]);
        }
        Call { commands, hash_replies: true, ..self.read.clone() }
    }

    fn removal(&self, members: Vec<Vec<u8>>) -> Call {
        let mut command = vec![self.removal.as_bytes().to_vec()];
        command.extend(self.read.keys.iter().cloned());
        command.extend(members);
        Call {
            commands: divide(command, Chunk { head: 2, stride: 1, fold: Fold::Sum }),
            fold: Fold::Sum,
            unordered: false,
            ..self.read.clone()
        }
    }
}

/// `None` for a reply that lists no members.
fn members(chosen: &Value) -> Option<Vec<Vec<u8>>> {
    let elements = match chosen {
        Value::Array(elements) | Value::Set(elements) => elements,
        _ => return None,
    };
    elements.iter().map(member).collect()
}

fn member(element: &Value) -> Option<Vec<u8>> {
    match element {
        Value::BulkString(member) => Some(member.clone()),
        _ => None,
    }
}

/// SPOP key [count], as SRANDMEMBER with a count: its array tells an empty set from a member.
pub(super) fn spop(table: &Table, request: &Request<'_>) -> Result<Pick, Refusal> {
    let key = request.arg(1).to_vec();
    let (count, shape) = match request.len() {
        2 => (b"1".to_vec(), Shape::One),
        3 => (count(request)?, Shape::Many),
        _ => return Err(Refusal::syntax()),
    };
    let read = vec![b"SRANDMEMBER".to_vec(), key, count];
    Ok(Pick { read: choice(table, read), removal: "SREM", shape })
}

/// ZREMRANGEBYLEX key min max. Among members of different scores Redis leaves it open which are in the range: where the
/// search begins depends on the random heights of the node's own skip list.
pub(super) fn zremrangebylex(table: &Table, request: &Request<'_>) -> Result<Pick, Refusal> {
    let mut read = request.to_command();
    if let Some(name) = read.first_mut() {
        *name = b"ZRANGEBYLEX".to_vec();
    }
    Ok(Pick { read: choice(table, read), removal: "ZREM", shape: Shape::Count })
}

/// A read of the key that is its first argument, answered by one node.
fn choice(table: &Table, command: Vec<Vec<u8>>) -> Call {
    let key = command.get(1).cloned().unwrap_or_default();
    Call { unordered: true, ..Call::plain(table.scopes(), vec![key], vec![command]) }
}

fn count(request: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    match super::request::integer(request.arg(2)) {
        Some(0..) => Ok(request.arg(2).to_vec()),
        _ => Err(Refusal::invalid("value is out of range, must be positive")),
    }
}

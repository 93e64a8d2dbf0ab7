//! When an answer of the node and one of the server say the same.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anarchoredis::protocol::{Digest, Position, Standing};
use anarchoredis::script::{Form, KeyState, Replies};
use redis::Value;

use crate::history::Reply;

/// Where the two are not the same.
#[derive(Debug)]
pub struct Difference(pub String);

pub type Alike<T = ()> = Result<T, Difference>;

pub fn differ<T>(text: String) -> Alike<T> {
    Err(Difference(text))
}

pub fn same<T: PartialEq + Debug>(what: &str, node: T, server: T) -> Alike {
    if node == server { Ok(()) } else { differ(format!("{what}: node {node:?}, server {server:?}")) }
}

/// The digests of both sides are different hashes of the same, so each has one partner for the whole sequence. (I2)
pub struct Digests {
    server_of: BTreeMap<Digest, Digest>,
    node_of: BTreeMap<Digest, Digest>,
}

impl Digests {
    /// Nothing is written the same on both sides.
    pub fn new() -> Digests {
        let same: BTreeMap<_, _> = [(Digest::EMPTY, Digest::EMPTY)].into();
        Digests { server_of: same.clone(), node_of: same }
    }

    /// A digest that no history has is the same on both sides.
    pub fn server_of(&self, node: Digest) -> Digest {
        self.server_of.get(&node).copied().unwrap_or(node)
    }

    fn same(&mut self, node: Digest, server: Digest) -> Alike {
        let known_server = *self.server_of.entry(node).or_insert(server);
        let known_node = *self.node_of.entry(server).or_insert(node);
        if (known_node, known_server) == (node, server) {
            return Ok(());
        }
        differ(format!(
            "digests: {node} with {server}, but {node} with {known_server}, {known_node} with {server}"
        ))
    }

    pub fn same_position(&mut self, node: Position, server: Position) -> Alike {
        same("version", node.version, server.version)?;
        self.same(node.digest, server.digest)
    }

    pub fn same_standing(&mut self, node: Standing, server: Standing) -> Alike {
        same("accepted", node.accepted, server.accepted)?;
        same("settled", node.settled, server.settled)?;
        self.same_position(node.position, server.position)
    }
}

pub fn same_replies(node: &Reply, server: &Replies) -> Alike {
    match server {
        Replies::Each(replies) => same_reply(node, replies),
        other => differ(format!("reply: node {node:?}, server {other:?}")),
    }
}

pub fn same_reply(node: &Reply, server: &[Value]) -> Alike {
    let is_same = match (node, server) {
        (Reply::Error, [Value::ServerError(_)]) => true,
        (Reply::Length(length), [Value::Int(number)]) => *number == *length as i64,
        (Reply::Popped(None), [Value::Nil]) => true,
        (Reply::Popped(Some(id)), [popped]) => *popped == bulk(id),
        (Reply::Values(ids), [Value::Array(items)]) => *items == ids.iter().map(bulk).collect::<Vec<_>>(),
        _ => false,
    };
    if is_same { Ok(()) } else { differ(format!("reply: node {node:?}, server {server:?}")) }
}

fn bulk(id: &u32) -> Value {
    Value::BulkString(id.to_string().into_bytes())
}

/// A value as a state that travels: a list without elements is no key.
pub fn same_value(node: &[u32], server: &[KeyState]) -> Alike {
    let elements: Vec<Vec<u8>> = node.iter().map(|id| id.to_string().into_bytes()).collect();
    let held = server.iter().filter(|state| state.form == Form::List).flat_map(|state| &state.elements);
    let forms = server.iter().all(|state| matches!(state.form, Form::List | Form::Gone));
    same("value", (elements, true), (held.cloned().collect(), forms))
}

//! What a command becomes.

use super::block::Block;
use super::fold::{Fold, Join};
use super::key::Register;
use super::pick::Pick;
use super::publish::{Census, Publish};
use super::scopes::Scopes;
use super::walk::Walk;
use redis::{ServerError, Value};

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Changes nothing: may run as a read round.
    Read,
    /// May change something: runs as an op.
    Write,
}

/// How a command is to be run.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// A read of one register.
    Read(Call),
    /// An op on one register.
    Write(Call),
    /// A node's choice, made once: a read, then an op that holds only at the digest that was read.
    Pick(Pick),
    /// One call per register, all of the same access; the replies are joined.
    Split(Vec<Part>, Join),
    /// Keys or elements by a cursor.
    Walk(Walk),
    /// What any one node says: it tells nothing of the data.
    Ask(Vec<Vec<u8>>),
    /// All data of the cluster goes.
    Flush,
    /// Tried until there is something to take.
    Block(Block),
    /// A message to all who listen.
    Publish(Publish),
    /// Who listens.
    Census(Census),
    /// The answer, without any node.
    Local(Value),
}

/// One register's share of a command on several.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Read or write; the same for all parts of a plan.
    pub access: Access,
    /// What to run.
    pub call: Call,
    /// For each element of this part's reply, its place in the whole reply (used by [`Join::Places`]).
    pub places: Vec<usize>,
}

/// Commands to run as one on one register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose record it goes by.
    pub register: Register,
    /// The keys that the commands name, each once, in the order of their first mention.
    pub keys: Vec<Vec<u8>>,
    /// Deterministic commands, each with its name first.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// The earliest absolute expiry that the commands set, in ms since 1970; 0 if they set none.
    pub lowest_expiry_ms: u64,
    /// The replies belong to the history: servers could compute them, and the values behind them, differently.
    pub hash_replies: bool,
    /// How the replies of `commands` become the one reply.
    pub fold: Fold,
    /// A bulk string reply is an integer above 2^53 that a script had to send as text.
    pub integer_reply: bool,
    /// Order or bytes of the reply are the node's own: replies of several nodes must not be compared.
    pub unordered: bool,
    /// Stream commands among them take their time from the op instead of from each node's clock.
    pub timed: bool,
    /// It can make a list, sorted set or stream appear or grow, or end a wait for one: who waits is told.
    pub wakes: bool,
}

impl Call {
    /// Commands with nothing special about them, on keys of one register.
    pub(super) fn plain(scopes: &Scopes, keys: Vec<Vec<u8>>, commands: Vec<Vec<Vec<u8>>>) -> Call {
        Call {
            register: scopes.register_of(keys.first().map_or(b"", Vec::as_slice)),
            keys,
            commands,
            lowest_expiry_ms: 0,
            hash_replies: false,
            fold: Fold::First,
            integer_reply: false,
            unordered: false,
            timed: false,
            wakes: false,
        }
    }

    /// The reply to the caller, from the replies of `commands`.
    pub fn reply(&self, replies: Vec<Value>) -> Result<Value, ServerError> {
        self.shape().reply(replies)
    }

    /// What is needed of the call once its commands are on their way.
    pub fn shape(&self) -> Shape {
        Shape { fold: self.fold, integer_reply: self.integer_reply }
    }
}

/// The earlier of two calls' lowest expiries; 0 stands for none.
pub fn lowest_expiry(one_ms: u64, other_ms: u64) -> u64 {
    match (one_ms, other_ms) {
        (0, expiry) | (expiry, 0) => expiry,
        (one, other) => one.min(other),
    }
}

/// How the replies of a call's commands become the reply to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    fold: Fold,
    integer_reply: bool,
}

impl Shape {
    /// The reply to the caller.
    pub fn reply(self, replies: Vec<Value>) -> Result<Value, ServerError> {
        let reply = self.fold.fold(replies)?;
        Ok(if self.integer_reply { as_integer(reply) } else { reply })
    }
}

fn as_integer(reply: Value) -> Value {
    let parsed = match &reply {
        Value::BulkString(text) => super::request::integer(text),
        _ => None,
    };
    parsed.map_or(reply, Value::Int)
}

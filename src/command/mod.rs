//! What a Redis command means to us: its keys, whether it reads or writes, and how it is made deterministic.
//!
//! Two sources are put together. The servers' own `COMMAND` table says which commands exist, how many arguments they
//! take and where their keys are ([`Table`]). Our own table (`rows`) says what we do with each of them. It is an allow
//! list: nodes stay equal only if each computes the same from the same history (invariant I2), and a command that
//! nobody has looked at is not known to do so. Everything else is refused by name, with the reason ([`Refusal`]).
//!
//! A command becomes a [`Plan`]:
//!
//! ```text
//!   SET k v EX 10   ->  Write   SET k v PXAT 1700000010000     one register, one op
//!   MGET a b {a}c   ->  Split   MGET a {a}c | MGET b           one call per register, joined in the caller's order
//!   SPOP s          ->  Pick    SRANDMEMBER s 1, then SREM s m             a node's choice, made once
//!   XADD x * f v    ->  Write   XADD x * f v, timed                    id and delivery times come from the op, not from a node's clock
//!   SCAN 0          ->  Walk    a page of one node after the other             until a majority has been seen
//!   BLPOP l 0       ->  Block   tried when somebody has pushed            until there is something to take
//!   PUBLISH c m     ->  Publish to every node that can be reached               each subscriber hears it once
//!   PING            ->  Local   PONG                           no node is asked
//!   RENAME a b      ->  refused: the keys are in different registers
//! ```
//!
//! No I/O happens here, and no clock is read: the caller passes the time of the operation.

mod arguments;
mod block;
mod blocking;
mod call;
mod chunk;
mod expiry;
mod fold;
mod key;
mod local;
mod movable;
mod options;
mod pick;
mod plan;
mod publish;
mod refusal;
mod refused;
mod request;
mod restore;
mod row;
mod rows;
mod scopes;
mod scripts;
mod spec;
mod split;
mod stream;
mod stream_id;
mod stream_read;
mod table;
mod timeout;
mod transaction;
mod walk;

pub use block::{Block, Taken};
pub use call::{Access, Call, Part, Plan, Shape, lowest_expiry};
pub use fold::{Fold, Join};
pub use key::{RESERVED_PREFIX, Register};
pub use pick::{Effect, Pick};
pub use publish::{Census, Publish, of_node, on_node};
pub use refusal::{Refusal, TableError};
pub use request::Request;
pub use scopes::Scopes;
pub use table::Table;
pub use transaction::Transaction;
pub use walk::{Cursor, Filter, Walk, is_users};

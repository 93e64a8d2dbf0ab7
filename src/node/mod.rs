//! One node: its connection, its admission, its health.
//!
//! [`RemoteNode`] keeps one multiplexed connection to one server, and a supervisor task that opens it, admits the node at every
//! (re)connect and probes it while it hangs. The coordinator sees nodes through the [`Node`] trait, which tests fake.

mod address;
mod admission;
mod adoption;
mod attend;
mod calling;
mod calls;
mod configuration;
mod error;
mod facts;
mod formation;
mod kill;
mod latency;
mod listener;
mod outbox;
mod pinned;
mod remote;
mod seating;
mod seats;
mod sending;
mod session;
mod supervisor;

pub use address::{address_of, client_at};
pub use admission::{Cluster, Terms, admit_call};
pub use adoption::{Source, find_source, take};
pub use calling::Calling;
pub use configuration::{Configuration, Member};
pub use error::{CallError, ConnectError, Failures, NodeFailure, Refusal};
pub use facts::{Info, Look};
pub use formation::{Probe, form, member_id, probe_all};
pub use latency::Latency;
pub use listener::{Hear, Heard, Listeners, Listening, Topic, Watching};
pub use pinned::Pinned;
pub use remote::RemoteNode;
pub use seating::seat;
pub use seats::Seats;
pub use session::{Opened, Session};

use crate::protocol::Epoch;
use crate::script::{Part, ReadCall, Ticket};
use redis::Cmd;
use std::sync::Arc;
use std::time::Duration;

/// Makes a call for one admission: fence and deadline are each node's own.
pub type Encode<'a> = &'a (dyn Fn(&Ticket<'_>) -> Cmd + Sync);

/// What a node counts as at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Connected, admitted under this epoch, and answering.
    Voter(Epoch),
    /// Connected, but being filled from the voters: repairs go to it, its answers do not count.
    Joining,
    /// Not to be asked now, and why: down, hanging, refused.
    Away(String),
}

/// One node as a coordinator uses it.
pub trait Node: Send + Sync + 'static {
    /// Its address, for errors and logs.
    fn name(&self) -> &str;

    /// What it counts as.
    fn seat(&self) -> Seat;

    /// Sends one call. `encode` makes it for the node's present admission; `time_left` becomes the deadline, in the node's
    /// clock, after which the node must not run it.
    fn send(&self, encode: Encode<'_>, time_left: Duration) -> Calling;

    /// As [`send`](Self::send), but only to a voter of this epoch; to any other the call is not sent, so that the answers of a
    /// round were all given under one epoch.
    fn send_as(&self, epoch: Epoch, encode: Encode<'_>, time_left: Duration) -> Calling;

    /// As [`send`](Self::send), but only to a node of this generation, whether it votes or is being filled.
    fn send_in(&self, generation: u64, encode: Encode<'_>, time_left: Duration) -> Calling;

    /// As [`send_as`](Self::send_as), for a read: without Lua where it is alone, and with others, as `part`, where it is not.
    fn send_read(
        &self,
        epoch: Epoch,
        call: &ReadCall<'_>,
        part: Option<&Arc<Part>>,
        time_left: Duration,
    ) -> Calling;

    /// As [`send_as`](Self::send_as), for an op that may travel with others: those that come while some are under way share a call.
    fn send_part(&self, epoch: Epoch, part: &Arc<Part>, time_left: Duration) -> Calling;

    /// The node said FENCED: its admission changed, and must be learnt again before the next call.
    fn fenced(&self);

    /// A round stopped waiting for this node.
    fn missed(&self);

    /// Whether a round stopped waiting for it, and it has answered nobody since, and not for at least so long.
    fn is_silent(&self, at_least: Duration) -> bool;

    /// The node's clock less ours, in milliseconds, as far as it was certain at the last connect.
    fn clock_offset_ms(&self) -> i64 {
        0
    }

    /// How long the node usually takes to answer.
    fn usual_latency(&self) -> Duration;
}

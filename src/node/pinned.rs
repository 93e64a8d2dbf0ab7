//! A node under one admission: calls that name it, whatever the node's present one is.

use super::{Calling, Encode, Node, Seat};
use crate::protocol::Epoch;
use crate::script::{Part, ReadCall, Ticket};
use std::sync::Arc;
use std::time::Duration;

/// Whoever decides without a vote must know that nothing came between what it read and what it settles. The token of its pass is
/// that: it is replaced by whoever else begins or ends a pass over the node, and a call that names it is refused from then on.
pub struct Pinned {
    node: Arc<dyn Node>,
    fence: String,
}

impl Pinned {
    /// The node, as long as this is its token.
    pub fn new(node: Arc<dyn Node>, fence: String) -> Pinned {
        Pinned { node, fence }
    }
}

impl Node for Pinned {
    fn name(&self) -> &str {
        self.node.name()
    }

    fn seat(&self) -> Seat {
        self.node.seat()
    }

    fn send(&self, encode: Encode<'_>, time_left: Duration) -> Calling {
        self.node.send(&|ticket| encode(&under(&self.fence, ticket)), time_left)
    }

    fn send_as(&self, epoch: Epoch, encode: Encode<'_>, time_left: Duration) -> Calling {
        self.node.send_as(epoch, &|ticket| encode(&under(&self.fence, ticket)), time_left)
    }

    fn send_read(
        &self,
        epoch: Epoch,
        call: &ReadCall<'_>,
        _part: Option<&Arc<Part>>,
        time_left: Duration,
    ) -> Calling {
        self.send_as(epoch, &|ticket| call.encode(ticket), time_left)
    }

    /// What is decided without a vote does not travel with what is.
    fn send_part(&self, _epoch: Epoch, _part: &Arc<Part>, _time_left: Duration) -> Calling {
        Calling::not_sent("a pass runs no ops".to_owned())
    }

    fn send_in(&self, generation: u64, encode: Encode<'_>, time_left: Duration) -> Calling {
        self.node.send_in(generation, &|ticket| encode(&under(&self.fence, ticket)), time_left)
    }

    fn fenced(&self) {
        self.node.fenced();
    }

    fn missed(&self) {
        self.node.missed();
    }

    fn is_silent(&self, at_least: Duration) -> bool {
        self.node.is_silent(at_least)
    }

    fn clock_offset_ms(&self) -> i64 {
        self.node.clock_offset_ms()
    }

    fn usual_latency(&self) -> Duration {
        self.node.usual_latency()
    }
}

fn under<'a>(fence: &'a str, ticket: &Ticket<'_>) -> Ticket<'a> {
    Ticket { fence, deadline_ms: ticket.deadline_ms }
}

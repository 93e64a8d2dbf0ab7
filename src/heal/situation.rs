//! What a healer sees at one look: who votes, who waits for a vote, and whether another healer is at work.

use super::Pass;
use crate::error::Error;
use crate::node::{ConnectError, Node, Refusal, RemoteNode, Seat};
use crate::protocol::Epoch;
use std::sync::Arc;

pub(super) fn is_another_pass(error: &Error) -> bool {
    matches!(error, Error::Connect(ConnectError::Node { refusal: Refusal::HealedByAnother(_), .. }))
}

impl Pass {
    /// Whether a node waits for its vote, and a majority votes that could give it back.
    pub(super) fn wants_rejoin(&self) -> bool {
        let waits = |node: &Arc<RemoteNode>| match node.seat() {
            Seat::Voter(_) => false,
            Seat::Joining => true,
            Seat::Away(_) => node.refusal() == Some(Refusal::Emptied),
        };
        !self.is_without_majority() && self.nodes().iter().any(waits)
    }

    pub(super) fn is_without_majority(&self) -> bool {
        self.voters() < self.client.coordinator().quorum().majority()
    }

    pub(super) fn all_there(&self) -> bool {
        !self.nodes().iter().any(|node| matches!(node.seat(), Seat::Away(_)))
    }

    pub(super) fn newest_epoch(&self) -> Epoch {
        let epochs = self.nodes().iter().filter_map(|node| match node.seat() {
            Seat::Voter(epoch) => Some(epoch),
            _ => None,
        });
        epochs.max().unwrap_or_default()
    }
}

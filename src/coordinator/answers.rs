//! What a node's reply means to a round, and what it tells of the node.

use super::Coordinator;
use super::repair::Repair;
use crate::command::Register;
use crate::node::{CallError, Node};
use crate::protocol::{Ack, ApplyAnswer, NoVote, SettleAnswer};
use crate::script::{ApplyReply, Executed, Replies, SettleReply};
use redis::Value;
use std::sync::Arc;

/// Reads the answer to an apply; where it is no vote, `reason` says why.
pub(super) fn apply_answer(
    coordinator: &Arc<Coordinator>,
    node: &Arc<dyn Node>,
    register: &Register,
    reply: Result<Value, CallError>,
    reason: &mut Option<String>,
) -> ApplyAnswer<Executed> {
    let reply = match reply {
        Err(error) => {
            *reason = Some(error.to_string());
            let no_vote =
                if matches!(error, CallError::NotSent(_)) { NoVote::NotSent } else { NoVote::Unknown };
            return ApplyAnswer::NoVote(no_vote);
        }
        Ok(value) => ApplyReply::parse(value),
    };
    match reply {
        Ok(ApplyReply::Ack { standing, ran, executed }) => {
            ApplyAnswer::Ack(Ack { standing, ran, reply: executed })
        }
        Ok(ApplyReply::Absent(replies)) => ApplyAnswer::Absent { reply: nothing_but(replies) },
        Ok(ApplyReply::Nack(promised)) => ApplyAnswer::Nack { promised },
        Ok(ApplyReply::Expiring(at_ms)) if coordinator.is_lost(register, at_ms) => {
            *reason =
                Some("a key is gone there that is not due: data was changed behind the protocol".into());
            ApplyAnswer::NoVote(NoVote::Refused)
        }
        Ok(ApplyReply::Expiring(at_ms)) => ApplyAnswer::Expiring { at_ms },
        Ok(ApplyReply::Fenced) => {
            node.fenced();
            *reason = Some("FENCED its admission changed".into());
            ApplyAnswer::NoVote(NoVote::Refused)
        }
        Ok(ApplyReply::Refused(why)) => {
            *reason = Some(why);
            ApplyAnswer::NoVote(NoVote::Refused)
        }
        Err(malformed) => {
            *reason = Some(malformed.to_string());
            ApplyAnswer::NoVote(NoVote::Unknown)
        }
    }
}

fn nothing_but(replies: Replies) -> Executed {
    Executed { base: crate::protocol::Digest::EMPTY, replies, states: Vec::new() }
}

/// Reads the answer to a settle.
pub(super) fn settle_answer(
    node: &Arc<dyn Node>,
    reply: Result<Value, CallError>,
    reason: &mut Option<String>,
) -> SettleAnswer {
    let reply = match reply.map(SettleReply::parse) {
        Err(error) => {
            *reason = Some(error.to_string());
            return SettleAnswer::NoVote;
        }
        Ok(Err(malformed)) => {
            *reason = Some(malformed.to_string());
            return SettleAnswer::NoVote;
        }
        Ok(Ok(reply)) => reply,
    };
    match reply {
        SettleReply::Settled => SettleAnswer::Accepted,
        SettleReply::Nack(promised) => SettleAnswer::Nack { promised },
        SettleReply::NeedsState(_) => SettleAnswer::NeedsState,
        SettleReply::Fenced => {
            node.fenced();
            SettleAnswer::NoVote
        }
        SettleReply::Refused(why) => {
            *reason = Some(why);
            SettleAnswer::NoVote
        }
    }
}

impl Coordinator {
    /// Whether a key that a node no longer holds is due so late that clocks cannot explain it: then it was lost, and is put back.
    /// A coordinator that believed it would wait for that time, and take its own clock there.
    pub(super) fn is_lost(self: &Arc<Self>, register: &Register, at_ms: u64) -> bool {
        let offset_ms = u64::try_from(self.config.max_clock_offset.as_millis()).unwrap_or(u64::MAX / 4);
        let lost = at_ms > self.now_ms().saturating_add(offset_ms * 2);
        if lost {
            tracing::error!(%register, "a key is gone that is not due: data was changed behind the protocol");
            self.request_repair(Repair::Rewrite { register: register.clone() });
        }
        lost
    }
}

//! Moves a register's state from one node to another: only what differs where the log allows it, large keys in slices,
//! visible only with the settle at the end.

use super::Coordinator;
use super::answers::settle_answer;
use super::view::View;
use crate::command::Register;
use crate::node::{CallError, Encode};
use crate::protocol::{Ballot, Digest, Epoch, NodeIndex, Position, SettleAnswer};
use crate::script::{
    DigestPage, Form, KeyState, SettleCall, SettleMode, Snapshot, SnapshotReply, Ticket, Want,
    digest_of_call, snapshot_call,
};
use redis::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Largest answer of one snapshot call, in bytes: what a node copies at a time.
pub(super) const SNAPSHOT_BYTES: usize = 1024 * 1024;
/// Keys that are asked for, or sent, at a time.
pub(super) const KEYS: usize = 1_000;
/// How long a repair may take in all: a key of a hundred million elements moves in slices.
pub(super) const REPAIR_PATIENCE: Duration = Duration::from_secs(1_800);

/// What a node is to hold in the end.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) register: Register,
    pub(super) ballot: Ballot,
    pub(super) position: Position,
    pub(super) source: NodeIndex,
    pub(super) dirty: bool,
    /// Send all of it, also to a node whose digest is right: its values may not be.
    pub(super) whole: bool,
    /// Slices of one key may be of several histories.
    pub(super) loose: bool,
    /// A majority without the target has taken this settle already. Only then may the target let go of what it holds before it has all
    /// of the new (`fill`): that one node has taken a settle says nothing about the others.
    pub(super) taken_by_majority: bool,
    /// Somebody waits for it: only what few calls bring.
    pub(super) brief: bool,
    /// The epoch under which the answer counts; none for a repair, which counts for nothing.
    pub(super) epoch: Option<Epoch>,
    /// Where its indices lead. Nothing is carried from one generation to another: it may have been deleted between them.
    pub(super) view: Arc<View>,
}

/// Why a state could not be moved; nothing of it is visible.
pub(super) enum Stopped {
    /// The source is no longer at that history, or cannot be its source.
    Moved,
    /// A call failed.
    Failed,
    /// The node cannot read the source's DUMP.
    Foreign,
}

impl From<CallError> for Stopped {
    fn from(_: CallError) -> Stopped {
        Stopped::Failed
    }
}

impl From<crate::script::Malformed> for Stopped {
    fn from(_: crate::script::Malformed) -> Stopped {
        Stopped::Failed
    }
}

impl Coordinator {
    /// Settles the goal on a node that does not hold it; only what the node lacks, where the source's log reaches back to it.
    pub(super) async fn transfer(&self, goal: &Goal, to: NodeIndex, deadline: Instant) -> SettleAnswer {
        let known = match self.digest_at(goal, to, deadline).await {
            Ok(known) => known,
            Err(_) => return SettleAnswer::NoVote,
        };
        let (mut base, mut spelled) = (known, false);
        loop {
            match self.try_transfer(goal, to, base, spelled, deadline).await {
                // Its log says that it can start from there, and it cannot: the whole register, then.
                Ok(SettleAnswer::NeedsState) if base.is_some() => base = None,
                Ok(answer) => return answer,
                // An older server does not read a newer one's streams: they go entry by entry.
                Err(Stopped::Foreign) if !spelled => spelled = true,
                Err(Stopped::Foreign) => {
                    let (node, register) = (goal.view.node(to).name(), &goal.register);
                    tracing::error!(node, %register, "the server is too old for a value of a newer one: upgrade it");
                    return SettleAnswer::NoVote;
                }
                Err(Stopped::Moved | Stopped::Failed) => return SettleAnswer::NoVote,
            }
        }
    }

    /// The digest that a node is at, and that a delta may start from; none where it has no record, or the whole is to go there.
    async fn digest_at(
        &self,
        goal: &Goal,
        node: NodeIndex,
        deadline: Instant,
    ) -> Result<Option<Digest>, Stopped> {
        if goal.whole {
            return Ok(None);
        }
        let records = [goal.register.record_key()];
        let reply = self.call(&goal.view, node, &|ticket| digest_of_call(ticket, &records), deadline).await?;
        // A record that says nothing sensible is replaced as a whole.
        let row = DigestPage::parse(reply).ok().and_then(|page| page.rows.into_iter().next());
        Ok(row.and_then(|row| row.held).map(|held| held.digest))
    }

    async fn try_transfer(
        &self,
        goal: &Goal,
        to: NodeIndex,
        known: Option<Digest>,
        spelled: bool,
        deadline: Instant,
    ) -> Result<SettleAnswer, Stopped> {
        let record = goal.register.record_key();
        if known == Some(goal.position.digest) {
            return self.settle_with(goal, &record, SettleMode::Confirm, to, deadline).await;
        }
        let parted = match known {
            Some(held) if !held.is_empty() => self.fetch_since_parting(goal, &record, to, deadline).await?,
            _ => None,
        };
        let (mut snapshot, known) = match parted {
            Some((snapshot, base)) => (snapshot, Some(base)),
            None => (self.fetch(goal, &record, known.as_slice(), deadline).await?, known),
        };
        if goal.brief && snapshot.many && self.fills.wait_for_a_settle(&goal.register, &[to]) {
            return self.fill_rest(goal, &record, to, deadline).await;
        }
        if goal.brief && (snapshot.many || snapshot.states.iter().any(|state| state.form == Form::Large)) {
            return Err(Stopped::Moved); // not now: the repair that waits in the background takes its time
        }
        if snapshot.many && goal.taken_by_majority && !goal.whole {
            return self.fill(goal, &record, to, deadline).await;
        }
        self.complete(goal, &record, &mut snapshot, deadline).await?;
        if spelled {
            self.spell_out(goal, &record, &mut snapshot, deadline).await?;
        }
        let (states, _) = self.stage_large(goal, &record, snapshot.states.clone(), to, deadline).await?;
        let snapshot = Snapshot { states, ..snapshot };
        self.telemetry.moved.inc_by(snapshot.bytes() as u64);
        let mode = match known {
            Some(base) if snapshot.delta => SettleMode::Delta(&snapshot, base),
            _ => SettleMode::Full(&snapshot),
        };
        self.settle_with(goal, &record, mode, to, deadline).await
    }

    /// Puts streams in a form that every version reads in the place of the source's own DUMP.
    pub(super) async fn spell_out(
        &self,
        goal: &Goal,
        record: &[u8],
        snapshot: &mut Snapshot,
        deadline: Instant,
    ) -> Result<(), Stopped> {
        for state in snapshot.states.iter_mut().filter(|state| state.form == Form::Dump) {
            let key = [state.key.clone()];
            let spelled = self.snapshot_from(goal, record, &Want::Streams(&key), deadline).await?;
            *state = spelled.states.into_iter().next().ok_or(Stopped::Failed)?;
        }
        Ok(())
    }

    pub(super) async fn settle_with(
        &self,
        goal: &Goal,
        record: &[u8],
        mode: SettleMode<'_>,
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<SettleAnswer, Stopped> {
        let call =
            SettleCall { record, ballot: goal.ballot, position: goal.position, mode, dirty: goal.dirty };
        let (encode, left) = (|ticket: &Ticket<'_>| call.encode(ticket), self.left(deadline));
        let reply = match goal.epoch {
            Some(epoch) => goal.view.node(to).send_as(epoch, &encode, left).await,
            None => goal.view.node(to).send_in(goal.view.generation(), &encode, left).await,
        };
        let mut reason = None;
        let answer = settle_answer(goal.view.node(to), reply, &mut reason);
        if let Some(reason) = reason {
            tracing::debug!(node = goal.view.node(to).name(), register = %goal.register, reason, "settle with state failed");
            if reason.contains("DUMP payload version") {
                return Err(Stopped::Foreign);
            }
        }
        Ok(answer)
    }

    /// The state at the goal's position, keys that did not fit into the first answer included.
    pub(super) async fn fetch(
        &self,
        goal: &Goal,
        record: &[u8],
        known: &[Digest],
        deadline: Instant,
    ) -> Result<Snapshot, Stopped> {
        let is_known = known.iter().any(|digest| !digest.is_empty());
        let want = if is_known { Want::Since(known) } else { Want::All };
        let mut snapshot = self.snapshot_from(goal, record, &want, deadline).await?;
        self.fetch_later(goal, record, &mut snapshot, deadline).await?;
        Ok(snapshot)
    }

    /// The keys that did not fit into the first answer.
    pub(super) async fn fetch_later(
        &self,
        goal: &Goal,
        record: &[u8],
        snapshot: &mut Snapshot,
        deadline: Instant,
    ) -> Result<(), Stopped> {
        loop {
            let later = snapshot.states.iter().filter(|state| state.form == Form::Later);
            let later: Vec<Vec<u8>> = later.map(|state| state.key.clone()).take(KEYS).collect();
            let asked: HashSet<&Vec<u8>> = later.iter().collect();
            if later.is_empty() {
                return Ok(());
            }
            let more = self.snapshot_from(goal, record, &Want::Keys(&later), deadline).await?;
            snapshot.states.retain(|state| !asked.contains(&state.key));
            snapshot.states.extend(more.states);
        }
    }

    pub(super) async fn snapshot_from(
        &self,
        goal: &Goal,
        record: &[u8],
        want: &Want<'_>,
        deadline: Instant,
    ) -> Result<Snapshot, Stopped> {
        let encode = |ticket: &Ticket<'_>| snapshot_call(ticket, record, want, SNAPSHOT_BYTES);
        let reply = self.call(&goal.view, goal.source, &encode, deadline).await?;
        match SnapshotReply::parse(reply)? {
            SnapshotReply::Snapshot(snapshot) if snapshot.standing.position == goal.position => Ok(snapshot),
            SnapshotReply::Lost(key) => {
                let (node, key) = (goal.view.node(goal.source).name(), key.escape_ascii().to_string());
                tracing::error!(
                    node,
                    key,
                    "a key is gone that the record lists: data was changed behind the protocol"
                );
                Err(Stopped::Moved)
            }
            _ => Err(Stopped::Moved),
        }
    }

    /// Brings large keys over in slices and puts a pointer to the stage in their place. Also the digests at which the slices were read.
    pub(super) async fn stage_large(
        &self,
        goal: &Goal,
        record: &[u8],
        states: Vec<KeyState>,
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<(Vec<KeyState>, Vec<Digest>), Stopped> {
        let (mut all, mut seen) = (Vec::with_capacity(states.len()), Vec::new());
        for state in states {
            if state.form == Form::Large {
                all.push(self.stage_key(goal, record, state, to, deadline, &mut seen).await?);
            } else {
                all.push(state);
            }
        }
        Ok((all, seen))
    }

    /// Of a long transfer each call has as long as an operation may take, and no longer.
    fn left(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(Instant::now()).min(self.config.operation_timeout)
    }

    pub(super) async fn call(
        &self,
        view: &View,
        node: NodeIndex,
        encode: Encode<'_>,
        deadline: Instant,
    ) -> Result<Value, CallError> {
        view.node(node).send_in(view.generation(), encode, self.left(deadline)).await
    }
}

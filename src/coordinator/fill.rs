//! Brings a register of very many keys to a node, a thousand at a time.
//!
//! ```text
//!   target   reset(ballot, token)       no history any more: promises, and neither runs nor reads
//!   source   names, keys of each page   at whatever digest it is at by then, which is noted
//!   target   fill(token, keys) ...
//!   target   names, less the source's   fill(token, gone)
//!   source   since these digests        what changed meanwhile, and the history
//!   target   settle delta from token    a history again
//! ```
//!
//! No call is longer than for one page, and the source may be written to all the while. A reset takes a copy away, so it comes only after a
//! majority without this node has taken the settle whose ballot it carries, and only where this node has not taken that one or a later one:
//! every majority that this node is in then has a member that holds what was committed. If the coordinator dies in between, the node
//! still promises, so the others go on; the next repair resets it again.

use super::Coordinator;
use super::fills::{Filled, Stage, Turn};
use super::transfer::{Goal, KEYS, SNAPSHOT_BYTES, Stopped};
use crate::protocol::{Digest, NodeIndex, SettleAnswer};
use crate::script::{
    Form, KeyState, SettleMode, Slice, Snapshot, SnapshotReply, Ticket, Want, snapshot_call,
};
use std::collections::HashSet;
use tokio::time::Instant;

/// How often what changed meanwhile is brought before the source must stand still for a moment.
const CATCH_UPS: usize = 5;
/// So few changes are brought by the settle itself.
const FEW_CHANGES: usize = 100;

/// What a fill is about.
struct Way<'a> {
    goal: &'a Goal,
    record: &'a [u8],
    to: NodeIndex,
    deadline: Instant,
}

impl Coordinator {
    /// Settles the goal on a node by bringing all keys there, page by page.
    pub(super) async fn fill(
        &self,
        goal: &Goal,
        record: &[u8],
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<SettleAnswer, Stopped> {
        let way = Way { goal, record, to, deadline };
        let Some(mut turn) = self.fills.begin((goal.register.clone(), to)) else {
            return Ok(SettleAnswer::NoVote);
        };
        let mut filled = match turn.leaves.take() {
            Some(Stage::Filled(filled)) => filled,
            before => match self.bring_pages(&way, &mut turn, before).await? {
                Ok(filled) => filled,
                Err(refused) => return Ok(refused),
            },
        };
        turn.leaves = Some(Stage::Stopped(filled.token));
        let answer = self.catch_up_and_settle(&way, &mut filled).await;
        turn.leaves = match answer {
            Ok(SettleAnswer::Accepted) => None,
            // Another op came first. It is the next settle that this node wants, and little more.
            Ok(SettleAnswer::Nack { .. }) | Err(Stopped::Moved) => Some(Stage::Filled(filled)),
            _ => Some(Stage::Stopped(filled.token)),
        };
        answer
    }

    /// The end of a fill that lacks nothing but what came since, and the settle; of others nothing.
    pub(super) async fn fill_rest(
        &self,
        goal: &Goal,
        record: &[u8],
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<SettleAnswer, Stopped> {
        if self.fills.lacks_pages(&(goal.register.clone(), to)) {
            return Err(Stopped::Moved);
        }
        self.fill(goal, record, to, deadline).await
    }

    /// Resets the node and brings every key that the source has; takes away what it does not have.
    async fn bring_pages(
        &self,
        way: &Way<'_>,
        turn: &mut Turn<'_>,
        before: Option<Stage>,
    ) -> Result<Result<Filled, SettleAnswer>, Stopped> {
        let random = || self.config.surroundings.random().to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random());
        bytes[8..].copy_from_slice(&random());
        let token = Digest::from_bytes(bytes);
        let replaced = match before {
            Some(Stage::Stopped(token)) => token,
            _ => Digest::EMPTY,
        };
        // A reset whose answer is lost may have come, and is replaced as one that did.
        turn.leaves = Some(Stage::Stopped(token));
        let reset = self.settle_step(way, SettleMode::Reset { token, replaced }).await?;
        if reset != SettleAnswer::Accepted {
            turn.leaves = None;
            return Ok(Err(reset));
        }
        let mut filled = Filled { token, seen: Vec::new() };
        let (mut held, mut position) = (HashSet::new(), Some("0".to_owned()));
        while let Some(from) = position {
            let page = self.names(way, way.goal.source, &from).await?;
            filled.see(page.digest);
            self.bring_keys(way, &mut filled, &page.elements).await?;
            held.extend(page.elements);
            position = page.next;
        }
        position = Some("0".to_owned());
        while let Some(from) = position {
            let page = self.names(way, way.to, &from).await?;
            let stale = page.elements.into_iter().filter(|name| !held.contains(name));
            let gone: Vec<KeyState> = stale.map(gone).collect();
            self.send(way, token, &gone).await?;
            position = page.next;
        }
        Ok(Ok(filled))
    }

    /// What changed since the pages were read; the last of it with the settle.
    async fn catch_up_and_settle(&self, way: &Way<'_>, filled: &mut Filled) -> Result<SettleAnswer, Stopped> {
        for _ in 0..CATCH_UPS {
            let changed = self.snapshot_now(way, &Want::Since(&filled.seen)).await?;
            if !changed.delta {
                return Err(Stopped::Failed); // the log does not reach back so far: from the beginning
            }
            if changed.states.len() <= FEW_CHANGES {
                break;
            }
            let names: Vec<Vec<u8>> = changed.states.into_iter().map(|state| state.key).collect();
            let before = std::mem::replace(&mut filled.seen, vec![changed.standing.position.digest]);
            let brought = self.bring_keys(way, filled, &names).await;
            if brought.is_err() {
                // Some of them are still as they were before.
                filled.seen.splice(0..0, before);
            }
            brought?;
        }
        let Way { goal, record, to, deadline } = *way;
        let mut snapshot = self.fetch(goal, record, &filled.seen, deadline).await?;
        if !snapshot.delta {
            return Err(Stopped::Failed);
        }
        (snapshot.states, _) = self.stage_large(goal, record, snapshot.states, to, deadline).await?;
        self.settle_with(goal, record, SettleMode::Delta(&snapshot, filled.token), to, deadline).await
    }

    /// The keys as they are by now.
    async fn bring_keys(&self, way: &Way<'_>, filled: &mut Filled, names: &[Vec<u8>]) -> Result<(), Stopped> {
        let mut left: Vec<Vec<u8>> = names.to_vec();
        while !left.is_empty() {
            let some: Vec<Vec<u8>> = left.drain(..left.len().min(KEYS)).collect();
            let found = self.snapshot_now(way, &Want::Keys(&some)).await?;
            filled.see(found.standing.position.digest);
            let (later, mut states): (Vec<KeyState>, Vec<KeyState>) =
                found.states.into_iter().partition(|state| state.form == Form::Later);
            left.extend(later.into_iter().map(|state| state.key));
            // A large key in slices of several histories was changed meanwhile, and is brought again; what the source ran between them
            // may be overruled, though, and then no log says so.
            let loose = Goal { loose: true, ..way.goal.clone() };
            let (staged, slices) = self.stage_large(&loose, way.record, states, way.to, way.deadline).await?;
            states = staged;
            slices.into_iter().for_each(|digest| filled.see(digest));
            self.send(way, filled.token, &states).await?;
        }
        Ok(())
    }

    async fn send(&self, way: &Way<'_>, token: Digest, states: &[KeyState]) -> Result<(), Stopped> {
        if states.is_empty() {
            return Ok(());
        }
        match self.settle_step(way, SettleMode::Fill(states, token)).await? {
            SettleAnswer::Accepted => Ok(()),
            _ => Err(Stopped::Failed),
        }
    }

    async fn settle_step(&self, way: &Way<'_>, mode: SettleMode<'_>) -> Result<SettleAnswer, Stopped> {
        self.settle_with(way.goal, way.record, mode, way.to, way.deadline).await
    }

    async fn names(&self, way: &Way<'_>, node: NodeIndex, from: &str) -> Result<Slice, Stopped> {
        let encode =
            |ticket: &Ticket<'_>| snapshot_call(ticket, way.record, &Want::Names(from, KEYS), SNAPSHOT_BYTES);
        Slice::parse(self.call(&way.goal.view, node, &encode, way.deadline).await?)?.ok_or(Stopped::Moved)
    }

    /// What the source answers, at whatever digest it is.
    async fn snapshot_now(&self, way: &Way<'_>, want: &Want<'_>) -> Result<Snapshot, Stopped> {
        let encode = |ticket: &Ticket<'_>| snapshot_call(ticket, way.record, want, SNAPSHOT_BYTES);
        match SnapshotReply::parse(self.call(&way.goal.view, way.goal.source, &encode, way.deadline).await?)?
        {
            SnapshotReply::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(Stopped::Moved),
        }
    }

    /// Where a register has too many keys for one answer: all of them in this process, at the goal's position.
    pub(super) async fn complete(
        &self,
        goal: &Goal,
        record: &[u8],
        snapshot: &mut Snapshot,
        deadline: Instant,
    ) -> Result<(), Stopped> {
        if !snapshot.many {
            return Ok(());
        }
        let way = Way { goal, record, to: goal.source, deadline };
        let (mut seen, mut position) = (HashSet::new(), Some("0".to_owned()));
        while let Some(from) = position {
            let mut page = self.names(&way, goal.source, &from).await?;
            // A page of another history may lack a key of this one.
            if page.digest != goal.position.digest {
                return Err(Stopped::Moved);
            }
            page.elements.retain(|name| seen.insert(name.clone()));
            for some in page.elements.chunks(KEYS) {
                let mut found = self.snapshot_from(goal, record, &Want::Keys(some), deadline).await?;
                self.fetch_later(goal, record, &mut found, deadline).await?;
                snapshot.states.extend(found.states);
            }
            position = page.next;
        }
        Ok(())
    }
}

fn gone(key: Vec<u8>) -> KeyState {
    KeyState { key, form: Form::Gone, expiry_ms: 0, elements: Vec::new() }
}

//! What must hold, noted as it happens: I1-I5, and that what the clients were told is linearizable.
//!
//! As in `tests/model/checker.rs`: every answer names a history; the answers are linearizable where all these histories
//! are beginnings of one growing history, no answer is older than what was committed when its op was sent, each reply is
//! what its history gives, and an op without effect never turns up. So a state need not hold who was told what,
//! in which order: one history and a few numbers are enough.

use anarchoredis::protocol::{Rule, Version};

use super::history::{Command, History};
use super::node::{Node, Record, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// I1: a promise went down, or a record contradicts itself.
    Record,
    /// I4: a commit does not extend an earlier one.
    Commit,
    /// I5: an op twice in one history.
    Twice,
    /// An answer is older than what was committed when its op was sent.
    Stale,
    /// A reply is not what its history gives.
    Reply,
    /// The client was told that its op did nothing, and it did.
    Denied,
}

/// What a client was told of an op that is not in its answer's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    /// No node has run it, or will (R3, W4).
    NeverRuns,
    /// It changed nothing; it may have run in a history that lost.
    Nothing,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub committed: History,
    told: Vec<(u8, Told)>,
    pub violation: Option<Violation>,
}

/// A client's op, as far as its answer is checked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub client: u8,
    pub command: Command,
    pub since: usize,
}

impl Ledger {
    pub fn check(&mut self, holds: bool, otherwise: Violation) {
        if !holds {
            self.violation.get_or_insert(otherwise);
        }
    }

    /// A node's record changed: I1, I5, and W4's honesty.
    pub fn on_change(&mut self, before: &Node, after: &Node) {
        let Some(after) = &after.0 else { return };
        let rises = |before: &Record| before.promised <= after.promised && before.accepted <= after.accepted;
        let ordered =
            after.accepted <= Some(after.promised) && after.settled <= after.history.position().version;
        self.check(before.0.as_ref().is_none_or(rises) && ordered, Violation::Record);
        let clients: Vec<u8> = after.history.entries().iter().map(|entry| entry.client).collect();
        let is_first = |place: usize| !clients[..place].contains(&clients[place]);
        self.check((0..clients.len()).all(is_first), Violation::Twice);
        let denied = |(client, told): &(u8, Told)| *told == Told::NeverRuns && clients.contains(client);
        self.check(!self.told.iter().any(denied), Violation::Denied);
    }

    /// I4: all committed histories are beginnings of one.
    pub fn commit(&mut self, history: &History) {
        if history.extends(&self.committed) {
            self.committed = history.clone();
            let denied = self.told.iter().any(|(client, _)| history.holds(*client));
            self.check(!denied, Violation::Denied);
        } else {
            self.check(self.committed.extends(history), Violation::Commit);
        }
    }

    /// A client got an answer. At the quorum level it may be ahead of what is committed, never behind.
    pub fn answered(&mut self, asked: Asked, rule: Rule, seen: &Seen) {
        let recent = |ledger: &Self| seen.history.extends_first(&ledger.committed, asked.since);
        if rule == Rule::Quorum {
            return self.check(recent(self), Violation::Stale);
        }
        self.commit(&seen.history);
        self.check(self.violation.is_some() || recent(self), Violation::Stale);
        let place = seen.history.entries().iter().position(|entry| entry.client == asked.client);
        if let Some(place) = place {
            return self.check(seen.history.reply_of(place) == seen.reply, Violation::Reply);
        }
        let value = seen.history.value();
        let (after, reply) = asked.command.run(asked.client, &value);
        self.check(after.is_none_or(|after| after == value) && reply == seen.reply, Violation::Reply);
        if asked.command != Command::Read {
            self.tell(asked.client, if rule == Rule::R3 { Told::NeverRuns } else { Told::Nothing });
        }
    }

    /// W4: a client was told that its op is not applied.
    pub fn not_applied(&mut self, client: u8) {
        self.tell(client, Told::NeverRuns);
    }

    fn tell(&mut self, client: u8, told: Told) {
        self.check(!self.committed.holds(client), Violation::Denied);
        self.told.push((client, told));
        self.told.sort_by_key(|(client, _)| *client);
    }

    pub fn denies(&self, history: &History) -> bool {
        self.told.iter().any(|(client, _)| history.holds(*client))
    }

    /// How many ops are committed.
    pub fn length(&self) -> usize {
        let Version(version) = self.committed.position().version;
        version as usize
    }
}

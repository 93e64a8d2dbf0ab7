//! What must hold: I1-I4 on the nodes, linearizability at the clients.

use std::collections::{BTreeMap, BTreeSet};

use anarchoredis::protocol::{Ballot, Digest, Epoch, Position};

use super::history::{Command, State, Value};
use super::linear::{End, Op, is_linearizable};
use super::node::Record;

/// What was answered at one ballot under one epoch: by whom, and where it stood.
type Votes = BTreeMap<(Ballot, Epoch), (Position, BTreeSet<usize>, bool)>;

#[derive(Debug, Default)]
pub struct Checker {
    pub ops: Vec<Op>,
    pub violation: Option<String>,
    /// Whether histories begin anew: after a purge nobody knows the old one.
    pub forgets: bool,
    committed: State,
    settled: BTreeMap<Ballot, Position>,
    values: BTreeMap<Digest, Value>,
    accepts: Votes,
    acks: Votes,
}

impl Checker {
    pub fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn check(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.fail(broken());
        }
    }

    pub fn sent(&mut self, command: Command, at: u64) -> usize {
        self.ops.push(Op { command, sent: at, end: End::Unknown });
        self.ops.len() - 1
    }

    /// How many ops were answered.
    pub fn answered(&self) -> u64 {
        self.ops.iter().filter(|op| matches!(op.end, End::Done(..))).count() as u64
    }

    /// A record changed by apply or settle: I1, and as far as values go, I2.
    pub fn on_change(&mut self, before: Option<&Record>, after: &Record) {
        let rises = before.is_none_or(|b| b.promised <= after.promised && b.accepted <= after.accepted);
        let ordered =
            after.accepted <= Some(after.promised) && after.settled <= after.state.position().version;
        self.check(rises && ordered, || format!("I1: {before:?} became {after:?}"));
        let (digest, value) = (after.state.position().digest, after.state.value());
        let known = self.values.entry(digest).or_insert_with(|| value.clone()).clone();
        self.check(known == value, || format!("I2: one digest, two values: {known:?} and {value:?}"));
    }

    /// A node took a settle: I3; with the others of a majority of its epoch, I4.
    pub fn on_settle(&mut self, voter: Option<(usize, Epoch)>, nodes: usize, ballot: Ballot, state: &State) {
        let position = *self.settled.entry(ballot).or_insert(state.position());
        self.check(position == state.position(), || format!("I3: two positions settled at {ballot}"));
        let Some((node, epoch)) = voter else { return };
        let fresh = || (position, BTreeSet::new(), true);
        let (_, takers, _) = self.accepts.entry((ballot, epoch)).or_insert_with(fresh);
        takers.insert(node);
        if takers.len() > nodes / 2 {
            self.commit(state, "W2");
        }
    }

    /// A voter acknowledged an apply; all N with one position commit it.
    pub fn on_ack(&mut self, (node, epoch): (usize, Epoch), nodes: usize, ballot: Ballot, state: &State) {
        let fresh = || (state.position(), BTreeSet::new(), true);
        let (position, takers, equal) = self.acks.entry((ballot, epoch)).or_insert_with(fresh);
        takers.insert(node);
        *equal &= *position == state.position();
        if *equal && takers.len() == nodes {
            self.commit(state, "W1");
        }
    }

    fn commit(&mut self, state: &State, rule: &str) {
        if self.forgets || self.committed.extends(state) {
            return;
        }
        let holds = state.extends(&self.committed);
        let (new, old) = (state.value(), self.committed.value());
        self.check(holds, || format!("I4: {rule} commits {new:?} beside {old:?}"));
        self.committed = state.clone();
    }

    /// The clients' side, once all is over.
    pub fn judge(&mut self, window: u64) {
        let holds = is_linearizable(&self.ops, window);
        let ops: Vec<String> = self.ops.iter().map(|op| format!("{:?}", op)).collect();
        self.check(holds, || format!("not linearizable:\n  {}", ops.join("\n  ")));
    }
}

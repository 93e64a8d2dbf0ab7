//! What must hold: I1-I5 on the nodes, linearizability at the clients.
//!
//! Every answer that a client gets names a history. The answers are linearizable when all these histories are
//! beginnings of one growing history, no answer is older than what was committed when its op was sent, each
//! reply is what its history gives, and an op that changed nothing never turns up later.

use std::collections::{BTreeMap, BTreeSet};

use anarchoredis::protocol::{Ballot, Digest, OpId, Position};

use super::history::{Command, Reply, State};
use super::node::{Record, Seen};
use super::outline::outline_state;

/// Which promise is broken, and how.
#[derive(Debug, Clone)]
pub struct Violation(pub String);

pub type Checked = Result<(), Violation>;

fn check(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation(broken())) }
}

/// One op of a client.
#[derive(Debug)]
struct Op {
    command: Command,
    /// What was committed when it was sent.
    committed: State,
    /// Ids whose append was acknowledged before it was sent.
    acknowledged: BTreeSet<u32>,
    /// The client was told that it had no effect.
    without_effect: bool,
}

/// How a digest came about: the digest before it, the op with its reply, the value after it.
type Step = (Digest, (OpId, Reply), Vec<u32>);

#[derive(Debug)]
pub struct Checker {
    nodes: usize,
    ops: Vec<Op>,
    committed: State,
    acknowledged: BTreeSet<u32>,
    pops: bool,
    seen_digests: BTreeMap<Digest, Step>,
    applied: BTreeMap<Ballot, Vec<(usize, Position)>>,
    settled: BTreeMap<Ballot, (Position, BTreeSet<usize>)>,
}

impl Checker {
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes,
            ops: Vec::new(),
            committed: State::default(),
            acknowledged: BTreeSet::new(),
            pops: false,
            seen_digests: BTreeMap::new(),
            applied: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    /// How many ops are in the committed history.
    pub fn committed_ops(&self) -> u64 {
        self.committed.position().version.0
    }

    /// A client sends a command; the number names the op from here on.
    pub fn sent(&mut self, command: Command) -> usize {
        self.pops |= command == Command::Pop;
        let (committed, acknowledged) = (self.committed.clone(), self.acknowledged.clone());
        self.ops.push(Op { command, committed, acknowledged, without_effect: false });
        self.ops.len() - 1
    }

    /// A node's record changed: I1, I2, I5.
    pub fn on_change(&mut self, before: Option<&Record>, after: &Record) -> Checked {
        check_i1(before, after)?;
        let Some((earlier, entry)) = after.state.last() else {
            return Ok(());
        };
        if before.is_some_and(|b| b.state.position() == after.state.position()) {
            return Ok(());
        }
        let runs = after.state.entries().filter(|e| e.client == entry.client).count();
        check(runs == 1, || format!("I5: op {} occurs {runs} times in a history", entry.client))?;
        let this = (earlier.position().digest, (entry.op, entry.reply.clone()), after.state.value().to_vec());
        let known = self.seen_digests.entry(after.state.position().digest).or_insert_with(|| this.clone());
        check(*known == this, || format!("I2: one digest, two histories: {known:?} and {this:?}"))
    }

    /// A node acknowledged an apply. All N with one position: committed (W1), whether or not anybody learns of it.
    pub fn on_ack(&mut self, node: usize, ballot: Ballot, state: &State) -> Checked {
        let acks = self.applied.entry(ballot).or_default();
        if acks.iter().all(|(other, _)| *other != node) {
            acks.push((node, state.position()));
        }
        let unanimous = acks.len() == self.nodes && acks.iter().all(|(_, p)| *p == state.position());
        if unanimous { self.commit(state, "W1") } else { Ok(()) }
    }

    /// A node took a settle: I3. M of them: committed (W2).
    pub fn on_settle(&mut self, node: usize, ballot: Ballot, state: &State) -> Checked {
        let fresh = || (state.position(), BTreeSet::new());
        let (position, takers) = self.settled.entry(ballot).or_insert_with(fresh);
        check(*position == state.position(), || format!("I3: two positions settled at {ballot}"))?;
        takers.insert(node);
        if takers.len() > self.nodes / 2 { self.commit(state, "W2") } else { Ok(()) }
    }

    /// I4: all committed histories are beginnings of one.
    fn commit(&mut self, state: &State, rule: &str) -> Checked {
        if state.extends(&self.committed) {
            self.committed = state.clone();
            return self.check_without_effect();
        }
        check(self.committed.extends(state), || {
            format!("I4: {rule} commits {} beside {}", outline_state(state), outline_state(&self.committed))
        })
    }

    /// A client got an answer that claims to be linearizable.
    pub fn answered(&mut self, client: usize, rule: &str, seen: &Seen) -> Checked {
        self.commit(&seen.state, rule)?;
        self.check_recency(client, rule, &seen.state)?;
        let command = self.ops[client].command;
        match seen.state.entries().find(|entry| entry.client == client) {
            Some(entry) => {
                check(entry.reply == seen.reply, || {
                    format!("op {client}: reply {:?} for {entry:?}", seen.reply)
                })?;
            }
            None => {
                let (value, reply) = command.run(seen.state.value());
                let effect = value.is_some_and(|value| value != seen.state.value());
                check(!effect && reply == seen.reply, || {
                    format!(
                        "op {client} {command:?} is answered {:?} by {rule} but not in its history",
                        seen.reply
                    )
                })?;
                self.without_effect(client)?;
            }
        }
        self.check_client_view(client, &seen.reply)
    }

    /// A client got an answer of the quorum level: it may be ahead of what is committed, never behind.
    pub fn answered_at_quorum_level(&mut self, client: usize, seen: &Seen) -> Checked {
        self.check_recency(client, "Quorum", &seen.state)
    }

    /// A client was told that its op did nothing, and never will.
    pub fn without_effect(&mut self, client: usize) -> Checked {
        self.ops[client].without_effect = true;
        self.check_without_effect()
    }

    fn check_without_effect(&self) -> Checked {
        let late = self.committed.entries().find(|entry| self.ops[entry.client].without_effect);
        check(late.is_none(), || {
            format!("op {:?} had no effect, the client was told, and is committed", late)
        })
    }

    fn check_recency(&self, client: usize, rule: &str, state: &State) -> Checked {
        let committed = &self.ops[client].committed;
        check(state.extends(committed), || {
            let (old, new) = (outline_state(state), outline_state(committed));
            format!("op {client}: {rule} answers {old}, but {new} was committed when it was sent")
        })
    }

    /// The same from the clients' side alone: no acknowledged append is missing from a later read or in it twice.
    fn check_client_view(&mut self, client: usize, reply: &Reply) -> Checked {
        let op = &self.ops[client];
        match (op.command, reply) {
            (Command::Append(id) | Command::AppendIf { id, .. }, Reply::Length(_)) => {
                self.acknowledged.insert(id);
            }
            (Command::Read, Reply::Values(values)) => {
                let distinct: BTreeSet<u32> = values.iter().copied().collect();
                check(distinct.len() == values.len(), || {
                    format!("op {client} reads an element twice: {values:?}")
                })?;
                let lost = op.acknowledged.difference(&distinct).next();
                check(self.pops || lost.is_none(), || {
                    format!("op {client} reads {values:?} without {lost:?}")
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn check_i1(before: Option<&Record>, after: &Record) -> Checked {
    let rises =
        before.is_none_or(|before| before.promised <= after.promised && before.accepted <= after.accepted);
    let ordered = after.accepted <= Some(after.promised) && after.settled <= after.state.position().version;
    check(rises && ordered, || format!("I1: {before:?} became {after:?}"))
}

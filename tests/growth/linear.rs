//! Linearizability of what clients saw, by search (Wing and Gong, 1993), with expiry as an event that happens once, at a
//! moment within the clocks' uncertainty of its time.

use std::collections::HashSet;

use super::history::{Command, Reply, Value};

/// One op of a client.
#[derive(Debug, Clone)]
pub struct Op {
    pub command: Command,
    pub sent: u64,
    pub end: End,
}

/// What the client knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It may take effect at any time from `sent` on, once or never.
    Unknown,
    /// It took effect between `sent` and this time, with this reply.
    Done(u64, Reply),
    /// It never takes effect.
    Without,
}

impl Op {
    fn returned(&self) -> u64 {
        match self.end {
            End::Done(at, _) => at,
            _ => u64::MAX,
        }
    }
}

/// Whether an order of the ops explains every reply. `window`: how far from its time a key may expire.
pub fn is_linearizable(ops: &[Op], window: u64) -> bool {
    let ops: Vec<Op> = ops.iter().filter(|op| op.end != End::Without).cloned().collect();
    assert!(ops.len() < 64, "more ops than a word has bits");
    Search { ops, window, seen: HashSet::new() }.explain(0, &Value::default())
}

struct Search {
    ops: Vec<Op>,
    window: u64,
    seen: HashSet<(u64, Value)>,
}

impl Search {
    fn explain(&mut self, done: u64, value: &Value) -> bool {
        let open = |at: usize| done & (1 << at) == 0;
        let must = |op: &Op| matches!(op.end, End::Done(..));
        if self.ops.iter().enumerate().all(|(at, op)| !open(at) || !must(op)) {
            return true;
        }
        if !self.seen.insert((done, value.clone())) {
            return false;
        }
        let first_return = (0..self.ops.len()).filter(|at| open(*at)).map(|at| self.ops[at].returned()).min();
        let first_return = first_return.unwrap_or(u64::MAX);
        let candidates = (0..self.ops.len()).filter(|at| open(*at) && self.ops[*at].sent <= first_return);
        candidates.collect::<Vec<_>>().into_iter().any(|at| self.takes_effect(at, done, value))
    }

    /// The op is next: on the value as it is, where that may still be alive, or on what is left once it expired.
    fn takes_effect(&mut self, at: usize, done: u64, value: &Value) -> bool {
        let op = self.ops[at].clone();
        let expiry = value.expiry.filter(|_| value.exists());
        let may_live = expiry.is_none_or(|expiry| op.sent <= expiry + self.window);
        let may_be_gone = expiry.is_some_and(|expiry| op.returned().saturating_add(self.window) >= expiry);
        let mut before = Vec::new();
        before.extend(may_live.then(|| value.clone()));
        before.extend(may_be_gone.then(Value::default));
        before.into_iter().any(|before| {
            let (after, reply) = op.command.run(&before);
            let fits = match &op.end {
                End::Done(_, seen) => *seen == reply,
                _ => true,
            };
            fits && self.explain(done | (1 << at), &after)
        })
    }
}

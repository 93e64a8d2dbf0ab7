//! One key of a register, as the histories of these tests use it: a value that is read as a number, a list or a set.

use super::linearizable::Sequential;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Set(i64),
    /// Set with an expiry: gone once that time has passed.
    SetUntil(i64, u64),
    Get,
    Incr,
    Push(i64),
    Pop,
    Range,
    Add(i64),
    Members,
    /// This time has passed.
    Tick(u64),
}

/// What a command answers, OK and nothing being empty.
pub type Reply = Vec<i64>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Key {
    value: Vec<i64>,
    gone_at: Option<u64>,
    now: u64,
}

impl Key {
    fn set(&mut self, value: i64, gone_at: Option<u64>) -> Reply {
        (self.value, self.gone_at) = (vec![value], gone_at);
        self.expire();
        vec![]
    }

    /// Time that has passed stays passed: a write that takes effect too late leaves nothing.
    fn expire(&mut self) -> Reply {
        if self.gone_at.is_some_and(|at| at <= self.now) {
            self.value.clear();
            self.gone_at = None;
        }
        vec![]
    }

    fn push(&mut self, element: i64) -> Reply {
        self.value.push(element);
        vec![self.value.len() as i64]
    }

    fn pop(&mut self) -> Reply {
        if self.value.is_empty() { vec![] } else { vec![self.value.remove(0)] }
    }

    fn add(&mut self, element: i64) -> Reply {
        let Err(place) = self.value.binary_search(&element) else { return vec![0] };
        self.value.insert(place, element);
        vec![1]
    }
}

impl Sequential for Key {
    type Op = Op;
    type Reply = Reply;

    fn apply(&mut self, op: &Op) -> Reply {
        match *op {
            Op::Set(value) => self.set(value, None),
            Op::SetUntil(value, gone_at) => self.set(value, Some(gone_at)),
            Op::Get | Op::Range | Op::Members => self.value.clone(),
            Op::Incr => {
                let next = self.value.first().unwrap_or(&0) + 1;
                self.value = vec![next];
                vec![next]
            }
            Op::Push(element) => self.push(element),
            Op::Pop => self.pop(),
            Op::Add(element) => self.add(element),
            Op::Tick(time) => {
                self.now = self.now.max(time);
                self.expire()
            }
        }
    }

    fn only_reads(op: &Op) -> bool {
        matches!(op, Op::Get | Op::Range | Op::Members)
    }

    fn accept(&mut self, op: &Op, reply: &Reply) -> bool {
        let mut expected = self.apply(op);
        let mut reply = reply.clone();
        if *op == Op::Members {
            expected.sort_unstable();
            reply.sort_unstable();
        }
        expected == reply
    }
}

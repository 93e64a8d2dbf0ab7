//! What is asked in the workloads whose histories are judged.

use super::model::Step;
use crate::workload::Rng;

/// A workload of registers that are short-lived: each is used for so many operations, read once more and judged.
#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    /// How many are in use at a time.
    pub registers: usize,
    /// Operations on one of them.
    pub operations: usize,
    /// Reads of all its keys.
    pub all: fn() -> Vec<Step>,
    /// The next operation; the number is unique within the register.
    pub next: fn(&mut Rng, i64) -> Vec<Step>,
    /// The sum of all its numbers is always 0.
    pub adds_up_to_nothing: bool,
}

pub const APPEND: Profile = Profile {
    name: "append",
    registers: 4,
    operations: 60,
    all: || (0..3).map(Step::Range).collect(),
    next: |rng, unique| {
        let step = |place: u64, rng: &mut Rng| {
            let key = rng.place(3);
            if rng.below(2) == 0 { Step::Range(key) } else { Step::Push(key, unique * 10 + place as i64) }
        };
        (0..1 + rng.below(4)).map(|place| step(place, rng)).collect()
    },
    adds_up_to_nothing: false,
};

pub const COUNTERS: Profile = Profile {
    name: "counters",
    registers: 2,
    operations: 100,
    all: || vec![Step::Get(0)],
    next: |rng, _| if rng.below(4) == 0 { vec![Step::Get(0)] } else { vec![Step::IncrBy(0, 1)] },
    adds_up_to_nothing: false,
};

pub const LOCKS: Profile = Profile {
    name: "locks",
    registers: 2,
    operations: 80,
    all: || vec![Step::Get(0)],
    // Whoever guesses the holder's number releases it: numbers are drawn from few.
    next: |rng, _| {
        let token = rng.below(4) as i64;
        match rng.below(10) {
            0..4 => vec![Step::SetNx(0, token)],
            4..9 => vec![Step::Release(0, token)],
            _ => vec![Step::Get(0)],
        }
    },
    adds_up_to_nothing: false,
};

pub const TRANSFER: Profile = Profile {
    name: "transfer",
    registers: 2,
    operations: 80,
    all: || vec![Step::Get(0), Step::Get(1)],
    next: |rng, _| {
        let amount = 1 + rng.below(9) as i64;
        let from = rng.place(2);
        match rng.below(3) {
            0 => vec![Step::Get(0), Step::Get(1)],
            _ => vec![Step::IncrBy(from, -amount), Step::IncrBy(1 - from, amount)],
        }
    },
    adds_up_to_nothing: true,
};

pub const MIXED: Profile = Profile {
    name: "mixed",
    registers: 3,
    operations: 60,
    all: || vec![Step::Get(0), Step::Range(1), Step::Members(2), Step::Fields(3), Step::Scores(4)],
    next: |rng, unique| {
        let few = |rng: &mut Rng| rng.below(6) as i64;
        let step = |rng: &mut Rng| match rng.below(15) {
            0 => Step::Set(0, unique),
            1 => Step::IncrBy(0, few(rng)),
            2 => Step::Get(0),
            3 | 4 => Step::Push(1, unique),
            5 => Step::Pop(1),
            6 => Step::Range(1),
            7 => Step::Add(2, few(rng)),
            8 => Step::Remove(2, few(rng)),
            9 => Step::Members(2),
            10 => Step::Put(3, few(rng), unique),
            11 => Step::Fields(3),
            12 => Step::Raise(4, few(rng), 1),
            13 => Step::Scores(4),
            _ => Step::Delete(rng.place(5)),
        };
        let steps = if rng.below(4) == 0 { 2 } else { 1 };
        (0..steps).map(|_| step(rng)).collect()
    },
    adds_up_to_nothing: false,
};

/// One command at a time, for systems without transactions.
pub const SINGLE_APPEND: Profile = Profile {
    name: "append",
    registers: 4,
    operations: 60,
    all: || vec![Step::Range(0)],
    next: |rng, unique| if rng.below(2) == 0 { vec![Step::Range(0)] } else { vec![Step::Push(0, unique)] },
    adds_up_to_nothing: false,
};

pub const JUDGED: [Profile; 5] = [APPEND, COUNTERS, LOCKS, TRANSFER, MIXED];

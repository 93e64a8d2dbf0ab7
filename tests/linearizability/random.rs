//! Small random histories, of which some are wrong.

use super::linearizable::{Call, End, Sequential};
use super::model::{Key, Op, Reply};
use super::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    Register,
    Counter,
    List,
    Expiring,
}

impl Semantics {
    pub const ALL: [Semantics; 4] =
        [Semantics::Register, Semantics::Counter, Semantics::List, Semantics::Expiring];

    /// An op; the value is for one that writes.
    pub fn op(self, rng: &mut Rng, value: i64) -> Op {
        match self {
            Semantics::Register => rng.pick(&[Op::Set(value), Op::Get, Op::Get]),
            Semantics::Counter => rng.pick(&[Op::Incr, Op::Incr, Op::Get]),
            Semantics::List => rng.pick(&[Op::Push(value), Op::Push(value), Op::Pop, Op::Range]),
            Semantics::Expiring => {
                let time = rng.below(2) + 1;
                rng.pick(&[Op::Set(value), Op::SetUntil(value, time), Op::Tick(time), Op::Get, Op::Get])
            }
        }
    }
}

/// Which ends calls have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Each client's last call may be open.
    OfClients,
    /// Any call has any end.
    All,
}

const CLIENTS: usize = 3;
const PLACES: u64 = 40;
const MOST_CALLS: u64 = 9;

/// Up to nine calls of three clients. Replies are those of one order, but for those that are made up.
pub fn history(rng: &mut Rng, semantics: Semantics, ends: Ends) -> Vec<Call<Op, Reply>> {
    let mut calls = invocations(rng, semantics);
    match ends {
        Ends::OfClients => leave_last_open(rng, &mut calls),
        Ends::All => calls.iter_mut().for_each(|call| call.end = any_end(rng, &call.end)),
    }
    reply(rng, &mut calls);
    for _ in 0..rng.below(5) {
        falsify(rng, &mut calls);
    }
    calls
}

/// Calls that end, with replies to be filled in. Each client waits for its reply.
fn invocations(rng: &mut Rng, semantics: Semantics) -> Vec<Call<Op, Reply>> {
    let mut free_from = [0; CLIENTS];
    let wanted = 3 + rng.below(MOST_CALLS - 2);
    let mut calls = Vec::new();
    for _ in 0..wanted {
        let client = rng.below(CLIENTS as u64) as usize;
        let invoked = free_from[client] + 1 + rng.below(6);
        let at = invoked + 1 + rng.below(8);
        free_from[client] = at;
        // Places differ: clients have their own remainders.
        let [invoked, at] = [invoked, at].map(|place| place * CLIENTS as u64 + client as u64);
        let (value, end) = (rng.below(4) as i64 + 1, End::Returned { at, reply: vec![] });
        calls.push(Call { client, op: semantics.op(rng, value), invoked, end });
    }
    calls
}

/// Lets calls take effect at random places of their intervals, in one of the orders that this makes, and tells their replies.
fn reply(rng: &mut Rng, calls: &mut [Call<Op, Reply>]) {
    let mut effects: Vec<(u64, usize)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let (end, optional) = match call.end {
            End::Returned { at, .. } | End::Applied { at } => (at, false),
            End::Perhaps { at } => (at, true),
            End::Open => (PLACES * CLIENTS as u64, true),
        };
        if !(optional && rng.percent(40)) {
            effects.push((call.invoked + rng.below(end.saturating_sub(call.invoked).max(1)), index));
        }
    }
    effects.sort_unstable();
    let mut key = Key::default();
    for (_, index) in effects {
        let answer = key.apply(&calls[index].op);
        if let End::Returned { reply, .. } = &mut calls[index].end {
            *reply = answer;
        }
    }
}

/// Replaces a reply by that of another call, or by a number.
fn falsify(rng: &mut Rng, calls: &mut [Call<Op, Reply>]) {
    let says_ok = |op| matches!(op, Op::Set(_) | Op::SetUntil(..) | Op::Tick(_));
    let told = |call: &Call<Op, Reply>| matches!(call.end, End::Returned { .. }) && !says_ok(call.op);
    let candidates: Vec<usize> = (0..calls.len()).filter(|&index| told(&calls[index])).collect();
    if candidates.is_empty() {
        return;
    }
    let (wrong, other) = (rng.pick(&candidates), rng.pick(&candidates));
    let End::Returned { reply: other, .. } = calls[other].end.clone() else { return };
    let made_up = if rng.percent(50) { other } else { vec![rng.below(4) as i64 + 1] };
    if let End::Returned { reply, .. } = &mut calls[wrong].end {
        *reply = made_up;
    }
}

fn leave_last_open(rng: &mut Rng, calls: &mut [Call<Op, Reply>]) {
    for client in 0..CLIENTS {
        let last = calls.iter_mut().rev().find(|call| call.client == client);
        if let Some(call) = last.filter(|_| rng.percent(40)) {
            call.end = End::Open;
        }
    }
}

fn any_end(rng: &mut Rng, end: &End<Reply>) -> End<Reply> {
    let End::Returned { at, .. } = *end else { return end.clone() };
    match rng.below(10) {
        0 => End::Open,
        1 => End::Applied { at },
        2 => End::Perhaps { at },
        _ => end.clone(),
    }
}

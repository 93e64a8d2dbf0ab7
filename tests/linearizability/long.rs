//! Long histories of many clients at one key that does what it should, and what is left of them when one reply is stale.

use super::linearizable::{Call, End, Sequential};
use super::model::{Key, Op, Reply};
use super::random::Semantics;
use super::rng::Rng;

/// How many clients make how many calls together.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub clients: usize,
    pub calls: usize,
    /// In a hundred: calls that their client gives up, so that they stay open.
    pub given_up: u64,
}

struct Clients {
    key: Key,
    calls: Vec<Call<Op, Reply>>,
    /// What each call that took effect answers, once its client gets to hear it.
    replies: Vec<Option<Reply>>,
    /// What each client waits for.
    waiting: Vec<Option<usize>>,
    /// Given up, and without an effect so far.
    adrift: Vec<usize>,
}

pub fn history(rng: &mut Rng, semantics: Semantics, size: Size) -> Vec<Call<Op, Reply>> {
    let waiting = vec![None; size.clients];
    let mut clients =
        Clients { key: Key::default(), calls: vec![], replies: vec![], waiting, adrift: vec![] };
    for place in 0.. {
        let client = rng.below(size.clients as u64) as usize;
        match clients.waiting[client] {
            Some(call) => clients.go_on(rng, client, call, place, size.given_up),
            None if clients.calls.len() < size.calls => clients.invoke(rng, client, semantics, place),
            None if clients.waiting.iter().all(Option::is_none) => break,
            None => {}
        }
        clients.drift(rng);
    }
    clients.calls
}

impl Clients {
    fn invoke(&mut self, rng: &mut Rng, client: usize, semantics: Semantics, place: u64) {
        self.waiting[client] = Some(self.calls.len());
        self.replies.push(None);
        let op = semantics.op(rng, self.calls.len() as i64 + 1);
        self.calls.push(Call { client, op, invoked: place, end: End::Open });
    }

    /// The call takes effect, or returns, or is given up.
    fn go_on(&mut self, rng: &mut Rng, client: usize, call: usize, place: u64, given_up: u64) {
        if let Some(reply) = self.replies[call].take() {
            self.calls[call].end = End::Returned { at: place, reply };
            self.waiting[client] = None;
        } else if rng.percent(given_up) {
            self.adrift.push(call);
            self.waiting[client] = None;
        } else {
            self.replies[call] = Some(self.key.apply(&self.calls[call].op));
        }
    }

    /// Now and then a call that was given up takes effect after all.
    fn drift(&mut self, rng: &mut Rng) {
        if rng.percent(2) && !self.adrift.is_empty() {
            let chosen = rng.below(self.adrift.len() as u64) as usize;
            let call = self.adrift.swap_remove(chosen);
            self.key.apply(&self.calls[call].op);
        }
    }
}

/// Gives a read or an increment the reply that an earlier one got.
pub fn make_stale(rng: &mut Rng, calls: &mut [Call<Op, Reply>]) {
    let reply = |call: &Call<Op, Reply>| match (&call.end, call.op) {
        (End::Returned { reply, .. }, Op::Get | Op::Incr | Op::Range | Op::Pop) => Some(reply.clone()),
        _ => None,
    };
    let later = calls.len() / 2 + rng.below(calls.len() as u64 / 2) as usize;
    let Some(wrong) = (later..calls.len()).find(|&index| reply(&calls[index]).is_some()) else { return };
    let earlier = (0..wrong).rev().filter(|&index| calls[index].op == calls[wrong].op);
    let stale = earlier
        .filter_map(|index| reply(&calls[index]))
        .find(|old| Some(old) != reply(&calls[wrong]).as_ref());
    if let (Some(stale), End::Returned { reply, .. }) = (stale, &mut calls[wrong].end) {
        *reply = stale;
    }
}

//! A history as the search reads it: what must be placed and what may be, each in the order of invocation.

use super::{Call, CallOf, End, Sequential};

/// A call with what the search asks of it at every step.
pub struct Entry<'a, S: Sequential> {
    /// Its number in the caller's list.
    pub number: usize,
    pub call: &'a CallOf<S>,
    pub invoked: u64,
    pub end: u64,
    /// What it must answer, where that is known.
    pub reply: Option<&'a S::Reply>,
}

pub struct History<'a, S: Sequential> {
    pub must: Vec<Entry<'a, S>>,
    pub may: Vec<Entry<'a, S>>,
    /// For each open call: the last one before it that says the same, and so is as good, at least.
    pub twin: Vec<Option<usize>>,
}

impl<'a, S: Sequential> History<'a, S> {
    pub fn new(calls: &'a [CallOf<S>]) -> Self {
        Self::until(calls, u64::MAX)
    }

    /// The history as it was known right after the event at `place`: later ends have not been seen yet.
    pub fn until(calls: &'a [CallOf<S>], place: u64) -> Self {
        let begun = calls.iter().enumerate().filter(|(_, call)| call.invoked <= place);
        let mut entries: Vec<_> = begun.map(|(number, call)| entry(number, call)).collect();
        entries.sort_by_key(|entry: &Entry<S>| entry.invoked);
        let seen = |entry: &Entry<S>| entry.end <= place && entry.call.end.must_happen();
        let (must, mut may): (Vec<_>, Vec<_>) = entries.into_iter().partition(seen);
        may.retain(|entry| !S::only_reads(&entry.call.op));
        let twin = (0..may.len()).map(|later| twin_of(&may, later)).collect();
        History { must, may, twin }
    }

    /// Where the last call that must be placed ends.
    pub fn last_end(&self) -> u64 {
        self.must.iter().map(|entry| entry.end).max().unwrap_or_default()
    }
}

fn entry<S: Sequential>(number: usize, call: &CallOf<S>) -> Entry<'_, S> {
    let Call { invoked, end, .. } = call;
    assert!(*invoked < end.place(), "call {number} ends before it begins: {call:?}");
    let reply = match end {
        End::Returned { reply, .. } => Some(reply),
        End::Applied { .. } | End::Perhaps { .. } | End::Open => None,
    };
    Entry { number, call, invoked: *invoked, end: end.place(), reply }
}

fn twin_of<S: Sequential>(may: &[Entry<S>], later: usize) -> Option<usize> {
    let open = |entry: &Entry<S>| entry.end == u64::MAX;
    let same = |entry: &Entry<S>| open(entry) && entry.call.op == may[later].call.op;
    if open(&may[later]) { may[..later].iter().rposition(same) } else { None }
}

//! What a history that is not linearizable shows: the first reply that fits nowhere, and how far one gets without it.

use std::fmt;

use super::history::{Entry, History};
use super::search::{Found, Stuck, search};
use super::{CallOf, Sequential};

/// A readable account; a test prints it.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// Up to here, without it, the history is linearizable; with the end at this place it is not.
    pub place: u64,
    /// The numbers of the calls that no longest order has room for.
    pub unplaced: Vec<usize>,
    lines: Vec<String>,
}

/// How many calls of an order are printed: the last ones.
const MOST_PRINTED: usize = 12;

/// Of the shortest beginning that is not linearizable. None if that was too much to search.
pub fn shortest<S: Sequential>(start: &S, calls: &[CallOf<S>], budget: usize) -> Option<Counterexample> {
    let must = calls.iter().filter(|call| call.end.must_happen());
    let mut ends: Vec<u64> = must.map(|call| call.end.place()).collect();
    ends.sort_unstable();
    // Every beginning of a linearizable history is linearizable: the first bad one is found by halving.
    let first_bad = ends.partition_point(|&end| {
        !matches!(search(start, &History::until(calls, end), budget), Found::Nothing(_))
    });
    let place = *ends.get(first_bad)?;
    let history = History::until(calls, place);
    match search(start, &history, budget) {
        Found::Nothing(stuck) => Some(Counterexample::new(&history, &stuck, place)),
        Found::Order | Found::OutOfBudget => None,
    }
}

impl Counterexample {
    pub fn new<S: Sequential>(history: &History<'_, S>, stuck: &[Stuck<S>], place: u64) -> Self {
        let mut lines =
            vec![format!("not linearizable: all before place {place} fits, what ends there does not")];
        lines.extend(history.must.iter().filter(|entry| entry.end == place).map(line));
        let placed_somewhere = |entry: &&Entry<S>| stuck.iter().any(|way| way.order.contains(&entry.number));
        let unplaced = history.must.iter().filter(|entry| !placed_somewhere(entry)).map(|entry| entry.number);
        let unplaced = unplaced.collect();
        for way in stuck {
            lines.extend(tell(history, way));
        }
        Counterexample { place, unplaced, lines }
    }
}

/// One longest order, its state, and what each of the calls that are left would have answered there.
fn tell<S: Sequential>(history: &History<'_, S>, way: &Stuck<S>) -> Vec<String> {
    let placed = way.order.len();
    let mut lines = vec![format!("a longest order, of {placed} calls, ends")];
    let all = || history.must.iter().chain(&history.may);
    for number in &way.order[placed.saturating_sub(MOST_PRINTED)..] {
        lines.extend(all().filter(|entry| entry.number == *number).map(line));
    }
    lines.push(format!("  in the state {:?}, where these remain:", way.state));
    for entry in history.must.iter().filter(|entry| !way.order.contains(&entry.number)) {
        let would_be = way.state.clone().apply(&entry.call.op);
        lines.push(format!("{}, would answer {would_be:?} here", line(entry)));
    }
    lines
}

fn line<S: Sequential>(entry: &Entry<'_, S>) -> String {
    let (number, client, op) = (entry.number, entry.call.client, &entry.call.op);
    let reply =
        entry.reply.map_or("its reply is not known".to_owned(), |reply| format!("answered {reply:?}"));
    let end = if entry.end == u64::MAX { "open".to_owned() } else { entry.end.to_string() };
    format!("    #{number} client {client} ({}..{end}) {op:?} {reply}", entry.invoked)
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines.join("\n"))
    }
}

//! Which messages of a topic were heard, so that each is heard once however many nodes carry it.
//!
//! Of each publisher the sequences that were heard are remembered as runs: one run where nothing is missing, one for each message where it publishes
//! elsewhere in between. What is below the runs that are remembered counts as heard. Memory is bounded, so two things can happen to a copy that
//! comes very late, and "once" goes before "at all" as long as it can:
//!
//! - The lowest run goes once there are more than [`RUNS_OF_ONE`] of its publisher, or [`RUNS`] of the topic (then the least recently heard publisher's all
//!   go). A message that comes behind so many later ones is dropped, though a majority carried it: the nodes that carried it in time were not heard.
//! - The least recently heard publisher is forgotten once there are more than [`PUBLISHERS`]. A copy that comes after that is heard a second time.

use std::collections::{BTreeMap, HashMap};

/// So many runs of one publisher's sequences are remembered: 48 KiB.
const RUNS_OF_ONE: usize = 2_048;
/// And of all publishers of a topic: 6 MiB.
const RUNS: usize = 262_144;
/// So many publishers are told apart on one topic: 8 MiB, if there are so many.
const PUBLISHERS: usize = 65_536;

/// What was heard of one publisher.
#[derive(Debug, Default)]
struct Seen {
    /// All up to here count as heard.
    floor: u64,
    /// First and last of each run above.
    runs: BTreeMap<u64, u64>,
    /// When it was last heard, as a place in the order of all that was heard.
    heard_at: u64,
}

impl Seen {
    /// Whether it was not heard before.
    fn is_new(&mut self, sequence: u64) -> bool {
        let below = self.runs.range(..=sequence).next_back().map(|(first, last)| (*first, *last));
        if sequence <= self.floor || below.is_some_and(|(_, last)| last >= sequence) {
            return false;
        }
        let first = match below {
            Some((first, last)) if last + 1 == sequence => first,
            _ => sequence,
        };
        let last = self.runs.remove(&sequence.saturating_add(1)).unwrap_or(sequence);
        self.runs.insert(first, last);
        if self.runs.len() > RUNS_OF_ONE {
            self.floor = self.runs.pop_first().map_or(self.floor, |(_, last)| last);
        }
        true
    }

    fn forget_runs(&mut self) {
        self.floor = self.runs.pop_last().map_or(self.floor, |(_, last)| last);
        self.runs.clear();
    }
}

/// What was heard on one topic.
#[derive(Debug, Default)]
pub(super) struct Once {
    publishers: HashMap<u64, Seen>,
    /// Them all by when they were last heard, and those that have runs.
    by_age: BTreeMap<u64, u64>,
    with_runs: BTreeMap<u64, u64>,
    runs: usize,
    heard: u64,
}

impl Once {
    /// Whether this is the first copy of a message.
    pub(super) fn is_new(&mut self, publisher: u64, sequence: u64) -> bool {
        self.heard += 1;
        let seen = self.publishers.entry(publisher).or_default();
        self.by_age.remove(&seen.heard_at);
        self.with_runs.remove(&seen.heard_at);
        let before = seen.runs.len();
        let is_new = seen.is_new(sequence);
        seen.heard_at = self.heard;
        self.by_age.insert(self.heard, publisher);
        if !seen.runs.is_empty() {
            self.with_runs.insert(self.heard, publisher);
        }
        self.runs = self.runs + seen.runs.len() - before;
        self.forget();
        is_new
    }

    fn forget(&mut self) {
        if self.runs > RUNS
            && let Some((_, publisher)) = self.with_runs.pop_first()
            && let Some(seen) = self.publishers.get_mut(&publisher)
        {
            self.runs -= seen.runs.len();
            seen.forget_runs();
        }
        if self.by_age.len() > PUBLISHERS
            && let Some((heard_at, publisher)) = self.by_age.pop_first()
            && let Some(seen) = self.publishers.remove(&publisher)
        {
            self.with_runs.remove(&heard_at);
            self.runs -= seen.runs.len();
        }
    }
}

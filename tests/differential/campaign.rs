//! Many sequences, several at a time, until one shows a difference.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::join_all;

use crate::generate::Words;
use crate::sequence::{LENGTH, sequence};
use crate::shrink::shrink;
use crate::stores::Stores;
use crate::trial::{Difference, shown};

/// How many sequences run at the same time.
const AT_ONCE: usize = 12;
/// After how many differences it stops to look for more.
const ENOUGH: usize = 12;

/// Of how many differences a line is printed, besides the one that is shrunk.
const SHOWN: usize = 10;

/// How often each command was called, and how often it succeeded.
pub type Counts = BTreeMap<String, (u64, u64)>;

pub struct Campaign {
    pub first_seed: u64,
    pub commands: u64,
}

/// A sequence that shows a difference.
pub struct Found {
    pub seed: u64,
    pub sequence: Vec<Words>,
    pub difference: Difference,
}

impl Campaign {
    /// Runs all sequences; panics with a short one if one shows a difference.
    pub async fn run(&self, stores: &Stores) -> Counts {
        let (counts, found) = self.search(stores).await;
        if let Some(found) = found.into_iter().next() {
            panic!("{}", shrunk(stores, found).await.report(stores));
        }
        counts
    }

    /// A short sequence that shows a difference, where one comes up at all.
    pub async fn first_found(&self, stores: &Stores) -> Option<Found> {
        let (_, found) = self.search(stores).await;
        Some(shrunk(stores, found.into_iter().next()?).await)
    }

    async fn search(&self, stores: &Stores) -> (Counts, Vec<Found>) {
        let started = Instant::now();
        let next = AtomicU64::new(self.first_seed);
        let end = self.first_seed + self.commands.div_ceil(LENGTH);
        let (counts, found) = (Mutex::new(Counts::new()), Mutex::new(Vec::new()));
        join_all((0..AT_ONCE).map(|_| self.worker(stores, &next, end, &counts, &found))).await;
        let (counts, mut found) =
            (counts.into_inner().expect("no panic"), found.into_inner().expect("no panic"));
        let total: u64 = counts.values().map(|(called, _)| called).sum();
        println!(
            "{}: seeds {}..{end}, {total} commands in {:?}",
            stores.version,
            self.first_seed,
            started.elapsed()
        );
        found.sort_by_key(|found: &Found| found.seed);
        for Found { seed, difference, .. } in found.iter().take(SHOWN) {
            println!("seed {seed}: {:.200}", difference.0);
        }
        (counts, found)
    }

    async fn worker(
        &self,
        stores: &Stores,
        next: &AtomicU64,
        end: u64,
        counts: &Mutex<Counts>,
        found: &Mutex<Vec<Found>>,
    ) {
        while found.lock().expect("no panic").len() < ENOUGH {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let sequence = sequence(seed, stores);
            match stores.try_out(&sequence).await {
                Ok(succeeded) => {
                    let mut counts = counts.lock().expect("no panic");
                    for (words, succeeded) in sequence.iter().zip(succeeded) {
                        count(&mut counts, words, succeeded);
                    }
                }
                Err(difference) => found.lock().expect("no panic").push(Found { seed, sequence, difference }),
            }
        }
    }
}

fn count(counts: &mut Counts, words: &Words, succeeded: bool) {
    let lower = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_lowercase();
    let mut name = lower(&words[0]);
    if let ("object" | "memory", Some(word)) = (name.as_str(), words.get(1)) {
        name = format!("{name}|{}", lower(word));
    }
    let entry = counts.entry(name).or_default();
    entry.0 += 1;
    entry.1 += u64::from(succeeded);
}

async fn shrunk(stores: &Stores, found: Found) -> Found {
    let (sequence, difference) = shrink(stores, found.sequence, found.difference).await;
    Found { seed: found.seed, sequence, difference }
}

impl Found {
    pub fn report(&self, stores: &Stores) -> String {
        let Found { seed, sequence, difference } = self;
        let lines: Vec<String> = sequence.iter().map(shown).collect();
        format!(
            "{}, seed {seed} (ANARCHO_SEED={seed} ANARCHO_DIFFERENTIAL=1 repeats it): {}\nafter\n  {}",
            stores.version,
            difference.0,
            lines.join("\n  ")
        )
    }
}

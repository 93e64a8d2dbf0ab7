//! The configurations that the search has been in.

use std::collections::HashMap;

use super::Sequential;
use super::bits::Bits;

/// What a configuration has used up: the optional calls, and how many of them in a row at its end.
struct Used {
    taken: Bits,
    run: usize,
}

/// By the mandatory calls that are placed and the state: what was used up to get there.
pub struct Memory<S> {
    seen: HashMap<(Bits, S), Vec<Used>>,
    size: usize,
}

impl<S: Sequential> Memory<S> {
    pub fn new() -> Self {
        Self { seen: HashMap::new(), size: 0 }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// False if one known already can go on in every way in which this one can: same state, and no optional call used more.
    pub fn is_new(&mut self, done: &Bits, state: &S, taken: &Bits, run: usize) -> bool {
        let ways = self.seen.entry((done.clone(), state.clone())).or_default();
        if ways.iter().any(|used| used.run <= run && used.taken.is_subset_of(taken)) {
            return false;
        }
        ways.push(Used { taken: taken.clone(), run });
        self.size += 1;
        true
    }
}

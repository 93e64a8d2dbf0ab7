//! Checks lists and sets to which many clients add elements that are never added twice. They are full after a while: then
//! what is there is compared with what was acknowledged, and all is forgotten.

use std::collections::BTreeMap;
use std::collections::HashSet;

use super::counter::Verdict;

/// What is known of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Acknowledged,
    /// It may be there or not.
    Indeterminate,
    NotApplied,
}

/// The elements that were added to one key.
#[derive(Debug, Default)]
pub struct Members {
    fates: BTreeMap<u64, Fate>,
    lengths: HashSet<u64>,
}

impl Members {
    pub fn added(&mut self, element: u64, fate: Fate) {
        self.fates.insert(element, fate);
    }

    /// A list's length after a push is that push's alone.
    pub fn length_after(&mut self, length: u64) -> Verdict {
        let fresh = self.lengths.insert(length);
        if fresh { Ok(()) } else { Err(format!("duplicate: two pushes answered {length}")) }
    }

    pub fn len(&self) -> usize {
        self.fates.len()
    }

    /// Every acknowledged element once, open ones at most once, nothing else.
    pub fn finished(&self, found: &[u64]) -> Verdict {
        let mut seen = HashSet::new();
        for element in found {
            if !seen.insert(*element) {
                return Err(format!("duplicate: {element} is there twice"));
            }
            match self.fates.get(element) {
                Some(Fate::Acknowledged | Fate::Indeterminate) => {}
                other => return Err(format!("duplicate: {element} is there, which is {other:?}")),
            }
        }
        let lost = |(element, fate): &(&u64, &Fate)| **fate == Fate::Acknowledged && !seen.contains(element);
        match self.fates.iter().find(lost) {
            Some((element, _)) => Err(format!("lost: {element} was acknowledged and is not there")),
            None => Ok(()),
        }
    }
}

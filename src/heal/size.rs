//! How many keys one call asks a node for: so many that no client's call waits for long behind it.
//!
//! How long the node is at it is told from the quickest of the last calls: the others waited for something themselves, and smaller ones
//! would not have waited less.

use std::collections::VecDeque;
use std::time::Duration;

/// For so long a call may hold a node, about.
const HELD: Duration = Duration::from_micros(500);
/// The smallest share of the largest page: below it, the call itself costs more than what it asks for.
const SMALLEST: usize = 8;
/// The calls of which the quickest counts.
const RECENT: usize = 8;

/// The size of the next page.
pub(super) struct Size {
    least: usize,
    most: usize,
    /// Of the last calls, how long the node took for a key.
    recent: VecDeque<Duration>,
}

impl Size {
    pub(super) fn of(most: usize) -> Size {
        Size { least: (most / SMALLEST).max(1), most, recent: VecDeque::new() }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Always the largest.
    pub(super) fn fixed(self) -> Size {
        Size { least: self.most, ..self }
    }

    /// Begins small, since nothing is known of the node yet.
    pub(super) fn keys(&self) -> usize {
        let Some(quickest) = self.recent.iter().min() else { return self.least };
        let fit = HELD.as_nanos() / quickest.as_nanos().max(1);
        usize::try_from(fit).unwrap_or(self.most).clamp(self.least, self.most)
    }

    /// A call for so many keys took so long.
    pub(super) fn took(&mut self, keys: usize, took: Duration) {
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(took / u32::try_from(keys.max(1)).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_small_and_grows_to_what_the_node_can_do_in_time() {
        let mut size = Size::of(600);
        assert_eq!(size.keys(), 75);
        size.took(75, HELD / 4);
        assert_eq!(size.keys(), 300);
        size.took(300, HELD / 10);
        assert_eq!(size.keys(), 600, "never more than asked for");
    }

    #[test]
    fn a_fixed_size_stays() {
        let mut size = Size::of(600).fixed();
        assert_eq!(size.keys(), 600);
        size.took(600, 40 * HELD);
        assert_eq!(size.keys(), 600);
    }

    #[test]
    fn one_call_that_waited_does_not_make_pages_small_and_a_slow_node_does() {
        let mut size = Size::of(600);
        size.took(300, HELD);
        size.took(300, 40 * HELD);
        assert_eq!(size.keys(), 300);
        for _ in 0..RECENT {
            size.took(300, 40 * HELD);
        }
        assert_eq!(size.keys(), 75);
    }
}

//! What the nodes of one client know of each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Which address holds which member's seat, for all nodes of one client: no server has two seats, whatever its addresses come to
/// mean (P45). And the newest generation that one of them was seen in.
#[derive(Debug)]
pub struct Seats {
    holders: Mutex<BTreeMap<String, String>>,
    newest: AtomicU64,
    occasions: watch::Sender<u64>,
}

impl Default for Seats {
    fn default() -> Self {
        Seats { holders: Mutex::default(), newest: AtomicU64::new(0), occasions: watch::Sender::new(0) }
    }
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the member's seat for this address, or says which other one has it.
    pub(super) fn take(&self, member: &str, address: &str) -> Result<(), String> {
        let mut seats = self.lock();
        match seats.get(member) {
            Some(other) if other != address => Err(other.clone()),
            _ => {
                seats.retain(|_, holder| holder != address);
                seats.insert(member.to_owned(), address.to_owned());
                Ok(())
            }
        }
    }

    pub(super) fn leave(&self, address: &str) {
        self.lock().retain(|_, holder| holder != address);
    }

    /// The generation that a node is in, and the one that it knows was decided last.
    pub(super) fn note(&self, generation: u64, decided: u64) {
        let is_other = self.newest.fetch_max(generation, Ordering::Relaxed) != generation;
        if is_other || decided > generation {
            self.occasions.send_modify(|count| *count += 1);
        }
    }

    /// Hears of each newer generation, and whenever a node shows up in an older one than it should be in.
    pub fn occasions(&self) -> watch::Receiver<u64> {
        self.occasions.subscribe()
    }
}

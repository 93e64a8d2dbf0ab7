//! Who stands in line for what: of those who wait in one client, the first comes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All lines of a client, by what is waited for.
#[derive(Debug, Default)]
pub(super) struct Lines {
    all: Mutex<HashMap<Vec<u8>, Line>>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    /// A try found nothing, when so much had been heard of the register.
    empty_at: Option<u64>,
}

#[derive(Debug)]
struct Waiter {
    wake: Arc<Notify>,
    sleeps: bool,
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Line>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place at the end of each line.
    pub(super) fn enter(self: &Arc<Self>, names: Vec<Option<Vec<u8>>>) -> Place {
        let wake = Arc::new(Notify::new());
        let mut all = self.all();
        for name in names.iter().flatten() {
            let waiter = Waiter { wake: Arc::clone(&wake), sleeps: false };
            all.entry(name.clone()).or_default().waiting.push_back(waiter);
        }
        drop(all);
        Place { lines: Arc::clone(self), names, wake }
    }
}

/// A place in some lines, left when dropped: then the next one's turn comes.
#[derive(Debug)]
pub(super) struct Place {
    lines: Arc<Lines>,
    names: Vec<Option<Vec<u8>>>,
    wake: Arc<Notify>,
}

impl Place {
    /// Whether it is this one's turn at that key, and nobody has found it empty when as much had been heard as now, where that counts. Those
    /// who arrive may try beside each other, since their tries run in the order of their arrival; but nobody overtakes one that sleeps.
    pub(super) fn may_try(&self, key: usize, unless_empty_at: Option<u64>) -> bool {
        let Some(Some(name)) = self.names.get(key) else { return true };
        let all = self.lines.all();
        let Some(line) = all.get(name) else { return true };
        let is_me = |waiter: &Waiter| Arc::ptr_eq(&waiter.wake, &self.wake);
        let place = line.waiting.iter().position(is_me).unwrap_or(0);
        let is_turn = !line.waiting.iter().take(place).any(|waiter| waiter.sleeps)
            && (place == 0 || line.waiting.get(place).is_some_and(|me| !me.sleeps));
        is_turn && (unless_empty_at.is_none() || line.empty_at != unless_empty_at)
    }

    /// Whether it is the first at that key, so that news concern it.
    pub(super) fn is_first(&self, key: usize) -> bool {
        let Some(Some(name)) = self.names.get(key) else { return true };
        let all = self.lines.all();
        let first = all.get(name).and_then(|line| line.waiting.front());
        first.is_none_or(|waiter| Arc::ptr_eq(&waiter.wake, &self.wake))
    }

    /// Whether there are any lines for what it waits for.
    pub(super) fn is_in_line(&self) -> bool {
        self.names.iter().any(Option::is_some)
    }

    /// Nothing is there since so much was heard, for those behind as well; or something may be, though nothing was heard of it.
    pub(super) fn found_empty(&self, key: usize, at: Option<u64>) {
        if let Some(Some(name)) = self.names.get(key)
            && let Some(line) = self.lines.all().get_mut(name)
        {
            line.empty_at = at;
        }
    }

    /// From now on nobody who arrives may overtake it.
    pub(super) fn sleeps(&self) {
        let mut all = self.lines.all();
        for name in self.names.iter().flatten() {
            let line = all.get_mut(name).map(|line| line.waiting.iter_mut());
            for waiter in line.into_iter().flatten().filter(|waiter| Arc::ptr_eq(&waiter.wake, &self.wake)) {
                waiter.sleeps = true;
            }
        }
    }

    /// Waits until its turn may have come.
    pub(super) async fn turn(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.lines.all();
        for name in self.names.iter().flatten() {
            let Some(line) = all.get_mut(name) else { continue };
            line.waiting.retain(|waiter| !Arc::ptr_eq(&waiter.wake, &self.wake));
            match line.waiting.front() {
                Some(next) => next.wake.notify_one(),
                None => drop(all.remove(name)),
            }
        }
    }
}

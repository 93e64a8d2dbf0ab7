//! A register that is written to all the time leaves a repair no moment at which its source stands still: the repair may hold this
//! coordinator's own ops on it for a moment.

use crate::command::Register;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, oneshot};

/// The longest that ops wait for a repair; one that takes longer goes on without.
const LONGEST: Duration = Duration::from_millis(300);

/// The registers that a repair wants to itself.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<Register, Arc<Turn<()>>>>);

impl Holds {
    fn turn_of(&self, register: &Register, make: bool) -> Option<Arc<Turn<()>>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if make {
            return Some(Arc::clone(turns.entry(register.clone()).or_default()));
        }
        turns.get(register).cloned()
    }

    /// An op's turn; none where no repair is at work, which is nearly always.
    pub(super) async fn turn(&self, register: &Register) -> Option<OwnedMutexGuard<()>> {
        let turn = self.turn_of(register, false)?;
        Some(turn.lock_owned().await)
    }

    /// Waits for the op under way, and keeps the next one waiting until what this returns is dropped, or for as long as is bearable.
    pub(super) async fn hold(&self, register: &Register) -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        if let Some(turn) = self.turn_of(register, true) {
            let guard = turn.lock_owned().await;
            tokio::spawn(async move {
                // Dropped, or too late: the ops go on either way.
                let _ = tokio::time::timeout(LONGEST, released).await;
                drop(guard);
            });
        }
        release
    }

    /// No repair is at work on the register any more.
    pub(super) fn forget(&self, register: &Register) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(register);
    }
}

//! Checks a counter that many clients increment and read at once, in memory that grows by one bit for each increment.

use std::sync::Mutex;

/// What the check of a reply may find.
pub type Verdict = Result<(), String>;

/// One counter: what was begun, what ended, and what its replies prove.
#[derive(Default)]
pub struct Counter {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Increments that may have reached a node: begun, less those that certainly were not applied.
    begun: u64,
    acked: u64,
    indeterminate: u64,
    /// The highest reply of an operation that has ended.
    highest: u64,
    /// One bit for each value that an increment answered.
    answered: Vec<u64>,
}

/// What was true when an operation began.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    at_least: u64,
}

impl Counter {
    pub fn begin_increment(&self) -> Started {
        let mut inner = self.inner.lock().expect("a lock");
        inner.begun += 1;
        Started { at_least: inner.highest }
    }

    pub fn begin_read(&self) -> Started {
        Started { at_least: self.inner.lock().expect("a lock").highest }
    }

    /// The reply must exceed every reply that was there before the increment began, and be nobody else's.
    pub fn incremented(&self, started: Started, reply: u64) -> Verdict {
        let mut inner = self.inner.lock().expect("a lock");
        inner.acked += 1;
        if reply <= started.at_least {
            return Err(format!("lost: INCR answered {reply} after {} was seen", started.at_least));
        }
        if !inner.take(reply) {
            return Err(format!("duplicate: two INCRs answered {reply}"));
        }
        inner.saw(reply)
    }

    /// The reply must not be below what was seen before the read began.
    pub fn read(&self, started: Started, reply: u64) -> Verdict {
        let mut inner = self.inner.lock().expect("a lock");
        if reply < started.at_least {
            return Err(format!("stale: GET answered {reply} after {} was seen", started.at_least));
        }
        inner.saw(reply)
    }

    pub fn indeterminate(&self) {
        self.inner.lock().expect("a lock").indeterminate += 1;
    }

    /// It must not have counted.
    pub fn not_applied(&self) -> Verdict {
        let mut inner = self.inner.lock().expect("a lock");
        inner.begun -= 1;
        let highest = inner.highest;
        inner.saw(highest)
    }

    /// When all is over: acked ≤ total ≤ acked + indeterminate.
    pub fn finished(&self, total: u64) -> Verdict {
        let inner = self.inner.lock().expect("a lock");
        if total < inner.acked {
            return Err(format!("lost: the total is {total}, and {} INCRs were acknowledged", inner.acked));
        }
        if total > inner.acked + inner.indeterminate {
            let (acked, open) = (inner.acked, inner.indeterminate);
            return Err(format!(
                "duplicate: the total is {total}, of {acked} acknowledged and {open} open INCRs"
            ));
        }
        Ok(())
    }
}

impl Inner {
    fn take(&mut self, reply: u64) -> bool {
        let (word, bit) = (usize::try_from(reply / 64).expect("small"), 1 << (reply % 64));
        if self.answered.len() <= word {
            self.answered.resize(word + 1, 0);
        }
        let free = self.answered[word] & bit == 0;
        self.answered[word] |= bit;
        free
    }

    fn saw(&mut self, reply: u64) -> Verdict {
        self.highest = self.highest.max(reply);
        if reply > self.begun {
            return Err(format!("duplicate: {reply} was answered when only {} INCRs had begun", self.begun));
        }
        Ok(())
    }
}

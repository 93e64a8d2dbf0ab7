//! Checks a register that many clients set, to a new value each time, and read at once. Linearizability of such a register
//! needs no search: a value is stale when another one was certainly written, or seen, after it and before the read began.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::counter::Verdict;

/// Values older than this many writes are forgotten; to read one is as stale as can be.
const REMEMBERED: usize = 5_000;

/// One register. Value 0 is "never set".
pub struct Register {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Ticks at every begin and end: the order of real time.
    now: u64,
    /// By value: when it certainly was in place, once that is known.
    in_place_by: BTreeMap<u64, Option<u64>>,
    /// The latest begins of operations that ended with a value in hand, for two different values.
    evidence: [Evidence; 2],
    next_value: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    value: u64,
    began: u64,
}

/// What was true when an operation began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: u64,
    evidence: [Evidence; 2],
}

impl Default for Register {
    fn default() -> Self {
        let inner = Inner {
            now: 0,
            in_place_by: BTreeMap::from([(0, Some(0))]),
            evidence: [Evidence::default(); 2],
            next_value: 1,
        };
        Register { inner: Mutex::new(inner) }
    }
}

impl Register {
    /// A write begins; the value is the one to write.
    pub fn begin_write(&self) -> (Begun, u64) {
        let mut inner = self.inner.lock().expect("a lock");
        let value = inner.next_value;
        inner.next_value += 1;
        inner.in_place_by.insert(value, None);
        if inner.in_place_by.len() > REMEMBERED {
            inner.in_place_by.pop_first();
        }
        (inner.begin(), value)
    }

    pub fn begin_read(&self) -> Begun {
        self.inner.lock().expect("a lock").begin()
    }

    pub fn written(&self, begun: Begun, value: u64) {
        self.inner.lock().expect("a lock").proves(begun, value);
    }

    /// Nobody may ever read it, or have read it.
    pub fn not_applied(&self, value: u64) -> Verdict {
        match self.inner.lock().expect("a lock").in_place_by.remove(&value) {
            Some(Some(_)) => Err(format!("stale: GET answered {value}, which was not applied")),
            _ => Ok(()),
        }
    }

    /// The value must have been written, and not have been replaced before the read began.
    pub fn read(&self, begun: Begun, value: u64) -> Verdict {
        let mut inner = self.inner.lock().expect("a lock");
        let Some(in_place_by) = inner.in_place_by.get(&value).copied() else {
            return Err(format!("stale: GET answered {value}, which was never applied or is long gone"));
        };
        let replaced =
            begun.evidence.iter().find(|other| other.value != value && Some(other.began) > in_place_by);
        if let (Some(other), Some(by)) = (replaced, in_place_by) {
            let (newer, began) = (other.value, other.began);
            return Err(format!(
                "stale: GET answered {value}, in place by {by}, after {newer} of {began} was there"
            ));
        }
        inner.proves(begun, value);
        Ok(())
    }
}

impl Inner {
    fn begin(&mut self) -> Begun {
        self.now += 1;
        Begun { at: self.now, evidence: self.evidence }
    }

    /// An operation that ended with this value: it was in place at some moment since the operation began.
    fn proves(&mut self, begun: Begun, value: u64) {
        self.now += 1;
        let now = self.now;
        if let Some(in_place_by) = self.in_place_by.get_mut(&value) {
            in_place_by.get_or_insert(now);
        }
        let new = Evidence { value, began: begun.at };
        let [first, second] = self.evidence;
        self.evidence = match () {
            () if value == first.value => [if new.began > first.began { new } else { first }, second],
            () if new.began > first.began => [new, first],
            () if new.began > second.began => [first, new],
            () => [first, second],
        };
    }
}

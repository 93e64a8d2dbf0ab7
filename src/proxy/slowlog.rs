//! The slowest commands of late, as SLOWLOG shows them.

use super::request::Request;
use redis::Value;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WORDS: usize = 32;
const WORD: usize = 128;

/// A bounded list, the newest first.
#[derive(Debug)]
pub struct SlowLog {
    entries: Mutex<VecDeque<Entry>>,
    next: AtomicI64,
    /// From how many µs on a command is slow; none is if negative.
    pub slower_than_us: AtomicI64,
    /// How many are kept.
    pub kept: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Entry {
    id: i64,
    at: i64,
    took_us: i64,
    words: Vec<Vec<u8>>,
    address: String,
    client: String,
}

impl Default for SlowLog {
    fn default() -> SlowLog {
        SlowLog {
            entries: Mutex::default(),
            next: AtomicI64::new(0),
            slower_than_us: AtomicI64::new(10_000),
            kept: AtomicUsize::new(128),
        }
    }
}

impl SlowLog {
    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a command if it was slow.
    pub fn answered(&self, request: &Request, took: Duration, who: impl FnOnce() -> (String, String)) {
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let limit = self.slower_than_us.load(Ordering::Relaxed);
        if limit < 0 || took_us < limit {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (address, client) = who();
        let entry = Entry {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            at: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            took_us,
            words: shown(request),
            address,
            client,
        };
        let mut entries = self.entries();
        entries.push_front(entry);
        entries.truncate(self.kept.load(Ordering::Relaxed));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.entries().clear();
    }

    /// The newest ones.
    pub fn newest(&self, count: usize) -> Value {
        let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let entries = self.entries();
        let told = entries.iter().take(count).map(|entry| {
            Value::Array(vec![
                Value::Int(entry.id),
                Value::Int(entry.at),
                Value::Int(entry.took_us),
                Value::Array(entry.words.iter().map(|word| bulk(word)).collect()),
                bulk(entry.address.as_bytes()),
                bulk(entry.client.as_bytes()),
            ])
        });
        Value::Array(told.collect())
    }
}

/// As Redis cuts them.
fn shown(request: &Request) -> Vec<Vec<u8>> {
    let words = request.words();
    let cut = |word: &&[u8]| match word.get(..WORD) {
        Some(start) if word.len() > WORD => {
            let mut cut = start.to_vec();
            cut.extend(format!("... ({} more bytes)", word.len() - WORD).bytes());
            cut
        }
        _ => word.to_vec(),
    };
    if words.len() <= WORDS {
        return words.iter().map(cut).collect();
    }
    let mut some: Vec<Vec<u8>> = words[..WORDS - 1].iter().map(cut).collect();
    some.push(format!("... ({} more arguments)", words.len() - WORDS + 1).into_bytes());
    some
}

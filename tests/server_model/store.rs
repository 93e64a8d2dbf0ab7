//! The keys of a server, with their expiry.

use std::collections::{BTreeMap, BTreeSet};

use super::reply::{Error, WRONG_TYPE};
use super::value::{Bytes, Kind, Value};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: Value,
    expiry_ms: Option<i64>,
}

/// Key to value. Every expired key is removed before a command runs, so within a command all keys are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    entries: BTreeMap<Bytes, Entry>,
    /// The keys that expire, soonest first.
    expiring: BTreeSet<(i64, Bytes)>,
}

impl Store {
    /// Removes what has expired. As in Redis, a key lives through the millisecond of its expiry.
    pub fn expire(&mut self, now_ms: i64) {
        while let Some((expiry_ms, _)) = self.expiring.first()
            && *expiry_ms < now_ms
        {
            let (_, key) = self.expiring.pop_first().expect("there is a first");
            self.entries.remove(&key);
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn clear(&mut self) {
        *self = Store::default();
    }

    /// Removes all other keys.
    pub fn keep_only(&mut self, keys: &[&[u8]]) {
        let others: Vec<Bytes> = self.keys().filter(|key| !keys.contains(&key.as_slice())).cloned().collect();
        for key in others {
            self.remove(&key);
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.keys()
    }

    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of that type; an error where the key holds another one.
    pub fn view<K: Kind>(&self, key: &[u8]) -> Result<Option<&K>, Error> {
        self.get(key).map(|value| K::of(value).ok_or(WRONG_TYPE)).transpose()
    }

    /// Changes a value of that type, beginning with an empty one. What is left without elements is removed.
    pub fn edit<K: Kind, R>(&mut self, key: &[u8], change: impl FnOnce(&mut K) -> R) -> Result<R, Error> {
        if let Some(entry) = self.entries.get_mut(key) {
            let inner = K::of_mut(&mut entry.value).ok_or(WRONG_TYPE)?;
            let result = change(inner);
            if inner.is_gone() {
                self.remove(key);
            }
            return Ok(result);
        }
        let mut inner = K::default();
        let result = change(&mut inner);
        if !inner.is_gone() {
            self.insert(key, inner.wrap());
        }
        Ok(result)
    }

    /// Sets a value that does not expire.
    pub fn insert(&mut self, key: &[u8], value: Value) {
        if let Some(Entry { expiry_ms: Some(ms), .. }) =
            self.entries.insert(key.to_vec(), Entry { value, expiry_ms: None })
        {
            self.expiring.remove(&(ms, key.to_vec()));
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.entries.remove(key);
        if let Some(Entry { expiry_ms: Some(ms), .. }) = removed {
            self.expiring.remove(&(ms, key.to_vec()));
        }
        removed.is_some()
    }

    pub fn expiry_ms(&self, key: &[u8]) -> Option<i64> {
        self.entries.get(key).and_then(|entry| entry.expiry_ms)
    }

    /// Sets or takes off the expiry of a key that exists.
    pub fn set_expiry(&mut self, key: &[u8], expiry_ms: Option<i64>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let before = std::mem::replace(&mut entry.expiry_ms, expiry_ms);
        if let Some(ms) = before {
            self.expiring.remove(&(ms, key.to_vec()));
        }
        if let Some(ms) = expiry_ms {
            self.expiring.insert((ms, key.to_vec()));
        }
    }
}

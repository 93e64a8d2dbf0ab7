//! A store at one moment: what `redis.call` and `redis.pcall` work on.

use super::Mistake;
use super::commands;
use super::reply::{Error, Outcome, Reply};
use super::store::Store;

/// The time stands still while a command or a script runs, as it does in Redis.
pub struct Session<'a> {
    pub store: &'a mut Store,
    pub now_us: u64,
    pub mistake: Option<Mistake>,
    /// See lua/snapshot.lua.
    pub most_keys: i64,
}

impl Session<'_> {
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.now_us / 1_000).expect("this era")
    }

    /// `redis.call`: an error ends the script.
    pub fn call(&mut self, words: &[&[u8]]) -> Outcome {
        commands::run_in_script(self, words)
    }

    /// `redis.pcall`: an error is an answer.
    pub fn pcall(&mut self, words: &[&[u8]]) -> Reply {
        self.call(words).into()
    }

    /// A call that answers an integer.
    pub fn call_integer(&mut self, words: &[&[u8]]) -> Result<i64, Error> {
        match self.call(words)? {
            Reply::Int(number) => Ok(number),
            other => panic!("{other:?} is no integer"),
        }
    }

    /// A call that answers a string or nil.
    pub fn call_string(&mut self, words: &[&[u8]]) -> Result<Option<Vec<u8>>, Error> {
        Ok(string(self.call(words)?))
    }

    /// A call that answers an array of strings or nils.
    pub fn call_strings(&mut self, words: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        match self.call(words)? {
            Reply::Array(items) => Ok(items.into_iter().map(string).collect()),
            other => panic!("{other:?} is no array"),
        }
    }

    /// `HKEYS`.
    pub fn fields(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.call_strings(&[b"HKEYS", key])?.into_iter().flatten().collect())
    }

    pub fn exists(&self, key: &[u8]) -> bool {
        self.store.contains(key)
    }

    /// `HSET`.
    pub fn set_field(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<(), Error> {
        self.call(&[b"HSET", key, field, value]).map(|_| ())
    }
}

fn string(reply: Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::Bulk(bytes) => Some(bytes),
        Reply::Nil => None,
        other => panic!("{other:?} is no string"),
    }
}

//! The types of values.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::hash::{self, Hasher};

pub type Bytes = Vec<u8>;
pub type List = VecDeque<Bytes>;
pub type Hash = BTreeMap<Bytes, Bytes>;
pub type Set = BTreeSet<Bytes>;

/// A score: a double that is a number. Shown in its shortest form, as new servers do.
#[derive(Clone, Copy, Debug)]
pub struct Score(f64);

impl Score {
    pub fn parse(word: &[u8]) -> Option<Score> {
        let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
        (!number.is_nan()).then_some(Score(number + 0.0)) // no negative zero
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Score) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Score) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Score) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl hash::Hash for Score {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.to_bits());
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Members with their scores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Zset(pub BTreeMap<Bytes, Score>);

impl Zset {
    /// By score, then by member.
    pub fn ranked(&self) -> Vec<(Score, &Bytes)> {
        let mut all: Vec<_> = self.0.iter().map(|(member, score)| (*score, member)).collect();
        all.sort();
        all
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    String(Bytes),
    List(List),
    Hash(Hash),
    Set(Set),
    Zset(Zset),
}

impl Value {
    /// As TYPE names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::Zset(_) => "zset",
        }
    }
}

/// One of the types, so that a command names the one that it works on.
pub trait Kind: Default {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn wrap(self) -> Value;
    /// A collection without elements is no key.
    fn is_gone(&self) -> bool;
}

macro_rules! kind {
    ($kind:ty, $variant:ident, $is_gone:expr) => {
        impl Kind for $kind {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn wrap(self) -> Value {
                Value::$variant(self)
            }
            fn is_gone(&self) -> bool {
                let is_gone: fn(&$kind) -> bool = $is_gone;
                is_gone(self)
            }
        }
    };
}

kind!(Bytes, String, |_| false);
kind!(List, List, List::is_empty);
kind!(Hash, Hash, Hash::is_empty);
kind!(Set, Set, Set::is_empty);
kind!(Zset, Zset, |zset| zset.0.is_empty());

//! A register of several keys as one Redis would run it, and the words in which it is asked.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;

use crate::linearizable::Sequential;

/// One command on one key of the register.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Set(usize, i64),
    SetNx(usize, i64),
    /// Deletes it if it holds this value: a lock is given back by who holds it.
    Release(usize, i64),
    Get(usize),
    IncrBy(usize, i64),
    Delete(usize),
    Push(usize, i64),
    Pop(usize),
    Range(usize),
    Add(usize, i64),
    Remove(usize, i64),
    Members(usize),
    Put(usize, i64, i64),
    Fields(usize),
    Raise(usize, i64, i64),
    Scores(usize),
}

pub type Op = Vec<Step>;
/// Of each step; OK and nothing are empty.
pub type Reply = Vec<Vec<i64>>;

const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Held {
    Number(i64),
    List(Vec<i64>),
    Set(BTreeSet<i64>),
    Pairs(BTreeMap<i64, i64>),
}

/// The keys that exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Register(BTreeMap<usize, Held>);

impl Register {
    fn number(&self, key: usize) -> Option<i64> {
        match self.0.get(&key) {
            Some(Held::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn list(&mut self, key: usize) -> &mut Vec<i64> {
        match self.0.entry(key).or_insert_with(|| Held::List(Vec::new())) {
            Held::List(list) => list,
            other => panic!("a list, not {other:?}"),
        }
    }

    fn set(&mut self, key: usize) -> &mut BTreeSet<i64> {
        match self.0.entry(key).or_insert_with(|| Held::Set(BTreeSet::new())) {
            Held::Set(set) => set,
            other => panic!("a set, not {other:?}"),
        }
    }

    fn pairs(&mut self, key: usize) -> &mut BTreeMap<i64, i64> {
        match self.0.entry(key).or_insert_with(|| Held::Pairs(BTreeMap::new())) {
            Held::Pairs(pairs) => pairs,
            other => panic!("pairs, not {other:?}"),
        }
    }

    fn all(&self, key: usize) -> Vec<i64> {
        match self.0.get(&key) {
            None => vec![],
            Some(Held::Number(number)) => vec![*number],
            Some(Held::List(list)) => list.clone(),
            Some(Held::Set(set)) => set.iter().copied().collect(),
            Some(Held::Pairs(pairs)) => pairs.iter().flat_map(|(key, value)| [*key, *value]).collect(),
        }
    }

    fn put(&mut self, key: usize, number: i64) {
        self.0.insert(key, Held::Number(number));
    }

    fn step(&mut self, step: &Step) -> Vec<i64> {
        match *step {
            Step::Set(key, value) => {
                self.put(key, value);
                vec![]
            }
            Step::SetNx(key, value) => {
                let free = self.number(key).is_none();
                if free {
                    self.put(key, value);
                }
                vec![i64::from(free)]
            }
            Step::Release(key, value) => {
                let held = self.number(key) == Some(value);
                if held {
                    self.0.remove(&key);
                }
                vec![i64::from(held)]
            }
            Step::IncrBy(key, by) => {
                let next = self.number(key).unwrap_or_default() + by;
                self.put(key, next);
                vec![next]
            }
            Step::Delete(key) => vec![i64::from(self.0.remove(&key).is_some())],
            Step::Push(key, value) => {
                let list = self.list(key);
                list.push(value);
                vec![list.len() as i64]
            }
            Step::Pop(key) => {
                let list = self.list(key);
                let first = if list.is_empty() { vec![] } else { vec![list.remove(0)] };
                if list.is_empty() {
                    self.0.remove(&key);
                }
                first
            }
            Step::Add(key, value) => vec![i64::from(self.set(key).insert(value))],
            Step::Remove(key, value) => {
                let was_there = self.set(key).remove(&value);
                if self.set(key).is_empty() {
                    self.0.remove(&key);
                }
                vec![i64::from(was_there)]
            }
            Step::Put(key, field, value) => vec![i64::from(self.pairs(key).insert(field, value).is_none())],
            Step::Raise(key, member, by) => {
                let score = self.pairs(key).entry(member).or_default();
                *score += by;
                vec![*score]
            }
            Step::Get(key)
            | Step::Range(key)
            | Step::Members(key)
            | Step::Fields(key)
            | Step::Scores(key) => self.all(key),
        }
    }
}

impl Sequential for Register {
    type Op = Op;
    type Reply = Reply;

    fn apply(&mut self, op: &Op) -> Reply {
        op.iter().map(|step| self.step(step)).collect()
    }

    fn only_reads(op: &Op) -> bool {
        op.iter().all(Step::only_reads)
    }
}

impl Step {
    pub fn only_reads(&self) -> bool {
        matches!(self, Step::Get(_) | Step::Range(_) | Step::Members(_) | Step::Fields(_) | Step::Scores(_))
    }

    fn key(&self) -> usize {
        match *self {
            Step::Set(key, _) | Step::SetNx(key, _) | Step::Release(key, _) | Step::Get(key) => key,
            Step::IncrBy(key, _) | Step::Delete(key) | Step::Push(key, _) | Step::Pop(key) => key,
            Step::Range(key) | Step::Add(key, _) | Step::Remove(key, _) | Step::Members(key) => key,
            Step::Put(key, _, _) | Step::Fields(key) | Step::Raise(key, _, _) | Step::Scores(key) => key,
        }
    }

    /// The command, in the register of this name.
    pub fn words(&self, register: &str) -> Vec<String> {
        let key = format!("{{{register}}}:{}", self.key());
        let with = |name: &str, arguments: &[&dyn std::fmt::Display]| {
            let mut words = vec![name.to_owned(), key.clone()];
            words.extend(arguments.iter().map(|argument| argument.to_string()));
            words
        };
        match self {
            Step::Set(_, value) => with("SET", &[value]),
            Step::SetNx(_, value) => with("SETNX", &[value]),
            Step::Release(_, token) => {
                vec!["EVAL".into(), RELEASE.into(), "1".into(), key.clone(), token.to_string()]
            }
            Step::Get(_) => with("GET", &[]),
            Step::IncrBy(_, by) => with("INCRBY", &[by]),
            Step::Delete(_) => with("DEL", &[]),
            Step::Push(_, value) => with("RPUSH", &[value]),
            Step::Pop(_) => with("LPOP", &[]),
            Step::Range(_) => with("LRANGE", &[&0, &-1]),
            Step::Add(_, value) => with("SADD", &[value]),
            Step::Remove(_, value) => with("SREM", &[value]),
            Step::Members(_) => with("SMEMBERS", &[]),
            Step::Put(_, field, value) => with("HSET", &[field, value]),
            Step::Fields(_) => with("HGETALL", &[]),
            Step::Raise(_, member, by) => with("ZINCRBY", &[by, member]),
            Step::Scores(_) => with("ZRANGE", &[&0, &-1, &"WITHSCORES"]),
        }
    }

    /// The reply as the model gives it.
    pub fn reply(&self, value: &Value) -> Vec<i64> {
        let mut reply = numbers(value);
        match self {
            Step::Members(_) => reply.sort_unstable(),
            Step::Fields(_) | Step::Scores(_) => {
                let pairs: BTreeMap<i64, i64> = reply.chunks(2).map(|pair| (pair[0], pair[1])).collect();
                reply = pairs.into_iter().flat_map(|(key, value)| [key, value]).collect();
            }
            _ => {}
        }
        reply
    }
}

/// All numbers of a reply, in order.
pub fn numbers(value: &Value) -> Vec<i64> {
    let text = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("a number: {text:?}")) as i64;
    match value {
        Value::Nil | Value::Okay => vec![],
        Value::Int(number) => vec![*number],
        Value::Double(number) => vec![*number as i64],
        Value::BulkString(bytes) => vec![text(&String::from_utf8_lossy(bytes))],
        Value::SimpleString(line) => vec![text(line)],
        Value::Array(values) | Value::Set(values) => values.iter().flat_map(numbers).collect(),
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(key, value)| [numbers(key), numbers(value)].concat()).collect()
        }
        other => panic!("no reply of these workloads: {other:?}"),
    }
}

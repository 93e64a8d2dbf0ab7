//! What a register of two keys does when its keys expire: a Redis with one clock, which nobody can read exactly.
//!
//! An op happens at one time between its call and its reply, give or take what clocks may be apart. That time is not known, so a state
//! of the model is all the states that the replies so far allow: an op goes on from each of them at each time that makes a difference.
//! Of each key the latest time is kept at which it was looked at: what was gone by then is not alive at an earlier time afterwards.

use std::collections::BTreeSet;

use crate::linearizable::Sequential;

/// Commands that run as one, at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    pub form: Form,
    /// Each as its words; the name of a key ends in `a` or `b`.
    pub commands: Vec<Vec<String>>,
    /// When it happens at the earliest and at the latest, in ms.
    pub between: (u64, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Alone,
    Transaction,
    Script,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    value: Option<Value>,
    /// In ms; none for ever.
    expiry: Option<u64>,
    seen_ms: u64,
}

type Pair = [Key; 2];

/// All that may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Possible(BTreeSet<Pair>);

impl Default for Possible {
    fn default() -> Possible {
        Possible(BTreeSet::from([Pair::default()]))
    }
}

impl Possible {
    /// What it may answer, each with what it may be then.
    fn after(&self, op: &Op) -> Vec<(String, Pair)> {
        let outcome = |pair: &Pair, (at_ms, own_ms)| {
            let mut pair = pair.clone();
            (pair.run(op, at_ms, own_ms), pair)
        };
        self.0.iter().flat_map(|pair| pair.times(op).into_iter().map(|times| outcome(pair, times))).collect()
    }
}

impl Sequential for Possible {
    type Op = Op;
    type Reply = String;

    fn apply(&mut self, op: &Op) -> String {
        let (replies, pairs): (BTreeSet<String>, BTreeSet<Pair>) = self.after(op).into_iter().unzip();
        self.0 = pairs;
        Vec::from_iter(replies).join(" or ")
    }

    fn accept(&mut self, op: &Op, reply: &String) -> bool {
        let fits = self.after(op).into_iter().filter(|(answer, _)| answer == reply);
        self.0 = fits.map(|(_, pair)| pair).collect();
        !self.0.is_empty()
    }
}

impl Op {
    /// The keys that it names.
    fn keys(&self) -> BTreeSet<usize> {
        let names = self.commands.iter().flat_map(|words| words.iter().filter(|word| word.starts_with('{')));
        names.map(|name| place(name)).collect()
    }

    /// The expiries that it sets.
    fn expiries(&self) -> impl Iterator<Item = u64> {
        let of = |words: &Vec<String>| expiry_in(words);
        self.commands.iter().filter_map(of)
    }
}

fn place(key: &str) -> usize {
    usize::from(key.ends_with('b'))
}

fn expiry_in(words: &[String]) -> Option<u64> {
    let behind = |name: &str| words.iter().position(|word| word == name).map(|at| at + 1);
    let at = if words[0] == "PEXPIREAT" { Some(2) } else { behind("PXAT") };
    Some(words[at?].parse().expect("a time"))
}

trait Register {
    fn times(&self, op: &Op) -> Vec<(u64, u64)>;
    fn run(&mut self, op: &Op, at_ms: u64, own_ms: u64) -> String;
}

impl Register for Pair {
    /// Times that may make a difference: as early as it can be, and every expiry. The second is that by which the op sees pass what it
    /// sets itself. A script's may be later than the op's own: the node cannot know beforehand what a script will set, and where its
    /// clock has passed that, the key is gone for the script's further commands.
    fn times(&self, op: &Op) -> Vec<(u64, u64)> {
        let (earliest, latest) = op.between;
        if op.keys().into_iter().any(|key| self[key].seen_ms > latest) {
            return Vec::new();
        }
        let expiries = self.iter().filter_map(|key| key.expiry).chain(op.expiries());
        let mut times: BTreeSet<u64> = expiries.filter(|at_ms| (earliest..=latest).contains(at_ms)).collect();
        if earliest <= latest {
            times.insert(earliest);
        }
        let own = |at_ms: &u64| {
            if op.form == Form::Script { times.range(at_ms..) } else { times.range(at_ms..=at_ms) }
        };
        times.iter().flat_map(|at_ms| own(at_ms).map(|own_ms| (*at_ms, *own_ms))).collect()
    }

    fn run(&mut self, op: &Op, at_ms: u64, own_ms: u64) -> String {
        for key in op.keys() {
            self[key].look(at_ms);
        }
        let passed: BTreeSet<u64> = op.expiries().filter(|expiry| *expiry <= own_ms).collect();
        let replies: Vec<String> = op.commands.iter().map(|words| command(self, words, &passed)).collect();
        replies.join(";")
    }
}

impl Key {
    fn look(&mut self, at_ms: u64) {
        // A read may be earlier than what was done to another key of the register, not than what was done to this one.
        self.seen_ms = self.seen_ms.max(at_ms);
        if self.expiry.is_some_and(|expiry| expiry <= self.seen_ms) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        (self.value, self.expiry) = (None, None);
    }

    fn put(&mut self, value: Value, expiry: Option<u64>) {
        (self.value, self.expiry) = (Some(value), expiry);
    }

    /// None where it is a list.
    fn text(&self) -> Option<&str> {
        match &self.value {
            None => Some(""),
            Some(Value::Text(text)) => Some(text),
            Some(Value::List(_)) => None,
        }
    }

    fn get(&self) -> String {
        match &self.value {
            None => "nil".into(),
            Some(Value::Text(text)) => text.clone(),
            Some(Value::List(_)) => "ERR".into(),
        }
    }

    fn set_expiry(&mut self, at: u64, condition: Option<&str>) -> bool {
        let holds = match (condition, self.expiry) {
            (None, _) => true,
            (Some("NX"), expiry) => expiry.is_none(),
            (Some("XX"), expiry) => expiry.is_some(),
            (Some("GT"), expiry) => expiry.is_some_and(|expiry| at > expiry),
            (Some("LT"), expiry) => expiry.is_none_or(|expiry| at < expiry),
            (Some(other), _) => panic!("no condition: {other}"),
        };
        if self.value.is_none() || !holds {
            return false;
        }
        self.expiry = Some(at);
        true
    }
}

fn yes(what: bool) -> String {
    u8::from(what).to_string()
}

/// One command's reply, as text.
fn command(pair: &mut Pair, words: &[String], passed: &BTreeSet<u64>) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let reply = match words[0] {
        "MGET" => {
            let text = |key: &Key| if key.text().is_some() { key.get() } else { "nil".into() };
            format!(
                "[{}]",
                words[1..].iter().map(|key| text(&pair[place(key)])).collect::<Vec<_>>().join(" ")
            )
        }
        "EXISTS" => words[1..].iter().filter(|key| pair[place(key)].value.is_some()).count().to_string(),
        "RENAME" | "RENAMENX" | "COPY" => move_or_copy(pair, &words),
        _ => on_one_key(&mut pair[place(words[1])], &words),
    };
    // Only this command's keys: others may hold what is looked at when they are named.
    for key in words.iter().filter(|word| word.starts_with('{')).map(|key| place(key)) {
        if pair[key].expiry.is_some_and(|expiry| expiry <= pair[key].seen_ms || passed.contains(&expiry)) {
            pair[key].clear();
        }
    }
    reply
}

fn move_or_copy(pair: &mut Pair, words: &[&str]) -> String {
    let (from, to) = (place(words[1]), place(words[2]));
    let Some(value) = pair[from].value.clone() else {
        return if words[0] == "COPY" { "0".into() } else { "ERR".into() };
    };
    let may_replace = words[0] == "RENAME" || words.last() == Some(&"REPLACE");
    if pair[to].value.is_some() && !may_replace {
        return "0".into();
    }
    let expiry = pair[from].expiry;
    pair[to].put(value, expiry);
    if words[0] != "COPY" {
        pair[from].clear();
    }
    if words[0] == "RENAME" { "OK".into() } else { "1".into() }
}

fn on_one_key(key: &mut Key, words: &[&str]) -> String {
    match words[0] {
        "SET" => set(key, words),
        "SETNX" => {
            let is_free = key.value.is_none();
            if is_free {
                key.put(Value::Text(words[2].into()), None);
            }
            yes(is_free)
        }
        "PERSIST" => yes(key.expiry.take().is_some()),
        "PEXPIREAT" => {
            let at = words[2].parse().expect("a time");
            yes(key.set_expiry(at, words.get(3).copied()))
        }
        "PEXPIRETIME" => match (&key.value, key.expiry) {
            (None, _) => "-2".into(),
            (Some(_), None) => "-1".into(),
            (Some(_), Some(expiry)) => expiry.to_string(),
        },
        "DEL" => {
            let was_there = key.value.is_some();
            key.clear();
            yes(was_there)
        }
        "LPUSH" | "LRANGE" => list(key, words),
        _ => on_text(key, words),
    }
}

fn set(key: &mut Key, words: &[&str]) -> String {
    let has = |option| words[3..].contains(&option);
    let held = key.value.is_some();
    if has("NX") && held || has("XX") && !held {
        return "nil".into();
    }
    let at = words.iter().position(|word| *word == "PXAT").map(|at| words[at + 1].parse().expect("a time"));
    let expiry = if has("KEEPTTL") { key.expiry } else { at };
    key.put(Value::Text(words[2].into()), expiry);
    "OK".into()
}

fn list(key: &mut Key, words: &[&str]) -> String {
    let mut elements = match key.value.take() {
        None => Vec::new(),
        Some(Value::List(elements)) => elements,
        text => {
            key.value = text;
            return "ERR".into();
        }
    };
    if words[0] == "LPUSH" {
        elements.insert(0, words[2].into());
    }
    let reply =
        if words[0] == "LPUSH" { elements.len().to_string() } else { format!("[{}]", elements.join(" ")) };
    key.value = (!elements.is_empty()).then_some(Value::List(elements));
    reply
}

fn on_text(key: &mut Key, words: &[&str]) -> String {
    let Some(text) = key.text().map(str::to_owned) else { return "ERR".into() };
    let before = key.get();
    match words[0] {
        "GET" => before,
        "GETDEL" => {
            key.clear();
            before
        }
        "GETSET" => {
            key.put(Value::Text(words[2].into()), None);
            before
        }
        "GETEX" => {
            match words[2] {
                "PERSIST" => key.expiry = None,
                _ => drop(key.set_expiry(words[3].parse().expect("a time"), None)),
            }
            before
        }
        "APPEND" => {
            let text = text + words[2];
            let length = text.len().to_string();
            key.put(Value::Text(text), key.expiry);
            length
        }
        "INCR" => {
            let number = if text.is_empty() { Some(0) } else { text.parse::<i64>().ok() };
            let Some(next) = number.and_then(|number| number.checked_add(1)) else { return "ERR".into() };
            key.put(Value::Text(next.to_string()), key.expiry);
            next.to_string()
        }
        other => panic!("no command of the model: {other}"),
    }
}

//! The arguments of `settle`, in the contract's order, and the way from a snapshot to them.

use anarchoredis::protocol::Ballot;
use redis::Value;

use super::{Bytes, FENCE, NEVER, Reply};

/// One key of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: Bytes,
    pub form: String,
    pub expiry_ms: String,
    pub elements: Vec<Bytes>,
}

impl Key {
    pub fn new(name: &str, form: &str, elements: &[&str]) -> Key {
        let elements = elements.iter().map(|element| element.as_bytes().to_vec()).collect();
        Key { name: name.into(), form: form.into(), expiry_ms: "0".into(), elements }
    }

    pub fn expiring_at(self, ms: u64) -> Key {
        Key { expiry_ms: ms.to_string(), ..self }
    }

    fn of(state: &Reply) -> Key {
        let elements = strings(&state.item(3));
        Key { name: state.bytes(0), form: state.text(1), expiry_ms: state.text(2), elements }
    }
}

fn strings(reply: &Reply) -> Vec<Bytes> {
    let Value::Array(items) = &reply.0 else { panic!("no array: {reply}") };
    (0..items.len()).map(|index| reply.bytes(index)).collect()
}

/// A call of `settle`.
#[derive(Debug, Clone)]
pub struct Settle {
    pub register: Bytes,
    pub ballot: Ballot,
    pub version: String,
    pub digest: String,
    pub mode: &'static str,
    pub base: String,
    pub ops: Bytes,
    pub dirty: bool,
    pub multi: bool,
    pub log: Vec<Bytes>,
    pub keys: Vec<Key>,
}

impl Settle {
    pub fn confirm(register: &str, ballot: Ballot, version: u64, digest: &str) -> Settle {
        Settle {
            register: register.into(),
            ballot,
            version: version.to_string(),
            digest: digest.into(),
            mode: "confirm",
            base: String::new(),
            ops: Vec::new(),
            dirty: false,
            multi: false,
            log: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// A whole register that a test makes up.
    pub fn full(register: &str, ballot: Ballot, version: u64, digest: &str, keys: Vec<Key>) -> Settle {
        Settle { mode: "full", keys, ..Settle::confirm(register, ballot, version, digest) }
    }

    /// What a snapshot gave; `base` is the digest that the other node is at, for a delta.
    pub fn from_snapshot(register: &str, ballot: Ballot, snapshot: &Reply, base: &str) -> Settle {
        assert!(snapshot.is("SNAPSHOT"), "{snapshot}");
        Settle {
            mode: if snapshot.text(8) == "delta" { "delta" } else { "full" },
            base: base.into(),
            ops: snapshot.bytes(6),
            multi: snapshot.text(7) == "1",
            log: strings(&snapshot.item(9)),
            keys: snapshot.item(10).items().iter().map(Key::of).collect(),
            ..Settle::confirm(register, ballot, snapshot.number(4), &snapshot.text(5))
        }
    }

    /// ARGV.
    pub fn args(&self) -> Vec<Bytes> {
        let flag = |set: bool| if set { b"1".to_vec() } else { b"0".to_vec() };
        let ballot = self.ballot.to_string();
        let head = [FENCE, NEVER, &ballot, &self.version, &self.digest, self.mode, &self.base];
        let mut args: Vec<Bytes> = head.iter().map(|word| word.as_bytes().to_vec()).collect();
        args.extend([self.ops.clone(), flag(self.dirty)]);
        if self.mode == "confirm" {
            return args;
        }
        args.extend([flag(self.multi), self.log.len().to_string().into_bytes()]);
        args.extend(self.log.iter().cloned());
        args.push(self.keys.len().to_string().into_bytes());
        for key in &self.keys {
            args.extend([
                key.name.clone(),
                key.form.clone().into_bytes(),
                key.expiry_ms.clone().into_bytes(),
            ]);
            args.push(key.elements.len().to_string().into_bytes());
            args.extend(key.elements.iter().cloned());
        }
        args
    }
}

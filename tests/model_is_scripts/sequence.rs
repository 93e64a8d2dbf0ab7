//! A random sequence of calls to two nodes. What they answered makes the next calls: ballots that they promised, digests
//! that they are at, states that they gave.

use std::collections::BTreeMap;

use anarchoredis::script::{Name, script};
use redis::Value;

use crate::commands::Material;
use crate::pair::{Difference, Pair, Words};
use crate::reply::Reply;
use crate::rng::Rng;

/// Register and its keys; what has one key has no log.
pub const REGISTERS: [(&str, &[&str]); 4] =
    [("x", &["x"]), ("y", &["y"]), ("t", &["{t}a", "{t}b", "t"]), ("u", &["u{u}", "{u}v"])];
pub const NEVER: &str = "99999999999999";
const FOREVER: &str = "1000000000000";

/// How often each kind of answer came.
pub type Seen = BTreeMap<String, u64>;

/// Where a node's register stood when it last said so.
#[derive(Clone, Default)]
pub struct Held {
    pub promised: String,
    pub accepted: String,
    pub version: String,
    pub digest: String,
}

/// An op, for retries.
#[derive(Clone)]
struct Op {
    coordinator: u64,
    sequence: u64,
    register: usize,
    commands: Vec<Words>,
}

pub struct Sequence<'a> {
    pub rng: Rng,
    pub nodes: &'a mut [Pair; 2],
    pub base_ms: u64,
    pub seen: &'a mut Seen,
    pub fences: [String; 2],
    pub held: BTreeMap<(usize, usize), Held>,
    /// Form and length of what each node has aside.
    pub staged: [[String; 2]; 2],
    ballot_us: u64,
    ops: Vec<Op>,
}

pub fn text(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

pub fn record(register: usize) -> Vec<u8> {
    format!("anrcho_version:{{{}}}", REGISTERS[register].0).into_bytes()
}

pub fn evalsha(name: Name, keys: &[Vec<u8>], args: Words) -> Words {
    let head = text(&["EVALSHA", &script(name).sha, &keys.len().to_string()]);
    [head, keys.to_vec(), args].concat()
}

impl<'a> Sequence<'a> {
    pub async fn start(seed: u64, nodes: &'a mut [Pair; 2], seen: &'a mut Seen) -> Sequence<'a> {
        let (now_us, _) = nodes[0].ask_at(&text(&["PING"])).await;
        Sequence {
            rng: Rng::new(seed),
            nodes,
            base_ms: now_us / 1_000,
            seen,
            fences: [String::new(), String::new()],
            held: BTreeMap::new(),
            staged: [["list", "1"], ["set", "1"]].map(|stage| stage.map(str::to_owned)),
            ballot_us: now_us - 300_000_000,
            ops: Vec::new(),
        }
    }

    pub fn material(&self, register: usize) -> Material<'static> {
        Material { keys: REGISTERS[register].1, base_ms: self.base_ms }
    }

    /// Tells node and model; counts the kind of the answer.
    pub async fn tell(&mut self, node: usize, words: &[Vec<u8>]) -> Result<Reply, Difference> {
        let reply = Reply(self.nodes[node].run(words).await?);
        if words[0].starts_with(b"EVALSHA") {
            kinds(&reply).into_iter().for_each(|kind| self.count(kind));
        }
        Ok(reply)
    }

    pub fn count(&mut self, kind: impl Into<String>) {
        *self.seen.entry(kind.into()).or_default() += 1;
    }

    pub fn register(&mut self) -> usize {
        self.rng.below(REGISTERS.len() as u64) as usize
    }

    /// Mostly the node's own; at times another, at times too late.
    pub fn ticket(&mut self, node: usize) -> Words {
        let fence = if self.rng.percent(2) { "stale".to_owned() } else { self.fences[node].clone() };
        let late = (self.base_ms - 50_000).to_string();
        text(&[&fence, if self.rng.percent(2) { &late } else { NEVER }])
    }

    /// Mostly above all; at times one that is used, at times long after.
    pub fn ballot(&mut self, coordinator: u64) -> String {
        self.ballot_us += self.rng.below(3_000) + if self.rng.percent(3) { 100_000_000 } else { 1 };
        let mut time_us = self.ballot_us;
        if self.rng.percent(8) {
            time_us -= self.rng.below(20_000);
        }
        format!("{time_us:016}-{coordinator:016x}")
    }

    pub fn held(&self, node: usize, register: usize) -> Held {
        self.held.get(&(node, register)).cloned().unwrap_or_default()
    }

    fn op(&mut self) -> Op {
        if !self.ops.is_empty() && self.rng.percent(25) {
            let newest = self.ops.len() as u64 - 1;
            return self.ops[(newest - self.rng.below(newest.min(5) + 1)) as usize].clone();
        }
        let register = self.register();
        let commands = self.material(register).batch(&mut self.rng, false);
        let (coordinator, sequence) = (1 + self.rng.below(3), self.ops.len() as u64 + 1);
        let op = Op { coordinator, sequence, register, commands };
        self.ops.push(op.clone());
        op
    }

    pub async fn apply(&mut self, node: usize) -> Result<(), Difference> {
        let mut op = self.op();
        if self.rng.percent(1) {
            op.commands = vec![vec![b"DEL".to_vec(); 7_901]];
        }
        let read_only = self.rng.percent(10);
        if read_only {
            op.commands = self.material(op.register).batch(&mut self.rng, true);
        }
        let mut flags = if read_only { "r".to_owned() } else { String::new() };
        flags.push_str(self.rng.pick(&["", "w", "k", "h", "khw"]));
        let held = self.held(node, op.register);
        let expected = if self.rng.percent(85) { "*".into() } else { held.digest.clone() };
        let expected = if self.rng.percent(3) { "0".repeat(32) } else { expected };
        let until_ms = self.material(0).expiry_ms(&mut self.rng);
        let expected = if self.rng.percent(5) { format!("{expected}<{until_ms}") } else { expected };
        let mut ballot = self.ballot(op.coordinator);
        if self.rng.percent(4) && !held.promised.is_empty() {
            ballot = held.promised;
        }
        let mut offset = FOREVER;
        if self.rng.percent(3) {
            ballot = format!("{:016}-{:016x}", (self.base_ms + 10_000_000) * 1_000, op.coordinator);
            offset = "1000";
        }
        let lowest = if self.rng.percent(5) { self.material(0).expiry_ms(&mut self.rng) } else { 0 };
        let id = format!("{:016x}-{:016x}", op.coordinator, op.sequence);
        let (state_limit, reply_limit) =
            (self.rng.pick(&["0", "5", "4096"]), self.rng.pick(&["4096", "4096", "3"]));
        let window = self.rng.pick(&["600000", "600000", "2"]);
        if self.rng.percent(25) {
            let keys = self.keys(op.register).len() - 1;
            let shape = format!("{keys},{},{lowest},{expected},{flags}", op.commands.len());
            let limits = text(&[reply_limit, window, offset]);
            return self.bunch(node, &op, limits, &text(&[&ballot, &id, &shape])).await;
        }
        let mut args = self.ticket(node);
        args.extend(text(&[&ballot, &id, &flags, &expected, state_limit, reply_limit, window, offset]));
        args.extend(text(&[&lowest.to_string()]));
        args.extend(command_words(&op.commands));
        let keys = self.keys(op.register);
        let reply = self.tell(node, &evalsha(Name::Apply, &keys, args)).await?;
        self.learn(node, op.register, &reply, &ballot);
        Ok(())
    }

    /// The op in a bunch, between reads of any register.
    async fn bunch(&mut self, node: usize, op: &Op, limits: Words, head: &Words) -> Result<(), Difference> {
        let mut args = [self.ticket(node), limits].concat();
        let mut keys = Vec::new();
        for is_op in [false, true, false] {
            let register = if is_op { op.register } else { self.register() };
            args.extend(text(&[NEVER]));
            let commands = if is_op {
                args.extend(head.iter().cloned());
                op.commands.clone()
            } else {
                let commands = self.material(register).batch(&mut self.rng, true);
                let shape = format!("{},{},0,*,", REGISTERS[register].1.len(), commands.len());
                args.extend(text(&["", &self.base_ms.to_string(), &shape]));
                commands
            };
            args.extend(command_words(&commands).into_iter().skip(1));
            keys.extend(self.keys(register));
        }
        self.tell(node, &evalsha(Name::Bunch, &keys, args)).await?;
        Ok(())
    }

    /// KEYS: the record, and all keys of the register.
    fn keys(&self, register: usize) -> Vec<Vec<u8>> {
        [vec![record(register)], text(REGISTERS[register].1)].concat()
    }

    pub async fn read(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let commands = self.material(register).batch(&mut self.rng, true);
        let far_ms = self.base_ms + 1_000_000;
        let at_ms = if self.rng.percent(10) { far_ms } else { self.base_ms };
        let mut args = self.ticket(node);
        args.extend(text(&[&at_ms.to_string()]));
        args.extend(command_words(&commands));
        let keys = self.keys(register);
        let reply = self.tell(node, &evalsha(Name::Read, &keys, args)).await?;
        self.learn(node, register, &reply, "");
        Ok(())
    }

    fn learn(&mut self, node: usize, register: usize, reply: &Reply, ballot: &str) {
        let held = self.held.entry((node, register)).or_default();
        match reply.item(0).to_string().as_str() {
            "ACK" => {
                let (accepted, version) = (reply.text(1), reply.text(3));
                *held = Held { promised: ballot.into(), accepted, version, digest: reply.text(4) };
            }
            "READ" => {
                let (promised, accepted) = (reply.text(1), reply.text(2));
                *held = Held { promised, accepted, version: reply.text(4), digest: reply.text(5) };
            }
            _ => {}
        }
    }

    /// A plain command, behind the scripts' back.
    pub async fn plain(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let material = self.material(register);
        let words = match self.rng.below(40) {
            0 => text(&["FLUSHALL"]),
            1 => text(&["SET", &String::from_utf8_lossy(&record(register)), "no record"]),
            2 => text(&["NOSUCHCOMMAND", "a"]),
            3 => text(&["EVALSHA", &"0".repeat(40), "0"]),
            4 => text(&["KEYS", "*"]),
            5..15 => material.read(&mut self.rng),
            15..22 => text(&["DEL", self.rng.pick(material.keys)]),
            _ => material.write(&mut self.rng),
        };
        self.tell(node, &words).await?;
        self.tell(node, &text(&["EXISTS", material.keys[0]])).await?;
        if words[0] == b"FLUSHALL" {
            self.fences[node].clear();
        }
        Ok(())
    }
}

fn command_words(commands: &[Words]) -> Words {
    let mut words = text(&[&commands.len().to_string()]);
    for command in commands {
        words.push(command.len().to_string().into_bytes());
        words.extend(command.iter().cloned());
    }
    words
}

/// The answer's word; of an ACK also what makes it special.
fn kinds(reply: &Reply) -> Vec<String> {
    let Value::Array(items) = &reply.0 else { return vec!["raised".into()] };
    let word = reply.item(0).to_string();
    let mut kinds = vec![word.clone()];
    if word == "OTHER" || word == "REFUSED" {
        kinds.push(reply.to_string().split_whitespace().take(6).collect::<Vec<_>>().join(" "));
    }
    if word == "ACK" {
        let is_empty = |at: usize| reply.item(at).to_string() == "''";
        let told = [
            ("remembered", is_empty(6) && !is_empty(5) && reply.text(3) != "1"),
            ("LOST REPLY", items[7] == Value::Nil),
            ("MISMATCH", items[7] == Value::BulkString(b"MISMATCH".to_vec())),
            ("with states", items[8] != Value::Array(Vec::new())),
            ("not run", is_empty(5)),
        ];
        kinds.extend(told.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind.into()));
    }
    if word == "SNAPSHOT" {
        kinds.push(format!("SNAPSHOT {}", reply.item(8)));
        let shown = reply.to_string();
        let forms = ["large", "later", "gone"].into_iter().filter(|form| shown.contains(form));
        kinds.extend(forms.map(str::to_owned));
    }
    kinds
}

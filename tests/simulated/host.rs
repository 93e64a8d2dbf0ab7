//! One machine with a server on it: its clock, its process, its disk.

use std::collections::BTreeSet;

use anarchoredis::script::{NAMES, script};
use redis::Value;

use super::commands::command_table;
use super::pasted::Pasted;
use crate::server_model::Server;

/// How a server comes back after its process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comeback {
    /// With all that it had.
    Intact,
    /// With what it had at its last save.
    Older,
    /// With nothing.
    Empty,
}

#[derive(Debug)]
pub struct Host {
    pub server: Server,
    /// Counts the processes; the run id follows from it.
    pub runs: u64,
    pub is_up: bool,
    /// The clock's difference from the true time, in µs.
    pub offset_us: i64,
    /// Whether it says that it fsyncs every write.
    pub fsyncs: bool,
    /// Until when the process stands still, in µs of the true time.
    pub stands_until_us: u64,
    saved: Server,
    /// The scripts that this process has loaded.
    scripts: BTreeSet<Vec<u8>>,
    pasted: Pasted,
    /// How many scripts were run here.
    script_calls: u64,
    name: usize,
    takes_few_keys: bool,
}

fn fresh(takes_few_keys: bool) -> Server {
    if takes_few_keys { Server::taking_few_keys() } else { Server::default() }
}

impl Host {
    pub fn new(name: usize, offset_us: i64, fsyncs: bool, takes_few_keys: bool) -> Host {
        Host {
            server: fresh(takes_few_keys),
            runs: 1,
            is_up: true,
            offset_us,
            fsyncs,
            stands_until_us: 0,
            saved: fresh(takes_few_keys),
            scripts: BTreeSet::new(),
            pasted: Pasted::default(),
            script_calls: 0,
            name,
            takes_few_keys,
        }
    }

    pub fn run_id(&self) -> String {
        format!("{:020}{:020}", self.name, self.runs)
    }

    pub fn script_calls(&self) -> u64 {
        self.script_calls
    }

    pub fn cached_scripts(&self) -> usize {
        self.scripts.len() + self.pasted.cached()
    }

    /// What an RDB file keeps.
    pub fn save(&mut self) {
        self.saved = self.server.clone();
    }

    pub fn kill(&mut self) {
        self.is_up = false;
        self.stands_until_us = 0;
    }

    pub fn start(&mut self, comeback: Comeback) {
        match comeback {
            Comeback::Intact => {}
            Comeback::Older => self.server = self.saved.clone(),
            Comeback::Empty => self.server = fresh(self.takes_few_keys),
        }
        self.forget_scripts();
        self.saved = self.server.clone();
        self.runs += 1;
        self.is_up = true;
    }

    fn forget_scripts(&mut self) {
        self.scripts.clear();
        self.pasted.forget();
    }

    /// Runs one command at this true time.
    pub fn run(&mut self, true_us: u64, words: &[&[u8]]) -> Value {
        let now_us = true_us.saturating_add_signed(self.offset_us);
        self.script_calls += u64::from(words[0].starts_with(b"EVAL"));
        if let Some(source) = self.pasted.source(words) {
            return Pasted::run(&mut self.server, now_us, &source);
        }
        match words[0].to_ascii_uppercase().as_slice() {
            b"INFO" => Value::BulkString(self.info().into_bytes()),
            b"COMMAND" => command_table(),
            b"CONFIG" => self.setting(words),
            b"SCRIPT" => self.script(words),
            b"EVALSHA" if !self.scripts.contains(words[1]) => error("NOSCRIPT No matching script."),
            _ => self.server.run(now_us, words),
        }
    }

    fn script(&mut self, words: &[&[u8]]) -> Value {
        if words[1].eq_ignore_ascii_case(b"FLUSH") {
            self.forget_scripts();
            return Value::Okay;
        }
        let known = NAMES.into_iter().map(script).find(|script| script.source.as_bytes() == words[2]);
        let Some(known) = known else { return error("ERR a script that is not ours") };
        self.scripts.insert(known.sha.clone().into_bytes());
        Value::BulkString(known.sha.clone().into_bytes())
    }

    fn info(&self) -> String {
        let lines = [
            "redis_version:7.0.15".to_owned(),
            format!("run_id:{}", self.run_id()),
            "role:master".to_owned(),
            "maxmemory_policy:noeviction".to_owned(),
            "cluster_enabled:0".to_owned(),
            format!("aof_enabled:{}", u8::from(self.fsyncs)),
        ];
        lines.join("\r\n")
    }

    fn setting(&self, words: &[&[u8]]) -> Value {
        let value: &[u8] = match words.get(2) {
            Some(name) if **name == *b"appendfsync" && self.fsyncs => b"always",
            Some(name) if **name == *b"appendfsync" => b"everysec",
            _ => b"no",
        };
        let name = words.get(2).map(|name| name.to_vec()).unwrap_or_default();
        Value::Array(vec![Value::BulkString(name), Value::BulkString(value.to_vec())])
    }
}

fn error(text: &str) -> Value {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error is a reply")
}

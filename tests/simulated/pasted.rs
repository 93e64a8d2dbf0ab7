//! Scripts that a naive coordinator pastes together: commands, one a line, that run in one step, each with a reply. A command
//! that fails undoes nothing and stops nothing.

use std::collections::BTreeMap;

use redis::Value;
use sha1_smol::Sha1;

use crate::server_model::Server;

/// The pasted scripts that one server has cached, by their hashes.
#[derive(Debug, Default)]
pub struct Pasted(BTreeMap<String, String>);

impl Pasted {
    pub fn cached(&self) -> usize {
        self.0.len()
    }

    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// What `EVAL source 0` or `EVALSHA hash 0` runs; none where it is not one of these.
    pub fn source(&mut self, words: &[&[u8]]) -> Option<String> {
        let text = std::str::from_utf8(words.get(1)?).ok()?;
        if words[0] == b"EVAL" {
            let hash = Sha1::from(text).hexdigest();
            return Some(self.0.entry(hash).or_insert_with(|| text.to_owned()).clone());
        }
        self.0.get(text).filter(|_| words[0] == b"EVALSHA").cloned()
    }

    /// Runs a source, line by line.
    pub fn run(server: &mut Server, now_us: u64, source: &str) -> Value {
        let run = |line: &str| server.run(now_us, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        Value::Array(source.lines().map(run).collect())
    }
}

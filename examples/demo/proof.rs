//! The proof: every node is asked directly, behind the store's back.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, RedisResult};

use crate::harness::Server;
use crate::load::{Acknowledged, counter_key, journal_key, set_key};

const RECORD: &str = "anrcho_version:{";

/// What one node holds.
#[derive(PartialEq, Eq)]
pub struct Holdings {
    /// By register: version and digest, as the node's own record says.
    pub registers: BTreeMap<String, (u64, String)>,
    values: BTreeMap<String, Held>,
}

/// A plain Redis value.
#[derive(PartialEq, Eq)]
enum Held {
    Text(String),
    List(Vec<String>),
}

/// What became of that which was acknowledged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged writes that are not there.
    pub lost: u64,
    /// Writes that are there twice.
    pub doubled: u64,
}

/// Reads all that a node holds, with plain Redis commands over a connection of its own.
pub async fn holdings(node: &Server) -> RedisResult<Holdings> {
    let mut connection = node.try_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    let mut holdings = Holdings { registers: BTreeMap::new(), values: BTreeMap::new() };
    for key in keys {
        if let Some(register) = key.strip_prefix(RECORD).and_then(|rest| rest.strip_suffix('}')) {
            let version = connection.hget(&key, "v").await?;
            let digest = connection.hget(&key, "d").await?;
            holdings.registers.insert(register.to_owned(), (version, digest));
        } else if !key.starts_with("anrcho_") {
            let held = held(&mut connection, &key).await?;
            holdings.values.insert(key, held);
        }
    }
    Ok(holdings)
}

async fn held(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<Held> {
    let form: String = redis::cmd("TYPE").arg(key).query_async(connection).await?;
    match form.as_str() {
        "list" => Ok(Held::List(connection.lrange(key, 0, -1).await?)),
        _ => Ok(Held::Text(connection.get(key).await?)),
    }
}

impl Holdings {
    /// Looks for everything that was acknowledged.
    pub fn verdict(&self, acknowledged: &Acknowledged) -> Verdict {
        let mut verdict = Verdict::default();
        self.check_sets(acknowledged, &mut verdict);
        self.check_counters(acknowledged, &mut verdict);
        self.check_journals(acknowledged, &mut verdict);
        verdict
    }

    fn number(&self, key: &str) -> u64 {
        match self.values.get(key) {
            Some(Held::Text(text)) => text.parse().unwrap_or(0),
            _ => 0,
        }
    }

    /// Values grow, and a key has one writer: below the last acknowledged one means that it was lost.
    fn check_sets(&self, acknowledged: &Acknowledged, verdict: &mut Verdict) {
        for (setter, places) in acknowledged.sets.iter().enumerate() {
            for (place, last) in places.iter().enumerate() {
                let is_lost = self.number(&set_key(setter, place)) < last.load(Ordering::SeqCst);
                verdict.lost += u64::from(is_lost);
            }
        }
    }

    fn check_counters(&self, acknowledged: &Acknowledged, verdict: &mut Verdict) {
        let mut surplus = 0;
        for (counter, increments) in acknowledged.increments.iter().enumerate() {
            let (expected, found) = (increments.load(Ordering::SeqCst), self.number(&counter_key(counter)));
            verdict.lost += expected.saturating_sub(found);
            surplus += found.saturating_sub(expected);
        }
        verdict.doubled += surplus.saturating_sub(acknowledged.unsure_increments.load(Ordering::SeqCst));
        verdict.doubled += acknowledged.repeated_replies.load(Ordering::SeqCst);
    }

    fn check_journals(&self, acknowledged: &Acknowledged, verdict: &mut Verdict) {
        for (journal, entries) in acknowledged.entries.iter().enumerate() {
            let mut found: HashMap<&str, u64> = HashMap::new();
            if let Some(Held::List(held)) = self.values.get(&journal_key(journal)) {
                held.iter().for_each(|entry| *found.entry(entry).or_default() += 1);
            }
            verdict.doubled += found.values().map(|times| times - 1).sum::<u64>();
            let entries = entries.lock().expect("no panic under this lock");
            verdict.lost += entries.iter().filter(|entry| !found.contains_key(entry.as_str())).count() as u64;
        }
    }
}

//! What the clients were told, register by register.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anarchoredis::{Error, Outcome};
use redis::Value;

/// One command with its end, in µs of the true time.
#[derive(Debug, Clone)]
pub struct Said {
    pub client: usize,
    pub words: Vec<Vec<u8>>,
    /// Places in the order of all events.
    pub invoked: u64,
    pub ended: u64,
    pub told: Told,
}

#[derive(Debug, Clone)]
pub enum Told {
    Reply(Value),
    /// Applied, and the reply is lost.
    Applied,
    /// Nobody knows.
    Open,
}

/// One run's events. An event's place is its number; its time is kept beside it.
#[derive(Debug, Default)]
pub struct History(Mutex<Events>);

#[derive(Debug, Default)]
struct Events {
    times_us: Vec<u64>,
    registers: BTreeMap<String, Vec<Said>>,
    counts: Counts,
}

/// How the ops ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub acknowledged: u64,
    pub indeterminate: u64,
    pub not_applied: u64,
}

impl History {
    /// Something happens now; answers its place.
    pub fn event(&self, now_us: u64) -> u64 {
        let mut events = self.0.lock().expect("no event panics");
        events.times_us.push(now_us);
        events.times_us.len() as u64 - 1
    }

    /// A client was told how its command ended.
    pub fn told(
        &self,
        register: &str,
        client: usize,
        words: &[&[u8]],
        from: (u64, u64),
        reply: Result<Value, Error>,
    ) {
        let (invoked, ended) = from;
        let mut events = self.0.lock().expect("no event panics");
        let told = match reply {
            Ok(reply) => Told::Reply(reply),
            Err(Error::Command(error)) => Told::Reply(Value::ServerError(error)),
            Err(error) => match error.outcome() {
                Outcome::NotApplied => {
                    events.counts.not_applied += 1;
                    return;
                }
                Outcome::Applied => Told::Applied,
                Outcome::Indeterminate => Told::Open,
            },
        };
        match told {
            Told::Open => events.counts.indeterminate += 1,
            _ => events.counts.acknowledged += 1,
        }
        let words = words.iter().map(|word| word.to_vec()).collect();
        let said = Said { client, words, invoked, ended, told };
        events.registers.entry(register.to_owned()).or_default().push(said);
    }

    pub fn counts(&self) -> Counts {
        self.0.lock().expect("no event panics").counts
    }

    /// Every register with what was said of it, and the times of the events.
    pub fn taken(self) -> (BTreeMap<String, Vec<Said>>, Vec<u64>) {
        let events = self.0.into_inner().expect("no event panics");
        (events.registers, events.times_us)
    }
}

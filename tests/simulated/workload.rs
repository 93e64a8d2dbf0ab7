//! What clients ask for: commands of several types on few registers, so that they meet.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anarchoredis::{Client, Error};
use redis::Value;

use super::history::History;
use super::rng::Rng;
use super::world::World;

/// What answers commands.
pub trait Store: Clone + Send + Sync + 'static {
    fn run(&self, words: &[&[u8]]) -> impl Future<Output = Result<Value, Error>> + Send;
}

impl Store for Client {
    async fn run(&self, words: &[&[u8]]) -> Result<Value, Error> {
        Client::run(self, words).await
    }
}

/// One client: a handle to its coordinator's store, and its own choice of commands.
pub struct Worker<S = Client> {
    pub world: Arc<World>,
    pub history: Arc<History>,
    pub client: S,
    pub number: usize,
    pub rng: Rng,
    pub working: Arc<AtomicUsize>,
}

/// A template: `$` stands for a fresh value, `#` for one of a few, `@` for an expiry soon.
const STRING: &[&str] = &[
    "SET k $",
    "SET k $",
    "GET k",
    "GET k",
    "APPEND k $",
    "SETNX k $",
    "GETDEL k",
    "DEL k",
    "STRLEN k",
    "RPUSH k $",
];
const COUNTER: &[&str] = &["INCR k", "INCR k", "INCRBY k 7", "DECR k", "GET k", "GET k", "DEL k"];
const LIST: &[&str] = &[
    "RPUSH k $",
    "RPUSH k $",
    "LPUSH k $",
    "LPOP k",
    "RPOP k",
    "LRANGE k 0 -1",
    "LRANGE k 0 -1",
    "LLEN k",
    "DEL k",
];
const SET: &[&str] =
    &["SADD k #", "SADD k #", "SREM k #", "SMEMBERS k", "SISMEMBER k #", "SCARD k", "SADD k $", "SPOP k"];
const EXPIRING: &[&str] = &[
    "SET k $ PXAT @",
    "SET k $ PXAT @",
    "PEXPIREAT k @",
    "GET k",
    "GET k",
    "APPEND k $",
    "PERSIST k",
    "PEXPIRETIME k",
    "SET k $ KEEPTTL",
    "SET k $",
    "EXISTS k",
];
/// Two keys of one register.
const TAGGED: &[&str] = &[
    "SET {k}a $",
    "SET {k}b $",
    "MSET {k}a $ {k}b $",
    "MGET {k}a {k}b",
    "RENAME {k}a {k}b",
    "COPY {k}b {k}a",
    "DEL {k}a",
    "GET {k}b",
    "APPEND {k}b $",
];
const KINDS: [(&str, &[&str]); 6] =
    [("s", STRING), ("c", COUNTER), ("l", LIST), ("z", SET), ("e", EXPIRING), ("t", TAGGED)];

impl<S: Store> Worker<S> {
    /// Works its ops off.
    pub async fn work(mut self) {
        for number in 0..self.world.weather.ops_each {
            let pause = self.rng.below(self.world.weather.think_ms);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let (kind, templates) = self.rng.pick(&KINDS);
            let register = format!("{kind}{}", self.rng.below(self.world.weather.keys));
            let template = self.rng.pick(templates);
            let fresh = format!("{}.{number};", self.number);
            let line = self.filled(template, &register, &fresh);
            self.say(&register, &line).await;
        }
        self.working.fetch_sub(1, Ordering::Relaxed);
    }

    fn filled(&mut self, template: &str, register: &str, fresh: &str) -> Vec<Vec<u8>> {
        let expiry_ms = self.world.now_us() / 1_000 + self.rng.within(1..3_000);
        let few = self.rng.below(3).to_string();
        let word = |word: &str| match word {
            "$" => fresh.to_owned(),
            "#" => few.clone(),
            "@" => expiry_ms.to_string(),
            "k" => register.to_owned(),
            word => word.replace("{k}", &format!("{{{register}}}")),
        };
        template.split(' ').map(|part| word(part).into_bytes()).collect()
    }

    /// Runs one command and remembers what came of it.
    pub async fn say(&self, register: &str, words: &[Vec<u8>]) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let shown = || words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
        self.world.note(|| format!("client {} says {}", self.number, shown()));
        let invoked = self.history.event(self.world.now_us());
        let reply = self.client.run(&words).await;
        let ended = self.history.event(self.world.now_us());
        self.world.note(|| format!("client {} is told {reply:?}", self.number));
        self.history.told(register, self.number, &words, (invoked, ended), reply);
    }
}

/// Reads that show all of a register.
pub fn last_words(register: &str) -> Vec<Vec<Vec<u8>>> {
    let lines: &[&str] = match &register[..1] {
        "l" => &["LRANGE k 0 -1"],
        "z" => &["SMEMBERS k"],
        "t" => &["MGET {k}a {k}b"],
        "s" => &["TYPE k", "GET k"],
        _ => &["GET k"],
    };
    let word = |word: &str| match word {
        "k" => register.as_bytes().to_vec(),
        word => word.replace("{k}", &format!("{{{register}}}")).into_bytes(),
    };
    lines.iter().map(|line| line.split(' ').map(word).collect()).collect()
}

/// The keys of a register.
pub fn keys(register: &str) -> Vec<String> {
    match &register[..1] {
        "t" => vec![format!("{{{register}}}a"), format!("{{{register}}}b")],
        _ => vec![register.to_owned()],
    }
}

/// All registers that clients may use in this weather.
pub fn registers(keys: u64) -> impl Iterator<Item = String> {
    KINDS.into_iter().flat_map(move |(kind, _)| (0..keys).map(move |number| format!("{kind}{number}")))
}

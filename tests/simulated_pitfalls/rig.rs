//! Three model servers in virtual time, and coordinators of either kind, each behind links of its own.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anarchoredis::Client;
use anarchoredis::command::Register;
use anarchoredis::script::Record;
use redis::{FromRedisValue, Value};

use crate::naive::Naive;
use crate::party::{Coordinator, Party};
use crate::simulated::faults::{addresses, heal};
use crate::simulated::host::Comeback;
use crate::simulated::run::config_of;
use crate::simulated::weather::Weather;
use crate::simulated::wire;
use crate::simulated::world::{Link, World};

pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;

/// How many coordinators a trace may have.
const PARTIES: usize = 10;
/// How long a trace waits for what must come.
const SOON: Duration = Duration::from_secs(60);

/// Who is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Naive,
    Ours,
}

pub struct Rig {
    pub kind: Kind,
    pub world: Arc<World>,
    joined: Cell<usize>,
}

/// Runs a trace whose timers cost nothing.
pub fn in_virtual_time<T>(trace: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(trace())
}

pub async fn pause_ms(pause: u64) {
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Waits until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A repair whose settle is on its way to C.
pub struct HeldRepair<'a>(&'a Party);

impl HeldRepair<'_> {
    pub async fn arrives(self) {
        let waiting = || self.0.client().repairs().waiting;
        assert_eq!(waiting(), 1, "the settle is on its way");
        self.0.links(&[C], Link::Up);
        until("the settle is answered", || waiting() == 0).await;
    }
}

impl Rig {
    pub fn start(kind: Kind, seed: u64) -> Rig {
        Rig::of(kind, seed, 3)
    }

    /// With so many servers.
    pub fn of(kind: Kind, seed: u64, servers: usize) -> Rig {
        Rig { kind, world: World::in_weather(seed, Weather::fair(servers, PARTIES)), joined: Cell::new(0) }
    }

    /// A coordinator that reaches all nodes, for now.
    pub async fn join(&self) -> Party {
        self.join_in_order(&[A, B, C]).await
    }

    /// A coordinator to which these nodes are listed, in this order.
    pub async fn join_in_order(&self, nodes: &[usize]) -> Party {
        let all = addresses(self.world.weather.nodes);
        let urls = nodes.iter().map(|node| all[*node].clone()).collect();
        self.join_at(nodes, urls).await.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// A coordinator with these URLs, or why there is none.
    pub async fn join_at(&self, nodes: &[usize], urls: Vec<String>) -> Result<Party, String> {
        let place = self.joined.replace(self.joined.get() + 1);
        assert!(place < PARTIES, "no place for another coordinator");
        let party = Arc::new(wire::Party::new(&self.world, place));
        let coordinator = match self.kind {
            Kind::Naive => Coordinator::Naive(Naive::new(&urls, party)),
            Kind::Ours => {
                let client = Client::builder().nodes(urls).config(config_of(party)).connect().await;
                Coordinator::Ours(client.map_err(|error| error.to_string())?)
            }
        };
        Ok(Party { coordinator, place, nodes: nodes.to_vec(), world: Arc::clone(&self.world) })
    }

    /// Heals the keys by what the kind has for that: whichever copy is the highest, or a whole pass of the healer.
    pub async fn heal(&self, keys: &[&str]) {
        if self.kind == Kind::Naive {
            let party = Arc::new(wire::Party::new(&self.world, PARTIES));
            let naive = Naive::new(&addresses(3), party);
            for key in keys {
                naive.heal(key).await;
            }
        } else {
            assert!(heal(&self.world).await, "a heal pass that did not complete");
        }
    }

    /// C lacks what A and B hold of `k`: a read by this one of ours finds it, and the settle that mends it is held on its way.
    pub async fn hold_repair<'a>(&self, reader: &'a Party) -> HeldRepair<'a> {
        let calls = self.script_calls(C);
        reader.must("GET k").await;
        // The question what C lacks: what comes next is the settle. (The read runs no script.)
        until("the repair begins", || self.script_calls(C) == calls + 1).await;
        reader.loses(&[C]);
        pause_ms(100).await;
        HeldRepair(reader)
    }

    /// C has missed a write of `k`; its repair comes only after this other write.
    pub async fn repair_after(&self, write: &str) {
        let (x, y, reader) = (self.join().await, self.join().await, self.join().await);
        x.must("SET k v1").await;
        x.reaches_only(&[A, B]).await;
        x.must("SET k v2").await;
        if self.kind == Kind::Naive {
            let seen = reader.naive().look("k").await;
            y.must(write).await;
            reader.naive().store(C, "k", seen[A].as_ref().expect("A was seen")).await;
        } else {
            let settle = self.hold_repair(&reader).await;
            y.must(write).await;
            settle.arrives().await;
        }
    }

    /// What one node answers, asked behind the coordinators' backs.
    pub fn ask_one<T: FromRedisValue>(&self, node: usize, line: &str) -> T {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let now_us = self.world.now_us();
        let reply = self.world.host(node).run(now_us, &words);
        redis::from_redis_value(reply).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What each of the three nodes answers.
    pub fn ask<T: FromRedisValue>(&self, line: &str) -> Vec<T> {
        [A, B, C].map(|node| self.ask_one(node, line)).into()
    }

    /// What each node's record says of a key's register.
    pub fn records(&self, key: &str) -> Vec<Option<Record>> {
        let [h, d, a] = Record::FIELDS;
        let answers: Vec<Value> = self.ask(&format!("HMGET {} {h} {d} {a}", record(key)));
        answers.into_iter().map(|answer| Record::of(answer).expect("a record")).collect()
    }

    /// Version and digest of a key's register at each node.
    pub fn histories(&self, key: &str) -> Vec<Option<(String, String)>> {
        let records = self.records(key).into_iter();
        records.map(|record| record.map(|record| (record.version, record.digest))).collect()
    }

    /// Whether all nodes give the same answer.
    pub fn agree(&self, line: &str) -> bool {
        let answers: Vec<Value> = self.ask(line);
        answers.iter().all(|answer| *answer == answers[0])
    }

    /// Waits until all nodes give the same answer; the naive kind has nothing under way and is asked at once.
    pub async fn comes_to_agree(&self, line: &str) -> bool {
        if self.kind == Kind::Ours {
            until(&format!("all nodes answer {line} alike"), || self.agree(line)).await;
        }
        self.agree(line)
    }

    /// The process dies and comes back.
    pub fn restart(&self, node: usize, comeback: Comeback) {
        let mut host = self.world.host(node);
        host.kill();
        host.start(comeback);
    }

    pub fn script_calls(&self, node: usize) -> u64 {
        self.world.host(node).script_calls()
    }
}

/// The name under which a node keeps a key's record.
pub fn record(key: &str) -> String {
    String::from_utf8(Register::of(key.as_bytes()).record_key()).expect("a key of text")
}

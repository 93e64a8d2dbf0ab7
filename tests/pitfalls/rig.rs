//! Three real nodes, and coordinators of either kind, each behind links of its own.

use std::time::Duration;

use anarchoredis::client::NodeStatus;
use anarchoredis::heal::{Healer, Silent, Summary};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config, Outcome, outcome_of};
use redis::{FromRedisValue, Value};

use crate::harness::{Link, Nodes, Version, eventually};
use crate::naive::Naive;

pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;
/// Long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Who is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Naive,
    Ours,
}

/// Why a command did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub text: String,
    /// What the error says of the data, where it says anything.
    pub outcome: Option<Outcome>,
}

pub struct Rig {
    pub kind: Kind,
    pub nodes: Nodes,
}

enum Coordinator {
    Naive(Naive),
    Ours(Client),
}

/// One coordinator, and its own network.
pub struct Party {
    coordinator: Coordinator,
    pub links: Vec<Link>,
}

/// The settings of every client here: quick to give up, because some traces wait for that.
pub fn config() -> Config {
    Config {
        operation_timeout: Duration::from_millis(1_500),
        connect_timeout: Duration::from_millis(500),
        answer_timeout: Duration::from_millis(1_000),
        ..Config::default()
    }
}

impl Rig {
    pub async fn start(kind: Kind) -> Rig {
        Rig::of(kind, &[Version::V7_0; 3]).await
    }

    pub async fn of(kind: Kind, versions: &[Version]) -> Rig {
        Rig { kind, nodes: Nodes::of(versions).await }
    }

    /// A coordinator that reaches all nodes, for now.
    pub async fn join(&self) -> Party {
        self.join_in_order(&[A, B, C]).await
    }

    /// A coordinator to which the nodes are listed in this order; `links` are in the order of the nodes.
    pub async fn join_in_order(&self, order: &[usize]) -> Party {
        let mut links = Vec::new();
        for server in self.nodes.iter() {
            links.push(Link::before(server).await);
        }
        let urls: Vec<String> = order.iter().map(|node| links[*node].url()).collect();
        let coordinator = match self.kind {
            Kind::Naive => Coordinator::Naive(Naive::new(&urls)),
            Kind::Ours => {
                let client = Client::builder().nodes(urls).config(config()).connect().await;
                Coordinator::Ours(client.expect("three nodes that answer"))
            }
        };
        Party { coordinator, links }
    }

    /// Heals the keys by what the kind has for that: whichever copy is the highest, or a whole pass of the healer.
    pub async fn heal(&self, keys: &[&str]) {
        if self.kind == Kind::Naive {
            let naive = Naive::new(&self.nodes.urls());
            for key in keys {
                naive.heal(key).await;
            }
        } else {
            let summary = self.heal_pass().await;
            assert!(summary.complete, "{summary:?}");
        }
    }

    pub async fn heal_pass(&self) -> Summary {
        let healer = Healer::connect(self.nodes.urls(), config()).await.expect("a healer");
        healer.once(&Silent).await.expect("a heal pass")
    }

    /// What each node answers, asked behind the coordinators' backs.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Vec<T> {
        let mut answers = Vec::new();
        for server in self.nodes.iter() {
            answers.push(server.run(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}")));
        }
        answers
    }

    /// Version and digest of a key's register at each node.
    pub async fn histories(&self, key: &str) -> Vec<Option<(String, String)>> {
        let mut all = Vec::new();
        for server in self.nodes.iter() {
            all.push(server.record(key).await.map(|record| (record.version, record.digest)));
        }
        all
    }

    /// Whether all nodes give the same answer.
    pub async fn agree(&self, words: &[&str]) -> bool {
        let answers: Vec<Value> = self.ask(words).await;
        answers.iter().all(|answer| *answer == answers[0])
    }

    /// Waits until all nodes give the same answer; the naive kind has nothing under way and is asked at once.
    pub async fn comes_to_agree(&self, words: &[&str]) -> bool {
        if self.kind == Kind::Ours {
            let what = format!("all nodes answer {words:?} alike");
            eventually(&what, SOON, async || self.agree(words).await).await;
        }
        self.agree(words).await
    }
}

impl Party {
    /// Runs one command.
    pub async fn run(&self, words: &[&str]) -> Result<Value, Failure> {
        match &self.coordinator {
            Coordinator::Naive(naive) => {
                naive.run(words).await.map_err(|text| Failure { text, outcome: None })
            }
            Coordinator::Ours(client) => {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                client.run(&words).await.map_err(|error| {
                    let text = error.to_string();
                    let outcome = outcome_of(&redis::RedisError::from(error));
                    Failure { text, outcome }
                })
            }
        }
    }

    /// Runs a command that must succeed.
    pub async fn get<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let reply = self.run(words).await.unwrap_or_else(|failure| panic!("{words:?}: {failure:?}"));
        redis::from_redis_value(reply).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub async fn must(&self, words: &[&str]) {
        self.get::<Value>(words).await;
    }

    pub fn naive(&self) -> &Naive {
        match &self.coordinator {
            Coordinator::Naive(naive) => naive,
            Coordinator::Ours(_) => panic!("this one is ours"),
        }
    }

    pub fn client(&self) -> &Client {
        match &self.coordinator {
            Coordinator::Ours(client) => client,
            Coordinator::Naive(_) => panic!("this one is naive"),
        }
    }

    /// From now on it reaches these nodes only; ours is given the time to notice.
    pub async fn reaches_only(&self, nodes: &[usize]) {
        for (node, link) in self.links.iter().enumerate() {
            if nodes.contains(&node) { link.heal() } else { link.refuse() }
        }
        if let Coordinator::Ours(client) = &self.coordinator {
            self.calls_every_node();
            let up = |(node, status): (usize, NodeStatus)| nodes.contains(&node) == is_up(&status.seat);
            let noticed = async || client.nodes().into_iter().enumerate().all(up);
            eventually("the client knows whom it reaches", SOON, noticed).await;
        }
    }

    /// Reads what nobody has written: a connection that is of no use any more is found by the first call on it.
    pub fn calls_every_node(&self) {
        let client = self.client().clone();
        tokio::spawn(async move { client.run(&[b"GET", b"nothing"]).await });
    }

    /// From now on nothing passes between it and these nodes, and nobody tells it.
    pub fn loses(&self, nodes: &[usize]) {
        nodes.iter().for_each(|node| self.links[*node].cut());
    }

    /// Whether something that this node has said did not arrive.
    pub fn has_lost_an_answer(&self, node: usize) -> bool {
        let traffic = self.links[node].traffic();
        traffic.answers_seen > traffic.answers_delivered
    }

    pub async fn reaches_all(&self) {
        self.reaches_only(&[A, B, C]).await;
    }
}

fn is_up(seat: &Seat) -> bool {
    !matches!(seat, Seat::Away(_))
}

/// The strings that make a command out of one line.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

//! One coordinator of a trace, of either kind, and its own network.

use std::sync::Arc;

use anarchoredis::client::NodeStatus;
use anarchoredis::node::Seat;
use anarchoredis::{Client, Outcome};
use redis::{FromRedisValue, Value};

use crate::naive::Naive;
use crate::rig::{pause_ms, until};
use crate::simulated::world::{Link, World};

/// Why a command did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub text: String,
    /// What the error says of the data, where it says anything.
    pub outcome: Option<Outcome>,
}

pub enum Coordinator {
    Naive(Naive),
    Ours(Client),
}

/// One coordinator, and its own network.
pub struct Party {
    pub coordinator: Coordinator,
    pub place: usize,
    pub nodes: Vec<usize>,
    pub world: Arc<World>,
}

impl Party {
    /// Runs one command.
    pub async fn run(&self, line: &str) -> Result<Value, Failure> {
        let words: Vec<&str> = line.split(' ').collect();
        match &self.coordinator {
            Coordinator::Naive(naive) => naive
                .say(&words)
                .await
                .map_err(|failure| Failure { text: format!("{failure:?}"), outcome: None }),
            Coordinator::Ours(client) => {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                let failure = |error: anarchoredis::Error| Failure {
                    text: error.to_string(),
                    outcome: Some(error.outcome()),
                };
                client.run(&words).await.map_err(failure)
            }
        }
    }

    /// Runs a command that must succeed.
    pub async fn get<T: FromRedisValue>(&self, line: &str) -> T {
        let reply = self.run(line).await.unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
        redis::from_redis_value(reply).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub async fn must(&self, line: &str) {
        self.get::<Value>(line).await;
    }

    /// Runs a command that must fail.
    pub async fn fails(&self, line: &str) -> Failure {
        match self.run(line).await {
            Ok(reply) => panic!("{line} is answered: {reply:?}"),
            Err(failure) => failure,
        }
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

    /// What becomes of its way to these nodes.
    pub fn links(&self, nodes: &[usize], link: Link) {
        nodes.iter().for_each(|node| self.world.set_link(self.place, *node, link));
    }

    /// From now on nothing that it sends arrives at these nodes, and nobody tells it.
    pub fn loses(&self, nodes: &[usize]) {
        self.links(nodes, Link::RequestsHeld);
    }

    /// From now on all arrives again at these nodes, and what was held is there on return.
    pub async fn delivers(&self, nodes: &[usize]) {
        self.links(nodes, Link::Up);
        pause_ms(100).await;
    }

    /// It is gone, with all that it sent and that has not arrived.
    pub fn dies(&self) {
        self.links(&self.nodes, Link::Cut);
    }

    /// From now on it reaches these nodes only; ours is given the time to notice.
    pub async fn reaches_only(&self, nodes: &[usize]) {
        self.links(&self.nodes, Link::Cut);
        self.links(nodes, Link::Up);
        if let Coordinator::Ours(client) = &self.coordinator {
            self.calls_every_node();
            let up = |(status, node): (NodeStatus, &usize)| nodes.contains(node) == is_up(&status.seat);
            let noticed = || client.nodes().into_iter().zip(&self.nodes).all(up);
            until("the client knows whom it reaches", noticed).await;
        }
    }

    /// Reads what nobody has written: a connection that is of no use any more is found by the first call on it.
    pub fn calls_every_node(&self) {
        let client = self.client().clone();
        tokio::spawn(async move { client.run(&[b"GET", b"nothing"]).await });
    }

    /// Waits until ours takes the node for what it is; the naive kind takes every node for one.
    pub async fn knows(&self, node: usize, what: &str, is: impl Fn(&Seat) -> bool) {
        if let Coordinator::Ours(client) = &self.coordinator {
            self.calls_every_node();
            until(what, || is(&client.nodes()[node].seat)).await;
        }
    }
}

fn is_up(seat: &Seat) -> bool {
    !matches!(seat, Seat::Away(_))
}

//! A client whose clock is off.

use std::sync::Arc;
use std::time::Duration;

use anarchoredis::surroundings::{Connection, Machine, Patience, Pending, Surroundings};
use anarchoredis::{Client, Config};

/// This machine with another clock.
#[derive(Debug)]
pub struct Shifted {
    pub by_ms: i64,
}

impl Shifted {
    /// A client of these nodes that goes by this clock. However busy the machine is, it waits for every node.
    pub async fn client(self, urls: Vec<String>) -> Client {
        let hedge = (Duration::from_secs(2), Duration::from_secs(2));
        let config = Config { surroundings: Arc::new(self), hedge, ..Config::default() };
        Client::builder().nodes(urls).config(config).connect().await.expect("a client")
    }
}

impl Surroundings for Shifted {
    fn now_us(&self) -> u64 {
        Machine.now_us().saturating_add_signed(self.by_ms * 1_000)
    }

    fn random(&self) -> u64 {
        Machine.random()
    }

    fn dial<'a>(&'a self, client: &'a redis::Client, patience: Patience) -> Pending<'a, Connection> {
        Machine.dial(client, patience)
    }
}

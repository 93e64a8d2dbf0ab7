//! Several servers at once.

use std::ops::Deref;

use futures_util::future::join_all;

use super::{Server, Setup, Version};

/// The nodes of one store, in the order in which they are listed to it. Dereferences to a slice: `nodes[0].kill()`.
pub struct Nodes {
    servers: Vec<Server>,
}

impl Nodes {
    /// `count` empty servers of Redis 7.0.
    pub async fn start(count: usize) -> Nodes {
        Nodes::of(&vec![Version::V7_0; count]).await
    }

    /// An empty server of each version named.
    pub async fn of(versions: &[Version]) -> Nodes {
        Nodes::with(versions.iter().map(|version| Server::with(*version))).await
    }

    /// Servers with options of their own.
    pub async fn with(setups: impl IntoIterator<Item = Setup>) -> Nodes {
        Nodes { servers: join_all(setups.into_iter().map(Setup::start)).await }
    }

    /// Their URLs, in order.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    /// Round trips to each node, in order.
    pub async fn round_trips(&self) -> Vec<u64> {
        join_all(self.servers.iter().map(Server::round_trips)).await
    }

    /// Counts calls from zero again on every node.
    pub async fn reset_calls(&self) {
        join_all(self.servers.iter().map(Server::reset_calls)).await;
    }
}

impl Deref for Nodes {
    type Target = [Server];

    fn deref(&self) -> &[Server] {
        &self.servers
    }
}

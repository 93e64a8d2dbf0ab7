//! The nodes of a store, and coordinators that reach them through networks of their own.

use std::ops::Deref;

use anarchoredis::Client;
use anarchoredis::node::Seat;

use super::PATIENCE;
use crate::harness::{Link, Nodes, Server, Setup, Version, eventually};

/// Real servers that form one store.
pub struct Cluster {
    nodes: Nodes,
}

/// A client, and the link that it has to each node.
pub struct Coordinator {
    pub client: Client,
    pub links: Vec<Link>,
}

impl Cluster {
    /// Three servers of Redis 7.0 that keep nothing over a restart.
    pub async fn start() -> Cluster {
        Cluster::of(&[Version::V7_0; 3]).await
    }

    /// A server of each version named, that keeps nothing over a restart.
    pub async fn of(versions: &[Version]) -> Cluster {
        Cluster { nodes: Nodes::of(versions).await }
    }

    /// Servers that have every write on disk before they answer: after a kill and a restart they vote again.
    pub async fn durable(count: usize) -> Cluster {
        Cluster::with((0..count).map(|_| Server::with(Version::V7_0).appendonly("always"))).await
    }

    /// Servers with options of their own.
    pub async fn with(setups: impl IntoIterator<Item = Setup>) -> Cluster {
        Cluster { nodes: Nodes::with(setups).await }
    }

    /// A client with nothing between it and the nodes.
    pub async fn client(&self) -> Client {
        let connecting = Client::builder().nodes(self.nodes.urls()).connect();
        connecting.await.expect("a client of all nodes")
    }

    /// A client with a link before each node.
    pub async fn coordinator(&self) -> Coordinator {
        let mut links = Vec::new();
        for server in self.nodes.iter() {
            links.push(Link::before(server).await);
        }
        let connecting = Client::builder().nodes(links.iter().map(Link::url)).connect();
        let client = connecting.await.expect("a client of all nodes");
        Coordinator { client, links }
    }

    pub async fn coordinators(&self, count: usize) -> Vec<Coordinator> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.coordinator().await);
        }
        all
    }

    /// Waits until `client` counts the node's answers.
    pub async fn until_votes(&self, client: &Client, node: usize) {
        let votes = async || matches!(client.nodes()[node].seat, Seat::Voter(_));
        eventually("the node votes", PATIENCE, votes).await;
    }

    /// Waits until `client` does not ask the node, or does not count its answers.
    pub async fn until_not_voting(&self, client: &Client, node: usize) {
        let away = async || !matches!(client.nodes()[node].seat, Seat::Voter(_));
        eventually("the node does not vote", PATIENCE, away).await;
    }

    /// Waits until `client` counts the answers of all nodes.
    pub async fn until_all_vote(&self, client: &Client) {
        for node in 0..self.nodes.len() {
            self.until_votes(client, node).await;
        }
    }
}

impl Deref for Cluster {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.nodes
    }
}

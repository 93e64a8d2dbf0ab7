//! Redis that has no leader and loses nothing it has acknowledged.
//!
//! [`Client`] replicates over N unmodified, independent Redis or Valkey servers and looks like one redis-rs connection. Every
//! mutation runs as a Lua script on every node, which bumps the version kept beside the value; the client compares the answers,
//! decides, and repairs (see [`protocol`]). There is no leader, so there is no election: while a majority of the nodes lives,
//! the next command just works.

pub mod client;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod heal;
pub mod node;
pub mod protocol;
pub mod proxy;
pub mod script;
pub mod surroundings;
pub mod telemetry;

pub use client::{
    Applied, Builder, Client, Delivery, KeySnapshot, PubSub, PubSubSink, PubSubStream, Session,
    SubscriptionKind,
};
pub use config::{Config, Consistency, Tls};
pub use error::{Error, Outcome, outcome_of};

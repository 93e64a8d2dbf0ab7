//! A server that speaks RESP in front of a [`Client`](crate::Client): any Redis client, in any language, and no leader behind it.
//!
//! Proxies share nothing but the nodes: run one next to each application, or several behind a load balancer.
//!
//! ```text
//!   client ── bytes ──▶ connection ── request ──▶ dialogue ──┬─ answered here (PING, CLIENT, INFO, …) ──────────▶ slot
//!                           ▲                                ├─ one register: its lane ── client ── N nodes ────▶ slot
//!                           │                                └─ anything else, alone: session ── N nodes ───────▶ slot
//!                           └── bytes ◀── reply, in RESP2 or RESP3, in the shape of its command ◀── slots, in order
//! ```
//!
//! - `request` cuts requests out of bytes; `inline` are those that a person types.
//! - `dialogue` is what one client has said so far: who it is, what it speaks, what stands behind MULTI.
//! - `lanes` keeps the order of a connection's commands on each register, while registers go on at the same time: each is
//!   linearizable, and nothing spans them, pipelined or not.
//! - `slots` keeps replies in the order of their requests.
//! - `shape` and `reply` write them; `own` answers what concerns the connection, or the proxy as the server that it looks like.
//!
//! A connection ends when its client ends it, breaks the protocol, is killed, or idles for longer than it may; never for what
//! happens to nodes. Errors keep Redis' codes; `NOQUORUM`, `NOTAPPLIED`, `INDETERMINATE` and `REPLYLOST` are those of
//! [`Error`](crate::Error).

mod clients;
mod connection;
mod dialogue;
mod http;
mod inline;
mod issue;
mod lanes;
mod metrics;
mod notice;
mod own;
mod reply;
mod request;
mod serve;
mod settings;
mod shape;
mod shared;
mod slots;
mod slowlog;
mod stats;
mod tls;
mod transaction;
mod users;
mod waiting;

pub use http::Health;
pub use own::level;
pub use reply::{Protocol, write};
pub use request::{Limits, Malformed, Parser, Request};
pub use serve::{Proxy, StartError};
pub use settings::{Certificate, Secret, Settings};
pub use shape::{Form, Shape, shape_of};

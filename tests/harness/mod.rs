//! Real servers for tests, and the faults that befall them.
//!
//! ```text
//!   test ── layer under test ──> Link (cut, hold, delay) ──> Server (kill -9, pause, restart empty, restart from an old RDB)
//!     └──── server.run(...), server.connection(): behind the layer's back ────────────^
//! ```
//!
//! A test says `mod harness;` and starts what it needs: [`Server::start`] or [`Server::with`] for options,
//! [`Nodes::start`] for several, [`Link::before`] for a network between. Every server has a folder and a port of its own;
//! both go away with the value, and the processes also when the test's process is killed. No Redis is red, not skipped:
//! what a test needs and cannot get is a panic that says why.

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod disk;
mod eventually;
mod link;
mod look;
mod nodes;
mod port;
mod process;
mod server;
mod setup;
mod version;

pub use disk::Disk;
pub use eventually::eventually;
pub use link::{Link, Traffic};
pub use look::Snapshot;
pub use nodes::Nodes;
pub use port::Port;
pub use process::Process;
pub use server::Server;
pub use setup::Setup;
pub use version::Version;

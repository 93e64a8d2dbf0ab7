//! The whole system in one thread and in virtual time: real clients, coordinators, connections' supervisors and healers over model
//! servers, on a network and on machines that do what real ones do. Everything follows from one seed.
//!
//! ```text
//!   clients ─ Client ─ Coordinator ─ RemoteNode ─ Surroundings ─┬─ Wire (delay, loss, order) ─ Host ─ Server (the scripts' model)
//!   Healer ─────────────────────────────────────────────────────┘         nemesis: kill, stand still, forget, cut, step clocks
//!   history of what clients were told ─ one register at a time ─ linearizable?      nodes at the end ─ alike?
//! ```

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod commands;
mod control;
pub mod faults;
pub mod history;
pub mod host;
mod judge;
mod pasted;
mod rng;
pub mod run;
pub mod weather;
pub mod wire;
pub mod workload;
pub mod world;

pub use control::Control;
pub use run::{Report, run, trace};
pub use world::EPOCH_US;

//! A model of the whole protocol: nodes with the scripts' semantics, a network that loses, delays, reorders and
//! repeats, and coordinators that drive the real rounds. Everything follows from one seed.

mod checker;
mod control;
mod coordinator;
mod history;
mod network;
mod node;
mod outline;
mod rng;
mod traces;
mod weather;
mod world;

pub use control::Control;
pub use world::{run, trace};

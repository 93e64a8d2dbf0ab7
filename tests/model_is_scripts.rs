//! The model of a server (`tests/server_model`) does what the scripts do on real servers of every version.
//!
//! Random calls go to two real servers and to a model of each, so that states travel between them; every answer must be
//! the same, and after each sequence all keys, expiries and records. `ANARCHO_SEED` sets the first seed,
//! `ANARCHO_CALLS` the number of calls on each version.

#[path = "model_is_scripts/admission.rs"]
mod admission;
#[path = "model_is_scripts/commands.rs"]
mod commands;
#[path = "model_is_scripts/differential.rs"]
mod differential;
mod harness;
#[path = "model_is_scripts/keyspace.rs"]
mod keyspace;
#[path = "model_is_scripts/pair.rs"]
mod pair;
#[path = "model_is_scripts/readme.rs"]
mod readme;
#[allow(dead_code, reason = "shared with the tests of the scripts")]
#[path = "scripts/support/reply.rs"]
mod reply;
#[path = "model/rng.rs"]
mod rng;
#[path = "model_is_scripts/same.rs"]
mod same;
#[path = "model_is_scripts/sequence.rs"]
mod sequence;
mod server_model;
#[path = "model_is_scripts/states.rs"]
mod states;
#[path = "model_is_scripts/usual.rs"]
mod usual;

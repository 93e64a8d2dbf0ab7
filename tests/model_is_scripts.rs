//! The model of a server (`tests/server_model`) does what the scripts do on real servers.

#[allow(dead_code, unused_imports)]
mod harness;
#[path = "model_is_scripts/readme.rs"]
mod readme;
mod server_model;
#[allow(dead_code, unused_imports)]
#[path = "scripts/support/mod.rs"]
mod support;

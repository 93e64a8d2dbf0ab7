//! What the tests of the whole system share: nodes with networks before them, work that checks its own answers, and a look
//! at whether all nodes hold the same.

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod cluster;
mod counter;
mod faults;
mod increments;
mod load;
mod members;
mod mix;
mod pool;
mod register;
mod rng;
mod same;
mod shifted;
mod tally;

pub use cluster::{Cluster, Coordinator};
pub use counter::{Counter, Verdict};
pub use faults::{CUTS, Faults};
pub use increments::Increments;
pub use load::{Load, Outcome};
pub use members::{Fate, Members};
pub use mix::Mix;
pub use pool::{Pool, Sort};
pub use register::Register;
pub use rng::Rng;
pub use same::{contents, difference, eventually_same};
pub use shifted::Shifted;
pub use tally::Tally;

use std::time::Duration;

use anarchoredis::{Client, Error};
use redis::{FromRedisValue, Value};

/// How long a test waits for what must happen; a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The longest that an operation may take while a node dies.
pub const LONGEST_GAP: Duration = Duration::from_secs(1);

/// The words of a command: `words("SET key value")`.
pub fn words(text: &str) -> Vec<&[u8]> {
    text.split(' ').map(str::as_bytes).collect()
}

/// Runs a command that must succeed.
pub async fn run<T: FromRedisValue>(client: &Client, command: &str) -> T {
    let reply = try_run(client, command).await;
    reply.unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// Runs a command that may fail.
pub async fn try_run<T: FromRedisValue>(client: &Client, command: &str) -> Result<T, Error> {
    let value = client.run(&words(command)).await?;
    Ok(T::from_redis_value(value.clone()).unwrap_or_else(|error| panic!("{command}: {value:?}: {error}")))
}

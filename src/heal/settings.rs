//! What a healer may spend, and how often it looks.

use serde::Deserialize;
use std::time::Duration;

/// Settings of a healer; the file of `anarcho-heal --config` has the same names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Time from the end of one scheduled sweep to the next. Default 60 s.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// Time from one look at the dirty sets, and at who votes, to the next. Default 1 s.
    #[serde(deserialize_with = "duration")]
    pub drain_every: Duration,
    /// Keys that a sweep may look at in a second on each node; 0 for no limit. Default 200,000.
    pub keys_per_second: u64,
    /// Bytes that it may move in a second, compared and repaired together; 0 for no limit. Default 64 MiB.
    pub bytes_per_second: u64,
    /// A sweep pauses while the nodes take so many times as long to answer as they do at rest, and between two pages twice as long as one
    /// took; while a node is filled, its pages are small, and one node at a time is at work. 0 for none of it. Default 3.
    pub patience: f64,
    /// Wait for the operator where more nodes restarted at once than the protocol can tell the loss of. Default: no, see `recover`.
    pub strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            interval: Duration::from_secs(60),
            drain_every: Duration::from_secs(1),
            keys_per_second: 200_000,
            bytes_per_second: 64 * 1024 * 1024,
            patience: 3.0,
            strict: false,
        }
    }
}

impl Settings {
    /// Looks at everything at once, as fast as the nodes answer.
    pub fn unlimited() -> Settings {
        Settings { keys_per_second: 0, bytes_per_second: 0, patience: 0.0, ..Settings::default() }
    }
}

/// Text such as `60s` or `1m 30s`.
fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}

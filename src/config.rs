//! Settings, with their defaults and what each is for.

use crate::command::Scopes;
use crate::surroundings::{Machine, Surroundings, time_for};
use std::sync::Arc;
use std::time::Duration;

/// How much a reply promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Every op takes effect at one moment between call and reply; nothing acknowledged is lost while a majority keeps its data.
    #[default]
    Linearizable,
    /// Reads answer from any majority in one round trip: every acknowledged write is in them, but they may show one that
    /// never commits. Writes as `Linearizable`.
    Quorum,
    /// Reads ask the nearest node; writes answer after the first acknowledgement. Stale reads and lost writes are possible.
    One,
}

/// What `rediss://` trusts and shows. Without it: the machine's own certificate store, and no client certificate.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificate authority that signed the nodes' certificates, in PEM; instead of the machine's store.
    pub root_certificate: Option<Vec<u8>>,
    /// This client's certificate and key, in PEM, for nodes that ask for one.
    pub client_certificate: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive() // a private key is no log line
    }
}

/// Settings of a client. Made by the builder; every field has a default.
#[derive(Clone, Debug)]
pub struct Config {
    /// How much replies promise where the call does not say.
    pub consistency: Consistency,
    /// What makes keys one register besides hash tags: prefixes that are fixed when the cluster is initialised. `None` takes what the
    /// nodes have, and initialises a new cluster without any; others than the nodes' are refused.
    pub scopes: Option<Scopes>,
    /// Certificates for nodes with `rediss://` URLs.
    pub tls: Tls,
    /// After how long an operation gives up. Default 5 s, and 1 s more for each 8 MiB that it sends, up to what `retry_window` allows.
    pub operation_timeout: Duration,
    /// After how long opening and admitting a connection gives up. Default 1 s.
    pub connect_timeout: Duration,
    /// After how long a node's answer is no longer awaited. Default 2 s, and 1 s more for each 8 MiB that the command has.
    pub answer_timeout: Duration,
    /// Bounds of the hedge delay: how long a round waits for its slowest node once a majority has answered. The delay itself
    /// follows the nodes' recent latencies. Default 5 ms to 200 ms.
    pub hedge: (Duration, Duration),
    /// Largest difference between the clocks of a node and of this client. Default 500 ms.
    pub max_clock_offset: Duration,
    /// How long nodes remember an op's reply for a retry: at least twice `operation_timeout` and four times `max_clock_offset`, and the
    /// same for all clients. Default 60 s.
    pub retry_window: Duration,
    /// Largest reply that nodes remember for a retry, in bytes; the same for all clients. Default 4 KiB.
    pub remembered_reply: usize,
    /// Largest command, in bytes with its arguments. Default 300 MiB.
    pub max_command: usize,
    /// How many queued ops of one register share a round. Default 128.
    pub batch: usize,
    /// How many repairs wait in the background before further ones are only marked dirty. Default 10,000.
    pub repair_queue: usize,
    /// How many repairs run at once. Default 16.
    pub repairs_at_once: usize,
    /// How old a deletion is before the nodes forget it; set when the cluster is initialised. At least twice `operation_timeout` and four
    /// times `max_clock_offset`, of any client, and longer than a repair takes. Default 1 h.
    pub purge_age: Duration,
    /// Where time, random numbers and connections come from. Default: this machine.
    pub surroundings: Arc<dyn Surroundings>,
}

impl Config {
    /// How long an operation may take that sends so many bytes: no retry may outlive the memory of its op.
    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        let most =
            (self.retry_window / 2).saturating_sub(self.max_clock_offset * 2).max(self.operation_timeout);
        (self.operation_timeout + time_for(bytes)).min(most)
    }
}

/// What the parser of a configuration file says, without the value that it complains of: that may be a password, as all of the line may.
///
/// ```
/// use anarchoredis::config::without_the_value;
/// let said = without_the_value("invalid type: string \"name:password\", expected a sequence");
/// assert_eq!(said, "invalid type, expected a sequence");
/// ```
pub fn without_the_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((what, expected)) if what.starts_with("invalid ") => {
            let kind = what.split(':').next().unwrap_or_default();
            format!("{kind}, expected {expected}")
        }
        _ => message.to_owned(),
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            consistency: Consistency::Linearizable,
            scopes: None,
            tls: Tls::default(),
            operation_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(2),
            hedge: (Duration::from_millis(5), Duration::from_millis(200)),
            max_clock_offset: Duration::from_millis(500),
            retry_window: Duration::from_secs(60),
            remembered_reply: 4 * 1024,
            max_command: 300 * 1024 * 1024,
            batch: 128,
            repair_queue: 10_000,
            repairs_at_once: 16,
            purge_age: Duration::from_secs(3_600),
            surroundings: Arc::new(Machine),
        }
    }
}

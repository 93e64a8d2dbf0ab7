//! What all connections of a proxy share.

use super::clients::Clients;
use super::settings::Settings;
use super::slowlog::SlowLog;
use super::stats::Stats;
use super::users::Users;
use crate::client::Client;
use crate::node::{Node, Seat};
use redis::Value;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// How long a majority may be gone before commands that need one are refused without being tried: a broken connection is
/// mended within that time.
const GRACE: Duration = Duration::from_millis(200);
/// How far a client that monitors may stay behind before lines are left out.
const MONITOR_LINES: usize = 1_024;

/// What all connections of a proxy share.
pub struct Shared {
    /// The store.
    pub client: Client,
    /// What the proxy was told.
    pub settings: Settings,
    /// Who may ask.
    pub users: Users,
    /// What INFO counts.
    pub stats: Stats,
    /// Who is connected.
    pub clients: Clients,
    /// What SLOWLOG shows.
    pub slowlog: SlowLog,
    /// Lines for those who monitor.
    pub monitors: broadcast::Sender<Arc<str>>,
    /// Until when clients must wait (CLIENT PAUSE).
    pub pause: watch::Sender<Option<Pause>>,
    /// Whether the proxy is about to end.
    pub closing: watch::Sender<bool>,
    /// Since when it runs.
    pub started: Instant,
    /// Tells one run from another.
    pub run_id: String,
    /// After how many idle seconds clients are let go; 0 for never. CONFIG SET timeout changes it.
    pub idle_seconds: AtomicU64,
    /// What the nodes said of themselves at the start, for when none can be asked.
    learnt: Mutex<Learnt>,
    alone_since: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Learnt {
    /// The lowest version among them.
    version: Option<String>,
    /// One's reply to COMMAND.
    commands: Option<Value>,
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// When it ends.
    pub until: Instant,
    /// Only those that write wait.
    pub writes_only: bool,
}

impl Shared {
    /// For a proxy over this store.
    pub fn new(client: Client, settings: Settings) -> Shared {
        let random = || client.config().surroundings.random();
        let run_id = format!("{:016x}{:016x}{:08x}", random(), random(), random() & 0xffff_ffff);
        Shared {
            users: Users::of(&settings),
            stats: Stats::default(),
            clients: Clients::default(),
            slowlog: SlowLog::default(),
            monitors: broadcast::Sender::new(MONITOR_LINES),
            pause: watch::Sender::new(None),
            closing: watch::Sender::new(false),
            started: Instant::now(),
            run_id,
            idle_seconds: AtomicU64::new(settings.idle.map_or(0, |idle| idle.as_secs().max(1))),
            learnt: Mutex::default(),
            alone_since: Mutex::default(),
            client,
            settings,
        }
    }

    /// Learns what nodes are asked for at every greeting.
    pub async fn learn(&self) {
        let mut lowest: Option<(Vec<u32>, String)> = None;
        for node in self.client.inner().roster().nodes.iter() {
            let answer = ask(node, &[b"INFO", b"server"], self.client.config().answer_timeout).await;
            let Some(version) = answer.ok().as_ref().and_then(version_in) else { continue };
            let numbers = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
            if lowest.as_ref().is_none_or(|(least, _)| numbers < *least) {
                lowest = Some((numbers, version));
            }
        }
        let commands = self.ask_a_node(&[b"COMMAND"]).await.ok();
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.version = lowest.map(|(_, version)| version);
        learnt.commands = commands;
    }

    /// The lowest version of Redis that a node names; 7.0 where none has answered yet.
    pub fn version(&self) -> String {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.version.clone().unwrap_or_else(|| "7.0.0".into())
    }

    /// A node's table of commands, as COMMAND gives it.
    pub fn commands(&self) -> Option<Value> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner).commands.clone()
    }

    /// How many nodes vote.
    pub fn voters(&self) -> usize {
        let roster = self.client.inner().roster();
        roster.nodes.iter().filter(|node| matches!(node.seat(), Seat::Voter(_))).count()
    }

    /// How many must.
    pub fn majority(&self) -> usize {
        self.client.coordinator().quorum().majority()
    }

    /// Whether a majority votes.
    pub fn has_quorum(&self) -> bool {
        self.voters() >= self.majority()
    }

    /// Whether there has been no majority for so long that waiting for it helps nobody.
    pub fn is_without_quorum(&self) -> bool {
        let mut alone = self.alone_since.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_quorum() {
            *alone = None;
            return false;
        }
        alone.get_or_insert_with(Instant::now).elapsed() > GRACE
    }

    /// Sends one command to a node that votes, or else to any that answers: for what nodes say of themselves.
    pub async fn ask_a_node(&self, words: &[&[u8]]) -> Result<Value, String> {
        let roster = self.client.inner().roster();
        let mut order: Vec<_> =
            roster.nodes.iter().filter(|node| !matches!(node.seat(), Seat::Away(_))).collect();
        order.sort_by_key(|node| (!matches!(node.seat(), Seat::Voter(_)), node.usual_latency()));
        let mut why = "no node can be asked".to_owned();
        for node in order {
            match ask(node, words, self.client.config().answer_timeout).await {
                Ok(value) => return Ok(value),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

/// Sends one command to this node.
pub async fn ask(node: &dyn Node, words: &[&[u8]], patience: Duration) -> Result<Value, String> {
    let command = |_: &crate::script::Ticket<'_>| {
        let mut cmd = redis::Cmd::new();
        words.iter().for_each(|word| {
            cmd.arg(*word);
        });
        cmd
    };
    node.send(&command, patience).await.map_err(|error| error.to_string())
}

fn version_in(info: &Value) -> Option<String> {
    let text = match info {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::VerbatimString { text, .. } => text.clone(),
        _ => return None,
    };
    text.lines().find_map(|line| line.strip_prefix("redis_version:")).map(|version| version.trim().to_owned())
}

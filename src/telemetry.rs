//! What a client counts: rounds, repairs, sweeps. Atomics only; the text of all of it is made when somebody asks.
//!
//! Every client has one: [`Client::metrics`](crate::Client::metrics) is its text, [`serve`] shows it to Prometheus.

mod http;

pub use http::serve;
pub(crate) use http::{OPEN_METRICS, answer_all, respond};

use crate::protocol::Rule;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds: 50 µs to 13 s.
const BUCKETS: [f64; 10] = [0.000_05, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.02, 0.1, 1.0, 13.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Round {
    kind: &'static str,
    rule: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfNode {
    node: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Seated {
    node: String,
    role: &'static str,
}

/// The rules that end rounds of each kind; a round that none of them ends is tried again, or given up.
const ENDINGS: [(&str, &[Option<Rule>]); 3] = [
    (kind::WRITE, &[Some(Rule::W1), Some(Rule::W2), Some(Rule::R3), None]),
    (kind::SLOW_READ, &[Some(Rule::W1), Some(Rule::W2), Some(Rule::R3), None]),
    (kind::READ, &[Some(Rule::R1), Some(Rule::R2), Some(Rule::R3), Some(Rule::Quorum), None]),
];

/// Counters of one client and of what heals with it.
pub struct Telemetry {
    registry: Registry,
    rounds: Vec<(&'static str, Option<Rule>, Counter)>,
    writes: Histogram,
    reads: Histogram,
    /// Answers that said that a higher ballot is promised.
    pub nacks: Counter,
    /// Rounds that were begun again under the same op.
    pub retries: Counter,
    /// Rounds that waited for their slowest node, and went on without it.
    pub hedges: Counter,
    /// Waiters that found something, after a long rest, that no node had told of.
    pub waiters_unheard: Counter,
    requested: Family<OfNode, Counter>,
    done: Family<OfNode, Counter>,
    failed: Family<OfNode, Counter>,
    /// Repairs that found no room in the queue.
    pub overflowed: Counter,
    /// Bytes of states that repairs moved.
    pub moved: Counter,
    backlog: Gauge,
    nodes: Family<Seated, Gauge>,
    /// Registers marked dirty, once for each time.
    pub marked: Counter,
    /// Registers taken off the dirty sets.
    pub cleaned: Counter,
    /// Sweeps that came to their end.
    pub sweeps: Counter,
    /// Registers that sweeps compared.
    pub compared: Counter,
    /// Registers that they found not alike.
    pub differing: Counter,
    /// Registers that could not be brought to all nodes.
    pub unmended: Counter,
    swept_at: Gauge,
    /// Tombstones, the young ones too, on the node that held most after the last purge.
    pub tombstones: Gauge,
    /// Tombstones that were purged.
    pub purged: Counter,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// The name is without the prefix and without `_total`, which are added.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        let mut registry = Registry::with_prefix("anarcho");
        let r = &mut registry;
        let rounds: Family<Round, Counter> =
            add(r, "rounds", "Rounds by kind and by the rule that ended them", Family::default());
        let seconds: Family<Kind, Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let seconds = add(r, "operation_seconds", "How long operations took, all rounds together", seconds);
        let each = ENDINGS.iter().flat_map(|(kind, rules)| rules.iter().map(|rule| (*kind, *rule)));
        let rounds = each
            .map(|(kind, rule)| (kind, rule, rounds.get_or_create_owned(&Round { kind, rule: word(rule) })));
        Telemetry {
            rounds: rounds.collect(),
            writes: seconds.get_or_create_owned(&Kind { kind: "write" }),
            reads: seconds.get_or_create_owned(&Kind { kind: "read" }),
            nacks: add(r, "nacks", "Answers that said that a higher ballot is promised", Counter::default()),
            retries: add(r, "retries", "Rounds that were begun again under the same op", Counter::default()),
            hedges: add(
                r,
                "hedges",
                "Rounds that waited for their slowest node, and went on without it",
                Counter::default(),
            ),
            waiters_unheard: add(
                r,
                "waiters_unheard",
                "Waiters that found what no node had told of",
                Counter::default(),
            ),
            requested: add(
                r,
                "repairs_requested",
                "Registers that a node was found to lack",
                Family::default(),
            ),
            done: add(r, "repairs_done", "Registers that a node was given", Family::default()),
            failed: add(
                r,
                "repairs_failed",
                "Registers that a node could not be given, and that were marked dirty",
                Family::default(),
            ),
            overflowed: add(
                r,
                "repairs_overflowed",
                "Repairs that found no room, and were marked dirty",
                Counter::default(),
            ),
            moved: add(r, "repair_bytes", "Bytes of states that repairs moved", Counter::default()),
            backlog: add(r, "repair_backlog", "Repairs that wait or are under way", Gauge::default()),
            nodes: add(
                r,
                "nodes",
                "1 where the node has the role, which is voter, joining or away",
                Family::default(),
            ),
            marked: add(
                r,
                "dirty_marked",
                "Registers that were marked dirty on the nodes",
                Counter::default(),
            ),
            cleaned: add(
                r,
                "dirty_cleaned",
                "Registers that were taken off the dirty sets",
                Counter::default(),
            ),
            sweeps: add(r, "sweeps", "Sweeps that came to their end", Counter::default()),
            compared: add(r, "sweep_compared", "Registers that sweeps compared", Counter::default()),
            differing: add(r, "sweep_differing", "Registers that sweeps found not alike", Counter::default()),
            unmended: add(
                r,
                "sweep_failed",
                "Registers that sweeps could not bring to all nodes",
                Counter::default(),
            ),
            swept_at: add(r, "last_sweep_timestamp_seconds", "When the last sweep ended", Gauge::default()),
            tombstones: add(
                r,
                "tombstones_held",
                "Records of deleted and expired registers, the young ones too, on the node that held most after the last purge",
                Gauge::default(),
            ),
            purged: add(
                r,
                "tombstones_purged",
                "Records of deleted and expired registers that were purged",
                Counter::default(),
            ),
            registry,
        }
    }
}

fn word(rule: Option<Rule>) -> &'static str {
    match rule {
        Some(Rule::W1) => "W1",
        Some(Rule::W2) => "W2",
        Some(Rule::R1) => "R1",
        Some(Rule::R2) => "R2",
        Some(Rule::R3) => "R3",
        Some(Rule::Quorum) => "Quorum",
        None => "none",
    }
}

/// The kinds of rounds, by the words of their label.
pub mod kind {
    /// A mutation.
    pub const WRITE: &str = "write";
    /// A read that asks for promises.
    pub const SLOW_READ: &str = "slow_read";
    /// A read.
    pub const READ: &str = "read";
}

impl Telemetry {
    /// A round ended by this rule; none: it is tried again, or given up.
    pub fn round(&self, kind: &str, rule: Option<Rule>) {
        let found = self.rounds.iter().find(|(of, by, _)| *by == rule && *of == kind);
        if let Some((_, _, counter)) = found {
            counter.inc();
        }
    }

    /// A write was answered.
    pub fn wrote(&self, took: Duration) {
        self.writes.observe(took.as_secs_f64());
    }

    /// A read was answered.
    pub fn read(&self, took: Duration) {
        self.reads.observe(took.as_secs_f64());
    }

    /// A node is to be given a register.
    pub fn repair_requested(&self, node: &str) {
        self.requested.get_or_create(&OfNode { node: node.to_owned() }).inc();
    }

    /// It was, or could not be.
    pub fn repair_ended(&self, node: &str, done: bool) {
        let family = if done { &self.done } else { &self.failed };
        family.get_or_create(&OfNode { node: node.to_owned() }).inc();
    }

    /// So many registers were copied to a node at once.
    pub fn copied(&self, node: &str, registers: u64) {
        for family in [&self.requested, &self.done] {
            family.get_or_create(&OfNode { node: node.to_owned() }).inc_by(registers);
        }
    }

    /// A sweep came to its end.
    pub fn swept(&self, compared: u64, differing: u64, failed: u64) {
        self.sweeps.inc();
        self.compared.inc_by(compared);
        self.differing.inc_by(differing);
        self.unmended.inc_by(failed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.swept_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// All of it in the text format of OpenMetrics, with what is true at this moment: how many repairs wait, and who has which role.
    pub fn text<'a>(&self, backlog: u64, nodes: impl Iterator<Item = (&'a str, &'static str)>) -> String {
        self.backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
        // A member that was removed is not shown any more.
        self.nodes.clear();
        for (node, is) in nodes {
            for role in ["voter", "joining", "away"] {
                let seated = Seated { node: node.to_owned(), role };
                self.nodes.get_or_create(&seated).set(i64::from(role == is));
            }
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => "# EOF\n".into(),
        }
    }
}

//! Anti-entropy: finds what differs between the nodes and mends it through the normal read; brings nodes back that lost their data.
//!
//! The healer is one more coordinator. It has no write path of its own: a register that differs is decided by a slow read, and the
//! settle that ends it is the repair (R4, W2).
//!
//! A node that does not vote comes back in this order (protocol.md, "Fences"):
//!
//! 1. the voters move to a new epoch, so that no answer that the node gave before can be counted with one from now on;
//! 2. the node is marked as joining under that epoch, with a token that only this pass knows;
//! 3. every register that any voter holds is copied to it, and what no voter holds is dropped;
//! 4. it becomes a voter, if it is still the same server process with that same token.

mod adopt;
mod copies;
mod copy;
mod daemon;
mod dirty;
mod explain;
mod filling;
mod listing;
mod members;
mod pace;
mod progress;
mod purge;
mod recover;
mod rejoin;
mod settings;
mod side;
mod situation;
mod size;
mod status;
mod stray;
mod summary;
mod survey;
mod sweep;
mod turn;
mod verify;
mod voting;

pub use adopt::Adopted;
pub use daemon::Daemon;
pub use explain::{Explanation, KeyOnNode};
pub use progress::{NodeRepairs, Progress, Silent, Summary};
pub use purge::PurgeSummary;
pub use settings::Settings;
pub use status::{LastSweep, NodeReport, Status};
pub use stray::Strays;
pub use survey::Survey;
pub use verify::{Fault, Finding, Verified};

use crate::client::{Client, Roster};
use crate::command::{Register, Scopes};
use crate::config::Config;
use crate::coordinator::Mended;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{Node, RemoteNode, Seat};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use sweep::Found;
use tokio::sync::{Semaphore, watch};

/// Heals one cluster.
#[derive(Clone, Debug)]
pub struct Healer {
    client: Client,
    settings: watch::Receiver<Settings>,
    /// Told to stop: what is under way ends at the next register.
    stop: watch::Receiver<bool>,
}

impl Client {
    /// A healer that shares this client's connections and clock: `client.healer().run(Settings::default())`.
    ///
    /// ```no_run
    /// # async fn example(client: anarchoredis::Client) {
    /// use anarchoredis::heal::Settings;
    /// let daemon = client.healer().run(Settings::default());
    /// // ... as long as the application runs ...
    /// daemon.stop().await;
    /// # }
    /// ```
    pub fn healer(&self) -> Healer {
        let (_, settings) = watch::channel(Settings::unlimited());
        let (_, stop) = watch::channel(false);
        Healer { client: self.clone(), settings, stop }
    }
}

/// How often a pass is repeated while writes keep making registers differ.
const PASSES: usize = 3;

impl Healer {
    /// Connects to all nodes of a cluster, also where fewer than a majority vote.
    pub async fn connect<I, S>(nodes: I, config: Config) -> Result<Healer, Error>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let client = Client::builder().nodes(nodes).config(config).even_without_quorum().connect().await?;
        Ok(client.healer())
    }

    /// Within these limits, for single passes; without them a pass goes as fast as the nodes answer.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Healer {
        (_, self.settings) = watch::channel(settings);
        self
    }

    /// The client that it works with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One whole pass: brings back the nodes that do not vote, sweeps all registers of all nodes, drains the dirty sets.
    pub async fn once(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        let pass = self.pass().await;
        let summary = pass.run(progress).await?;
        pass.note_sweep(&summary).await;
        Ok(summary)
    }

    /// What a pass would find, and whom it would give what; changes nothing.
    pub async fn look(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        let pass = Pass { purpose: Purpose::Look, ..self.pass_here() };
        let mut summary = pass.empty_summary();
        let found = pass.sweep(&mut summary, progress).await?;
        (summary.seen, summary.identical, summary.differing) = (found.seen, found.identical, found.differing);
        summary.away = pass.away();
        summary.complete = found.differing == 0 && pass.all_vote();
        Ok(summary)
    }

    /// Lets go of deleted and expired registers that no node, late call or backup can bring back any more. While a node is away or
    /// joining, nothing is let go.
    pub async fn purge(&self) -> Result<PurgeSummary, Error> {
        let purge = self.pass().await.purge().await?;
        self.client.telemetry().purged.inc_by(purge.purged);
        self.client.telemetry().tombstones.set(i64::try_from(purge.held).unwrap_or(i64::MAX));
        Ok(purge)
    }

    /// A pass over the newest generation that can be known.
    async fn pass(&self) -> Pass {
        let inner = self.client.inner();
        inner.catch_up().await;
        // A change that was decided and that nobody has begun yet; without a majority there is no telling.
        self.client.finish_what_was_decided().await;
        self.pass_here()
    }

    /// A pass over the generation that the client is in.
    fn pass_here(&self) -> Pass {
        let roster = self.client.inner().roster();
        let (settings, stop) = (self.settings.clone(), self.stop.clone());
        let (fences, turns) = (Mutex::default(), Arc::new(Semaphore::new(1)));
        Pass { client: self.client.clone(), roster, settings, stop, turns, purpose: Purpose::Heal, fences }
    }
}

/// One pass over the nodes of one generation; where the cluster goes on to the next one, it ends.
struct Pass {
    client: Client,
    roster: Arc<Roster>,
    settings: watch::Receiver<Settings>,
    stop: watch::Receiver<bool>,
    /// Within its limits, a pass works on one node at a time.
    turns: Arc<Semaphore>,
    purpose: Purpose,
    /// The tokens under which this pass has nodes filled, by their places.
    fences: Mutex<BTreeMap<usize, String>>,
}

/// What is done about registers that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// They are brought to all nodes.
    Heal,
    /// They are counted.
    Look,
    /// They are decided from what all nodes hold, since none votes.
    Recover,
    /// They are copied from the node at this place, which held them before there was a cluster.
    Adopt(usize),
}

impl Pass {
    async fn run(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        let mut summary = self.empty_summary();
        let rejoin = self.begin_rejoin(progress).await?;
        let mut last = self.audibly(self.sweep(&mut summary, progress)).await?;
        (summary.seen, summary.identical, summary.differing) = (last.seen, last.identical, last.differing);
        if let Some(rejoin) = rejoin {
            if last.failed > 0 {
                progress.note(
                    "some registers could not be copied, so the joining nodes do not vote yet; run it again",
                );
            } else {
                self.finish_rejoin(rejoin, &last.joining, &mut summary, progress).await?;
            }
        }
        self.drain_dirty(&mut summary, progress).await;
        for _ in 1..PASSES {
            if self.is_whole(&last) {
                break;
            }
            last = self.sweep(&mut summary, progress).await?;
        }
        summary.failed = last.failed;
        summary.away = self.away();
        summary.complete = last.failed == 0 && self.is_whole(&last);
        Ok(summary)
    }

    fn nodes(&self) -> &[Arc<RemoteNode>] {
        &self.roster.nodes
    }

    fn empty_summary(&self) -> Summary {
        Summary {
            seen: 0,
            identical: 0,
            differing: 0,
            repaired: self.named_zeroes(),
            failed: 0,
            cleaned: 0,
            rejoined: Vec::new(),
            away: Vec::new(),
            complete: false,
        }
    }

    fn register_of(&self, key: &[u8]) -> Register {
        match self.nodes().first() {
            Some(node) => node.cluster().terms.scopes.register_of(key),
            None => Scopes::default().register_of(key),
        }
    }

    /// How far this pass is: registers seen of about so many, given to nodes, and moved.
    fn tell(&self, progress: &dyn Progress, seen: u64, about: u64, summary: &Summary) {
        progress.compared(seen, about, summary.given());
        progress.moved(self.client.telemetry().moved.get());
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether the cluster was still in the generation of this pass.
    fn is_of_this(&self, mended: &Mended) -> bool {
        mended.generation == self.roster.configuration.generation
    }

    fn named_zeroes(&self) -> Vec<NodeRepairs> {
        let nodes = self.nodes().iter();
        nodes.map(|node| NodeRepairs { node: node.name().to_owned(), registers: 0 }).collect()
    }

    /// All nodes vote and were found identical. One that came back while the others were compared was not.
    fn is_whole(&self, found: &Found) -> bool {
        found.differing == 0 && found.nodes.len() == self.nodes().len() && self.all_vote()
    }

    fn all_vote(&self) -> bool {
        self.nodes().iter().all(|node| matches!(node.seat(), Seat::Voter(_)))
    }

    fn away(&self) -> Vec<String> {
        let nodes = self.nodes().iter();
        let away = nodes.filter_map(|node| match node.seat() {
            Seat::Voter(_) => None,
            Seat::Joining => Some(format!("{}: it does not vote yet", node.name())),
            Seat::Away(reason) => Some(format!("{}: {reason}", node.name())),
        });
        away.collect()
    }

    fn no_quorum(&self, voters: usize) -> Error {
        let failures = self.away().into_iter().map(|line| match line.split_once(": ") {
            Some((node, reason)) => NodeFailure { node: node.to_owned(), reason: reason.to_owned() },
            None => NodeFailure { node: line.clone(), reason: String::new() },
        });
        let needed = self.client.coordinator().quorum().majority();
        Error::NoQuorum { needed, reached: voters, failures: Failures(failures.collect()) }
    }
}

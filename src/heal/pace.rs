//! How fast a healer goes: within its limits, and not where the nodes have other things to do (P51).

use super::Settings;
use super::size::Size;
use crate::node::{Node, RemoteNode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Differences below this are noise.
const NOISE: Duration = Duration::from_micros(500);
/// Looks at a node at rest, of which the middle one counts.
const LOOKS: usize = 5;
/// Pages between two looks at how a node is doing.
const LOOK_EVERY: u32 = 8;
/// The longest pause that slow answers cause before the next page: a sweep beside a load that never rests comes to its end too.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After each page, a rest of so many times as long as it took.
const REST: u32 = 2;
/// Time that was not used counts for later, up to this much.
const CREDIT: Duration = Duration::from_millis(100);

/// The pace of one stream of work.
pub(super) struct Pace {
    settings: watch::Receiver<Settings>,
    /// Where the work is; none, where it is on no node in particular.
    node: Option<Arc<RemoteNode>>,
    /// When what was spent so far is paid for.
    paid: Instant,
    /// How long a node takes to answer when this stream is not at work.
    quiet: Duration,
    pages: u32,
    /// When the page under way began, and how long the last one took.
    began: Instant,
    worked: Duration,
    /// How large the pages are.
    size: Size,
    /// The streams of a pass take turns: an op waits for several nodes, and so for whichever of them is busy.
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Pace {
    /// Looks how the node is doing before there is anything to do on it.
    pub(super) async fn beside(
        node: &Arc<RemoteNode>,
        settings: watch::Receiver<Settings>,
        turns: Arc<Semaphore>,
        most: usize,
    ) -> Pace {
        let mut looks = Vec::new();
        if settings.borrow().patience > 0.0 {
            for _ in 0..LOOKS {
                looks.extend(time_of_ping(node).await);
            }
        }
        looks.sort();
        let quiet = looks.get(looks.len() / 2).copied().unwrap_or_default();
        Pace { node: Some(Arc::clone(node)), quiet, turns, ..Pace::of(settings, most) }
    }

    /// Of work that is on no node in particular.
    pub(super) fn of(settings: watch::Receiver<Settings>, most: usize) -> Pace {
        let now = Instant::now();
        Pace {
            settings,
            node: None,
            paid: now,
            quiet: Duration::ZERO,
            pages: 0,
            began: now,
            worked: Duration::ZERO,
            size: Size::of(most),
            turns: Arc::new(Semaphore::new(1)),
            turn: None,
        }
    }

    /// Of pages that are as large as they may be, whatever they take: small ones move more bytes.
    pub(super) fn in_whole_pages(self) -> Pace {
        Pace { size: self.size.fixed(), ..self }
    }

    pub(super) fn is_patient(&self) -> bool {
        self.settings.borrow().patience > 0.0
    }

    /// How many keys the next call may ask for.
    pub(super) fn keys(&self) -> usize {
        if self.is_patient() { self.size.keys() } else { self.size.most() }
    }

    /// A call for so many keys, timed.
    pub(super) async fn timed<T>(&mut self, keys: usize, call: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let answer = call.await;
        self.size.took(keys, began.elapsed().saturating_sub(self.quiet));
        answer
    }

    /// Waits until so much may have been spent.
    pub(super) async fn spend(&mut self, keys: u64, bytes: u64) {
        self.worked = self.began.elapsed();
        self.turn = None;
        let time = |amount: u64, per_second: u64| match per_second {
            0 => Duration::ZERO,
            limit => Duration::from_secs_f64(amount as f64 / limit as f64),
        };
        let cost = {
            let settings = self.settings.borrow();
            time(keys, settings.keys_per_second).max(time(bytes, settings.bytes_per_second))
        };
        let now = Instant::now();
        self.paid = self.paid.max(now.checked_sub(CREDIT).unwrap_or(now)) + cost;
        tokio::time::sleep_until(self.paid).await;
    }

    /// Rests between two pages longer than one takes, and longer still, within bounds, while the node takes longer to answer than it
    /// does at rest.
    pub(super) async fn give_way(&mut self) {
        self.turn = None;
        let patience = self.settings.borrow().patience;
        if patience > 0.0 {
            tokio::time::sleep((REST * self.worked).min(LONGEST_PAUSE)).await;
            if let Some(node) = self.node.clone() {
                self.look_around(&node, patience).await;
            }
            self.turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        }
        self.began = Instant::now();
    }

    async fn look_around(&mut self, node: &Arc<RemoteNode>, patience: f64) {
        self.pages = self.pages.wrapping_add(1);
        if !self.pages.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let bearable = (self.quiet + NOISE).mul_f64(patience);
        let until = Instant::now() + LONGEST_PAUSE;
        let mut pause = Duration::from_millis(5);
        while let Some(took) = time_of_ping(node).await {
            if took <= bearable || Instant::now() + pause > until {
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// None where it does not answer: whoever asks it something next finds out.
async fn time_of_ping(node: &Arc<RemoteNode>) -> Option<Duration> {
    let began = Instant::now();
    node.send(&|_| redis::cmd("PING"), LONGEST_PAUSE).await.ok()?;
    Some(began.elapsed())
}

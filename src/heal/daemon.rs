//! The healer that runs by itself: every second it drains the dirty sets and looks who does not vote; every interval it sweeps.
//!
//! Any number of them may run at once. A pass that meets another one's token ends with an error; its healer then lets the other one
//! work, for a time that doubles and is random, so that two of them do not undo each other's passes for ever.

use super::situation::is_another_pass;
use super::turn::{FIRST_REST, Turn};
use super::{Healer, Pass, Progress, Settings, Summary};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Looks at a cluster that has lost its majority before it is recovered: a node that only restarts is still on its way.
const LOOKS_BEFORE_RECOVERY: u32 = 3;

/// A healer at work in the background. It stops when this is dropped, after what it is doing.
#[derive(Debug)]
pub struct Daemon {
    settings: watch::Sender<Settings>,
    stop: watch::Sender<bool>,
    last: watch::Receiver<Option<Summary>>,
    task: JoinHandle<()>,
}

impl Daemon {
    /// Goes on with these settings, at once.
    pub fn set(&self, settings: Settings) {
        self.settings.send_replace(settings);
    }

    /// What the last whole pass came to, and notice of the next one.
    pub fn last(&self) -> watch::Receiver<Option<Summary>> {
        self.last.clone()
    }

    /// Ends what is under way at the next register, and says when that is done. A node that was being filled stays without a vote;
    /// the next healer goes on with it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It ends by itself; a task that was cancelled has ended too.
        let _ = self.task.await;
    }
}

/// Says in the log what was done.
struct Log;

impl Progress for Log {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}

    fn note(&self, line: &str) {
        tracing::info!("{line}");
    }
}

impl Healer {
    /// Heals until it is told to stop.
    pub fn run(&self, settings: Settings) -> Daemon {
        let (settings, read) = watch::channel(settings);
        let (stop, stopped) = watch::channel(false);
        let (tell, last) = watch::channel(None);
        let healer = Healer { client: self.client.clone(), settings: read, stop: stopped };
        let task = tokio::spawn(Chores::new(healer, tell).work());
        Daemon { settings, stop, last, task }
    }
}

/// What there is to do, and since when.
struct Chores {
    healer: Healer,
    tell: watch::Sender<Option<Summary>>,
    next_sweep: Instant,
    turn: Turn,
    /// Looks in a row at which all nodes were there and too few of them voted.
    lost_for: u32,
    /// What was complained of last, so that it is said once.
    complaint: String,
}

impl Chores {
    fn new(healer: Healer, tell: watch::Sender<Option<Summary>>) -> Chores {
        let now = Instant::now();
        Chores { healer, tell, next_sweep: now, turn: Turn::new(), lost_for: 0, complaint: String::new() }
    }

    async fn work(mut self) {
        let (mut settings, mut stop) = (self.healer.settings.clone(), self.healer.stop.clone());
        let (mut at, mut settable) = (Instant::now(), true);
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                changed = settings.changed(), if settable => {
                    settable = changed.is_ok();
                    self.next_sweep = self.next_sweep.min(Instant::now() + self.settings().interval);
                }
                () = tokio::time::sleep_until(at) => {
                    self.look_around().await;
                    at = Instant::now() + self.settings().drain_every;
                }
            }
        }
    }

    fn settings(&self) -> Settings {
        self.healer.settings.borrow().clone()
    }

    /// One look at everything that may want doing.
    async fn look_around(&mut self) {
        let pass = self.healer.pass_here();
        if pass.is_without_majority() {
            return self.without_majority(&pass).await;
        }
        self.lost_for = 0;
        self.turn.notice_changes(&pass);
        let wants_filling = pass.wants_rejoin();
        let is_anothers = wants_filling && self.turn.is_anothers(&pass).await;
        let is_due = wants_filling || Instant::now() >= self.next_sweep;
        if is_due && !is_anothers && self.turn.has_come() {
            self.heal(wants_filling).await;
        } else if pass.all_there() {
            // While a node is away its marks cannot be taken off; the pass that brings it back sweeps anyway.
            self.drain(&pass).await;
        }
    }

    /// Too few vote: those that are missing may come back as they were. Where all are there, and stay so, none will.
    async fn without_majority(&mut self, pass: &Pass) {
        if !pass.all_answer() {
            self.lost_for = 0;
            return self
                .tell_once(format!("too few nodes vote, and not all are there: {}", pass.away().join("; ")));
        }
        self.lost_for += 1;
        if self.settings().strict {
            let text = "so many nodes restarted at once that writes may be lost; none votes until an operator runs `anarcho-heal recover`";
            return self.tell_once(text.into());
        }
        if self.lost_for < LOOKS_BEFORE_RECOVERY || !self.turn.has_come() {
            return;
        }
        let fraction = self.healer.client.inner().surroundings().fraction();
        tokio::time::sleep(FIRST_REST.mul_f64(fraction)).await;
        let began = Instant::now();
        match self.healer.recover(&Log).await {
            Ok(summary) => self.report(&summary, began.elapsed()),
            Err(error) if is_another_pass(&error) => self.rest("a recovery met another pass"),
            Err(error) => self.complain(error.to_string()),
        }
    }

    fn rest(&mut self, why: &str) {
        self.turn.rest(&self.healer.pass_here(), why);
    }

    async fn heal(&mut self, filling: bool) {
        // Healers that were started together see the same node come back in the same second.
        if filling {
            let fraction = self.healer.client.inner().surroundings().fraction();
            tokio::time::sleep(FIRST_REST.mul_f64(fraction)).await;
            let pass = self.healer.pass_here();
            // What was known of the nodes may be seconds old: another healer may have begun since.
            pass.refresh_all().await;
            if !pass.wants_rejoin() || self.turn.is_anothers(&pass).await {
                return;
            }
        }
        let began = Instant::now();
        let healed = self.healer.once(&Log).await;
        self.turn.has_ended(&self.healer.pass_here()).await;
        self.next_sweep = Instant::now() + self.settings().interval;
        match healed {
            Ok(summary) => {
                self.report(&summary, began.elapsed());
                self.after_pass(&summary).await;
                self.tell.send_replace(Some(summary));
            }
            Err(error) if is_another_pass(&error) => {
                self.turn.lose();
                self.rest("a pass met another one");
            }
            Err(error) => self.complain(error.to_string()),
        }
    }

    /// What is due after each whole pass.
    async fn after_pass(&mut self, summary: &Summary) {
        // Where clients write, some register differs at any moment; that keeps nothing from being purged. While a node is away this
        // only counts what is held because of it.
        if summary.failed > 0 {
            return;
        }
        match self.healer.purge().await {
            Ok(purge) if purge.purged + purge.settled > 0 => tracing::info!(
                purged = purge.purged,
                settled = purge.settled,
                kept = purge.kept,
                "let go of deleted and expired registers"
            ),
            Ok(_) => {}
            Err(error) => self.tell_once(format!("no tombstone was purged: {error}")),
        }
    }

    async fn drain(&mut self, pass: &Pass) {
        self.healer.client.finish_what_was_decided().await;
        let mut summary = pass.empty_summary();
        pass.drain_dirty(&mut summary, &Log).await;
        if summary.cleaned > 0 {
            tracing::info!(
                registers = summary.cleaned,
                "brought registers to all nodes that had missed a write"
            );
        }
    }

    fn report(&mut self, summary: &Summary, took: Duration) {
        let repaired = summary.given();
        let seconds = format!("{:.1}", took.as_secs_f64());
        tracing::info!(
            registers = summary.seen,
            differing = summary.differing,
            repaired,
            failed = summary.failed,
            seconds,
            "{}",
            if summary.complete { "swept: all nodes are identical" } else { "swept" }
        );
        if summary.away.is_empty() {
            self.complaint.clear();
        } else {
            self.tell_once(format!("not all nodes take part: {}", summary.away.join("; ")));
        }
        if summary.failed > 0 || self.healer.pass_here().wants_rejoin() {
            // It will be tried again soon, but not at once. That a node is away is no reason to wait when it comes back.
            self.rest("the last pass is not complete");
        } else {
            self.turn.forget();
        }
    }

    /// Says what is wrong, once: it is tried again, less and less often.
    fn complain(&mut self, what: String) {
        self.tell_once(what);
        self.rest("the last pass failed");
    }

    fn tell_once(&mut self, what: String) {
        if what != self.complaint {
            tracing::warn!("{what}");
            self.complaint = what;
        }
    }
}

/// Told so, or dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

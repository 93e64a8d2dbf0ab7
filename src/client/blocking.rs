//! Commands that wait: BLPOP and its kin, XREAD and XREADGROUP with BLOCK.
//!
//! ```text
//!   BLPOP k ─ try: nothing ─ subscribe to the wakes of k's register on every node ─ try: nothing ─ sleep ─┐
//!     ◀── element ─ try ◀── a node tells: an op that may have made k grow was applied ◀───────────────────┘
//! ```
//!
//! # Why nobody sleeps on
//!
//! A node tells after each op with flag `w` that changed something, and after each settle with a state (`lua/lib/wake.lua`). A waiter may
//! sleep once it has *tried in vain after* the subscriptions of N-M+1 nodes were confirmed. Let h be the history that the try was decided
//! on, and let an op o that puts something there be committed after it, in a history that extends h.
//!
//! 1. The try is an op under a ballot b, not a read. Decided by W1, all N nodes were at h when they promised b. Decided by W2, M nodes accepted h
//!    at b, and each later winner has accepted b or more, so it extends h by ops that ran under ballots above b. Nodes that were all ABSENT held nothing.
//! 2. The digest contains the ballot under which an op ran, so an o that a node had executed before, on another history or without being
//!    committed, is not the o that is committed after h: that node must be given the state.
//! 3. So each of the M nodes that hold the committed history came there after it took part in b or later, by executing o or by a settle
//!    with a state; either way it told *after* the try began, hence after the subscriptions. M and N-M+1 nodes have one in common.
//!
//! A read (R2, R3) in place of the try would not do: a node may have executed o, and told, before the subscription, while the read finds
//! o nowhere decided; the commit then needs nothing but that node's confirmation and one node that is not listened to.
//!
//! The version that comes with a wake is not used: whoever is woken tries again. Wakes that come during a try count, as what was heard is compared with
//! what had been heard before it. A subscription that is confirmed anew counts as a wake, as something may have been missed in between.
//! With fewer than N-M+1 subscriptions alive the waiter tries every 200 to 500 ms.
//!
//! # The net
//!
//! All this holds where nodes tell. They do not for an operation of a user whose ACL has no channels (that of a Redis 7 has none unless it is given
//! some): the node's refusal is the writer's, and the waiter hears nothing of it. So the first in each line tries every 4 to 6 s even though nothing was heard:
//! one operation per key, client and 5 s. What is found so is counted (`waiters_unheard`), and warned of once.
//!
//! # What happens when
//!
//! - The time-out passes: nil, unless a try is under way; that is awaited, since it may have taken something. If the last try could not be decided for
//!   want of a majority, its error (`NOQUORUM`: nothing was taken) instead of nil.
//! - It passes for one that has made no try, as it stood behind others: it makes one now. What was acknowledged before it came may be there still,
//!   its wake on the way to the others; nil would be a lie. Only so does one overtake another.
//! - A try fails for want of a majority: it waits on, as a client of a Redis that does not answer. `INDETERMINATE`: the error, since
//!   something may have been taken.
//! - The caller drops the future: it leaves the line. A try that has begun ends as it would, and what it takes is gone, as from a Redis whose
//!   reply finds the connection closed; one that has not begun does not begin.

use super::lines::Place;
use super::{Client, Result};
use crate::command::{Access, Block, Register, Taken};
use crate::config::Consistency;
use crate::coordinator::Work;
use crate::error::Error;
use crate::node::{Heard, Listening, Topic};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How often a waiter tries that cannot rely on being told.
const WITHOUT_EARS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(500));
/// How often the first in a line tries though nothing was heard.
const NET: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(6));
/// How long it waits, after the first node has told, until the others have: a try before would meet the op on its way to them.
const OTHERS_FOLLOW: Duration = Duration::from_millis(2);
/// How long it waits for the last nodes' confirmations once there are enough.
const OTHERS_CONFIRM: Duration = Duration::from_millis(20);

/// Why it is looked whether a try is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    Arrived,
    /// Something was heard, or nothing could be.
    Woken,
    /// Nothing was heard for long.
    Rested,
    TimeIsOver,
}

/// One register that is waited for.
struct Watched {
    places: Vec<usize>,
    /// Those of them where no try of this waiter was decided yet.
    untried: Vec<usize>,
    listening: Listening,
    /// What had been heard when it was last looked whether a try is due, and whether enough nodes were listened to.
    seen: u64,
    is_certain: bool,
    /// Where nobody stands in line: what had been heard before the last certain try that found nothing.
    empty_at: Option<u64>,
}

impl Client {
    pub(super) async fn run_block(&self, mut block: Block) -> Result<Value> {
        let deadline = block.timeout.map(|timeout| Instant::now() + timeout);
        self.resolve(&mut block).await?;
        let mut all: Vec<Watched> =
            block.registers().into_iter().map(|register| self.watch_for(register)).collect();
        let names = (0..block.keys().len()).map(|place| block.line(place)).collect();
        let place = self.inner.lines.enter(names);
        let (mut occasion, mut net) = (Occasion::Arrived, None);
        loop {
            let mut failed = None;
            for watched in &mut all {
                match self.try_one(&block, &place, watched, occasion).await {
                    Ok(Some(taken)) => return Ok(taken.reply),
                    Ok(None) => {}
                    Err(error) if error.is_retryable() => failed = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if occasion != Occasion::TimeIsOver {
                place.sleeps();
                occasion = self.sleep(&all, &place, deadline, &mut net, failed.is_some()).await;
                let is_known = failed.is_some() || all.iter().all(|watched| watched.untried.is_empty());
                if occasion != Occasion::TimeIsOver || !is_known {
                    continue;
                }
            }
            return failed.map_or(Ok(Value::Nil), Err);
        }
    }

    fn watch_for(&self, (register, places): (Register, Vec<usize>)) -> Watched {
        let name = [b"anrcho_wake:{", register.id(), b"}"].concat();
        let listening = self.inner.listeners.listen(Topic { is_pattern: false, name }, None);
        let untried = places.clone();
        Watched { places, untried, listening, seen: 0, is_certain: false, empty_at: None }
    }

    /// How many nodes must be listened to: one of them holds whatever is committed.
    pub(super) fn ears_needed(&self) -> usize {
        let quorum = self.inner.coordinator.quorum();
        quorum.nodes + 1 - quorum.majority()
    }

    /// Tries to take from one register, where it is this one's turn and something may be there.
    async fn try_one(
        &self,
        block: &Block,
        place: &Place,
        watched: &mut Watched,
        occasion: Occasion,
    ) -> Result<Option<Taken>> {
        let before = watched.listening.heard();
        (watched.seen, watched.is_certain) = (before.count, before.live() >= self.ears_needed());
        let keys = watched.due(place, occasion);
        if keys.is_empty() {
            return Ok(None);
        }
        let later = occasion != Occasion::Arrived;
        let call = block.call(&keys, later);
        let work = Work { while_awaited: true, ..Work::new(Access::Write, call.clone()) };
        let done = self.inner.coordinator.write(work).await?;
        let taken = match call.reply(done.replies) {
            Ok(reply) => block.taken(reply),
            Err(error) if later && !block.is_ended_by(&error) => None,
            Err(error) => return Err(Error::Command(error)),
        };
        if taken.is_some() && occasion == Occasion::Rested {
            self.was_unheard(watched);
        }
        watched.tried(place, &keys, taken.as_ref());
        Ok(taken)
    }

    /// Something was found that, so far, no node has told of.
    fn was_unheard(&self, watched: &Watched) {
        if watched.is_certain && watched.listening.heard().count == watched.seen {
            let unheard = &self.inner.coordinator.telemetry.waiters_unheard;
            if unheard.inc() == 0 {
                tracing::warn!(
                    "a waiter found what no node told of: may every user that writes publish (ACL: &anrcho_wake:*)?"
                );
            }
        }
    }

    /// Waits until it is worth another try, or the time is over.
    async fn sleep(
        &self,
        all: &[Watched],
        place: &Place,
        deadline: Option<Instant>,
        net: &mut Option<Instant>,
        failed: bool,
    ) -> Occasion {
        let needed = self.ears_needed();
        let concerns = |watched: &&Watched| watched.places.iter().any(|key| place.is_first(*key));
        let mut news: FuturesUnordered<_> = all
            .iter()
            .filter(concerns)
            .map(|watched| told(watched, needed, self.inner.coordinator.quorum().nodes))
            .collect();
        let is_deaf = !all.iter().filter(concerns).all(|watched| watched.is_certain);
        let pause = self.between(WITHOUT_EARS);
        // It counts from when it was first in a line, and is not put off by wakes that concern another one.
        let begins = || Instant::now() + self.between(NET);
        *net = all.iter().any(|watched| concerns(&watched)).then(|| net.unwrap_or_else(begins));
        tokio::select! {
            biased;
            () = at(deadline) => Occasion::TimeIsOver,
            () = place.turn() => Occasion::Woken,
            Some(()) = news.next(), if !failed => Occasion::Woken,
            () = tokio::time::sleep(pause), if is_deaf || failed => Occasion::Woken,
            () = at(*net) => {
                *net = None;
                Occasion::Rested
            }
        }
    }

    fn between(&self, (least, most): (Duration, Duration)) -> Duration {
        least + (most - least).mul_f64(self.inner.config.surroundings.fraction())
    }

    /// `$` is what was there when the command came.
    async fn resolve(&self, block: &mut Block) -> Result<()> {
        for place in block.unresolved() {
            let Some(key) = block.keys().get(place).cloned() else { continue };
            let work = Work {
                keys: vec![key.clone()],
                commands: vec![block.last_id(place)],
                ..Work::nothing(self.inner.table.scopes().register_of(&key))
            };
            let done = self.inner.coordinator.read(work, Consistency::Linearizable).await?;
            let told = done.replies.into_iter().next().unwrap_or(Value::Nil);
            block.resolve(place, told).map_err(Error::Command)?;
        }
        Ok(())
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Watched {
    /// The places where it is to try.
    fn due(&self, place: &Place, occasion: Occasion) -> Vec<usize> {
        if occasion == Occasion::TimeIsOver {
            return self.untried.clone();
        }
        // That it was empty says something only while one is told of what comes, and not for ever.
        let relies = self.is_certain && occasion != Occasion::Rested;
        let unless_empty_at = relies.then_some(self.seen);
        if relies && self.empty_at == unless_empty_at {
            return Vec::new();
        }
        self.places.iter().copied().filter(|key| place.may_try(*key, unless_empty_at)).collect()
    }

    /// A try on these places was decided, and has taken this.
    fn tried(&mut self, place: &Place, keys: &[usize], taken: Option<&Taken>) {
        self.untried.retain(|key| !keys.contains(key));
        let at = Some(self.seen).filter(|_| self.is_certain);
        match taken {
            Some(taken) => {
                // More may be there, even if so much had been heard when it was empty.
                keys.iter().for_each(|key| place.found_empty(*key, None));
                taken.emptied.into_iter().for_each(|key| place.found_empty(key, at));
            }
            None if at.is_some() => {
                keys.iter().for_each(|key| place.found_empty(*key, at));
                self.empty_at = at.filter(|_| !place.is_in_line());
            }
            None => {}
        }
    }
}

/// Waits until a register is worth another try: it was told of, or what was relied upon is not there any more, or now is.
async fn told(watched: &Watched, needed: usize, nodes: usize) {
    let listening = &watched.listening;
    if !watched.is_certain {
        listening.until(|heard| heard.live() >= needed).await;
        let _ = tokio::time::timeout(OTHERS_CONFIRM, listening.until(|heard| heard.live() == nodes)).await;
        return;
    }
    listening.until(|heard| heard.count != watched.seen || heard.live() < needed).await;
    let all = |heard: &Heard| heard.count >= watched.seen + heard.live() as u64;
    let _ = tokio::time::timeout(OTHERS_FOLLOW, listening.until(all)).await;
}

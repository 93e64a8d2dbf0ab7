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
//! # What happens when
//!
//! - The time-out passes: nil, unless a try is under way; that is awaited, since it may have taken something. If the last try could not be decided for
//!   want of a majority, its error (`NOQUORUM`: nothing was taken) instead of nil.
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
/// How long it waits, after the first node has told, until the others have: a try before would meet the op on its way to them.
const OTHERS_FOLLOW: Duration = Duration::from_millis(2);
/// How long it waits for the last nodes' confirmations once there are enough.
const OTHERS_CONFIRM: Duration = Duration::from_millis(20);

/// One register that is waited for.
struct Watched {
    places: Vec<usize>,
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
        let mut later = false;
        loop {
            let mut failed = None;
            for watched in &mut all {
                match self.try_one(&block, &place, watched, later).await {
                    Ok(Some(taken)) => return Ok(taken.reply),
                    Ok(None) => {}
                    Err(error) if error.is_retryable() => failed = Some(error),
                    Err(error) => return Err(error),
                }
            }
            later = true;
            place.sleeps();
            if !self.sleep(&all, &place, deadline, failed.is_some()).await {
                return failed.map_or(Ok(Value::Nil), Err);
            }
        }
    }

    fn watch_for(&self, (register, places): (Register, Vec<usize>)) -> Watched {
        let name = [b"anrcho_wake:{", register.id(), b"}"].concat();
        let listening = self.inner.listeners.listen(Topic { is_pattern: false, name }, None);
        Watched { places, listening, seen: 0, is_certain: false, empty_at: None }
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
        later: bool,
    ) -> Result<Option<Taken>> {
        let before = watched.listening.heard();
        (watched.seen, watched.is_certain) = (before.count, before.live() >= self.ears_needed());
        let may_try = |key: &usize| place.may_try(*key, before.count);
        let keys: Vec<usize> = watched.places.iter().copied().filter(may_try).collect();
        if keys.is_empty() || watched.empty_at == Some(before.count) {
            return Ok(None);
        }
        let call = block.call(&keys, later);
        let work = Work { while_awaited: true, ..Work::new(Access::Write, call.clone()) };
        let done = self.inner.coordinator.write(work).await?;
        let taken = match call.reply(done.replies) {
            Ok(reply) => block.taken(reply),
            Err(error) if later && !block.is_ended_by(&error) => None,
            Err(error) => return Err(Error::Command(error)),
        };
        let emptied: Vec<usize> = match &taken {
            Some(taken) => taken.emptied.into_iter().collect(),
            None => keys,
        };
        if watched.is_certain {
            emptied.into_iter().for_each(|key| place.found_empty(key, before.count));
            watched.empty_at = Some(before.count).filter(|_| !place.is_in_line());
        }
        Ok(taken)
    }

    /// Waits until it is worth another try; says whether there is time for one.
    async fn sleep(&self, all: &[Watched], place: &Place, deadline: Option<Instant>, failed: bool) -> bool {
        let needed = self.ears_needed();
        let concerns = |watched: &&Watched| watched.places.iter().any(|key| place.is_first(*key));
        let mut news: FuturesUnordered<_> = all
            .iter()
            .filter(concerns)
            .map(|watched| told(watched, needed, self.inner.coordinator.quorum().nodes))
            .collect();
        let is_deaf = !all.iter().filter(concerns).all(|watched| watched.is_certain);
        let (least, most) = WITHOUT_EARS;
        let pause = least + (most - least).mul_f64(self.inner.config.surroundings.fraction());
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = over => false,
            () = place.turn() => true,
            Some(()) = news.next(), if !failed => true,
            () = tokio::time::sleep(pause), if is_deaf || failed => true,
        }
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

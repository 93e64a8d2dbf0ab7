//! One op in flight per register; what arrives meanwhile is queued and shares the next round.

use super::{Coordinator, Done, Work};
use crate::command::{Access, Register};
use crate::error::Error;
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

const SHARDS: usize = 64;
/// A batch takes no further op once its commands have this many arguments in all.
const BATCH_ARGUMENTS: usize = 4_000;
/// ... or this many bytes: servers end a connection whose query outgrows their buffer.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// An op that waits for its round.
struct Pending {
    work: Arc<Work>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Done, Error>>,
}

/// The registers that have an op in flight, each with what waits behind it.
pub(super) struct Queues {
    shards: Vec<Mutex<HashMap<Register, VecDeque<Pending>>>>,
    hasher: RandomState,
}

impl Default for Queues {
    fn default() -> Self {
        Queues { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Queues {
    fn shard(&self, register: &Register) -> MutexGuard<'_, HashMap<Register, VecDeque<Pending>>> {
        let place = usize::try_from(self.hasher.hash_one(register) % SHARDS as u64).unwrap_or(0);
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an op is in flight on the register.
    pub(super) fn is_busy(&self, register: &Register) -> bool {
        self.shard(register).contains_key(register)
    }

    /// Whether ops wait behind the one in flight.
    pub(super) fn has_waiting(&self, register: &Register) -> bool {
        self.shard(register).get(register).is_some_and(|waiting| !waiting.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Queues behind the op in flight, or says that there is none and the caller must drive this one.
    fn enter(&self, pending: Pending) -> Option<Pending> {
        match self.shard(&pending.work.register).entry(pending.work.register.clone()) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back(pending);
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(pending)
            }
        }
    }

    /// The next batch for the register; none, and the register is free, when nothing waits.
    fn next_batch(&self, register: &Register, at_most: usize) -> Option<Vec<Pending>> {
        let mut shard = self.shard(register);
        let waiting = shard.get_mut(register)?;
        let Some(first) = waiting.pop_front() else {
            shard.remove(register);
            return None;
        };
        let mut size = Size::of(&first.work);
        let mut batch = vec![first];
        while batch.len() < at_most && batch[0].work.shares() {
            let Some(next) = waiting.front().filter(|next| next.work.shares()) else { break };
            size = size.and(Size::of(&next.work));
            if size.arguments > BATCH_ARGUMENTS || size.bytes > BATCH_BYTES {
                break;
            }
            batch.extend(waiting.pop_front());
        }
        Some(batch)
    }
}

/// How much of a script call a batch takes.
#[derive(Clone, Copy)]
struct Size {
    arguments: usize,
    bytes: usize,
}

impl Size {
    fn of(work: &Work) -> Size {
        let bytes = work.commands.iter().flatten().map(Vec::len).sum();
        Size { arguments: work.commands.iter().map(Vec::len).sum(), bytes }
    }

    fn and(self, other: Size) -> Size {
        Size { arguments: self.arguments + other.arguments, bytes: self.bytes + other.bytes }
    }
}

impl Coordinator {
    /// Queues an op and gives where its result will come. It is committed, or fails, whether or not anyone waits.
    pub(super) fn submit(self: &Arc<Self>, work: Work) -> oneshot::Receiver<Result<Done, Error>> {
        let (reply, result) = oneshot::channel();
        if self.closing.load(Ordering::Relaxed) {
            // Nobody may be waiting; then nobody needs to know.
            let _ = reply.send(Err(Error::Closed));
            return result;
        }
        let deadline = Instant::now() + self.config.time_for(Size::of(&work).bytes);
        let register = work.register.clone();
        if let Some(first) = self.queues.enter(Pending { work: Arc::new(work), deadline, reply }) {
            tokio::spawn(Arc::clone(self).drive(register, first));
        }
        result
    }

    /// Runs a mutation, or a read that must be in line with one.
    pub async fn write(self: &Arc<Self>, work: Work) -> Result<Done, Error> {
        self.submit(work).await.unwrap_or_else(|_| Err(abandoned()))
    }

    /// Queues at once, before the result is awaited: calls made one after the other run in that order.
    pub fn submit_now(
        self: &Arc<Self>,
        work: Work,
    ) -> impl Future<Output = Result<Done, Error>> + Send + use<> {
        let result = self.submit(work);
        async move { result.await.unwrap_or_else(|_| Err(abandoned())) }
    }

    async fn drive(self: Arc<Self>, register: Register, first: Pending) {
        let mut freed = Freed { queues: &self.queues, register: &register, already: false };
        let mut batch = vec![first];
        loop {
            let turn = self.holds.turn(&register).await;
            self.run(batch).await;
            drop(turn);
            match self.queues.next_batch(&register, self.config.batch) {
                Some(next) => batch = next,
                None => break,
            }
        }
        freed.already = true;
    }

    /// Commits a batch as one op and hands every caller its part.
    async fn run(self: &Arc<Self>, mut batch: Vec<Pending>) {
        // Who blocked and has gone must not take what the next one waits for.
        batch.retain(|pending| !(pending.work.while_awaited && pending.reply.is_closed()));
        let Some(mut deadline) = batch.iter().map(|pending| pending.deadline).min() else {
            return;
        };
        if batch.len() > 1 {
            // What has waited too long must not cut the others short.
            let now = Instant::now();
            batch = give_up_expired(batch, now);
            deadline = batch.iter().map(|pending| pending.deadline).min().unwrap_or(deadline);
        }
        if batch.first().is_some_and(|pending| pending.work.early) {
            return self.run_early(batch, deadline).await;
        }
        let Some((first, rest)) = batch.split_first() else {
            return;
        };
        let (result, left) = if rest.is_empty() {
            self.commit(&first.work, deadline, None).await
        } else {
            let mut whole = Work::clone(&first.work);
            rest.iter().for_each(|pending| whole.absorb(&pending.work));
            self.commit(&Arc::new(whole), deadline, None).await
        };
        batch.iter().for_each(|pending| self.note_end(&pending.work, pending.deadline));
        hand_out(batch, result);
        if let Some(left) = left {
            self.hand_over(left).await;
        }
    }

    /// How long it took since it was asked for.
    pub(super) fn note_end(&self, work: &Work, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let took = self.config.operation_timeout.saturating_sub(left);
        if work.access == Access::Read { self.telemetry.read(took) } else { self.telemetry.wrote(took) }
    }
}

impl Coordinator {
    /// The caller is answered by the first acknowledgement; what becomes of the op afterwards nobody hears.
    async fn run_early(self: &Arc<Self>, batch: Vec<Pending>, deadline: Instant) {
        for pending in batch {
            let (early, first) = oneshot::channel();
            let committing = self.commit(&pending.work, deadline, Some(early));
            let answering = async {
                if let Ok(done) = first.await {
                    let _ = pending.reply.send(Ok(done));
                    return None;
                }
                Some(pending.reply)
            };
            let ((result, left), unanswered) = tokio::join!(committing, answering);
            if let Some(left) = left {
                self.repair_later(left);
            }
            if let Some(reply) = unanswered {
                let _ = reply.send(result);
            }
        }
    }
}

/// Frees the register also where the drive ends before its time, as with its runtime: what waits there learns that it is alone.
struct Freed<'a> {
    queues: &'a Queues,
    register: &'a Register,
    already: bool,
}

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        if !self.already {
            self.queues.shard(self.register).remove(self.register);
        }
    }
}

/// The task that drove the op is gone, and with it what it knew.
fn abandoned() -> Error {
    Error::Indeterminate { failures: Default::default() }
}

fn give_up_expired(batch: Vec<Pending>, now: Instant) -> Vec<Pending> {
    let (alive, expired): (Vec<_>, Vec<_>) = batch.into_iter().partition(|pending| pending.deadline > now);
    for pending in expired {
        let error = Error::NotApplied {
            why: "it waited too long behind others on the same key",
            failures: Default::default(),
        };
        let _ = pending.reply.send(Err(error));
    }
    alive
}

fn hand_out(batch: Vec<Pending>, result: Result<Done, Error>) {
    let done = match result {
        Err(error) => {
            for pending in batch {
                let _ = pending.reply.send(Err(error.clone()));
            }
            return;
        }
        Ok(done) => done,
    };
    let mut batch = batch.into_iter();
    if batch.len() == 1
        && let Some(pending) = batch.next()
    {
        // All of it is one caller's.
        let _ = pending.reply.send(Ok(done));
        return;
    }
    let Done { replies, position, source, mut states } = done;
    let mut replies = replies.into_iter();
    for pending in batch {
        let replies = replies.by_ref().take(pending.work.commands.len()).collect();
        let _ =
            pending.reply.send(Ok(Done { replies, position, source, states: std::mem::take(&mut states) }));
    }
}

//! Commits one op: round after round under the same op id, until one decides or the time is over (W3, W4).

use super::attempt::{Attempt, Ended};
use super::handover::Unsettled;
use super::journey::Journey;
use super::repair::Repair;
use super::{Coordinator, Done, Work, work::is_inline};
use crate::command::Access;
use crate::error::Error;
use crate::protocol::{ApplyAnswer, Ballot, Decided, NodeIndex, Position, Retry, Rule};
use crate::script::{Executed, Replies};
use crate::telemetry::kind;
use redis::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

/// What a decided round says, beside its reply.
pub(super) struct Committed {
    pub(super) ballot: Ballot,
    pub(super) rule: Rule,
    pub(super) source: NodeIndex,
    /// None where the register does not exist (R3).
    pub(super) position: Option<Position>,
    pub(super) executed: Executed,
    /// Whose replies these are, where that is known.
    replied: Option<NodeIndex>,
}

impl Coordinator {
    /// Commits the work as one op. Also what its decision leaves to be done.
    /// `early` hears of the first acknowledgement.
    pub(super) async fn commit(
        self: &Arc<Self>,
        work: &Arc<Work>,
        deadline: Instant,
        early: Option<oneshot::Sender<Done>>,
    ) -> (Result<Done, Error>, Option<Unsettled>) {
        let span = tracing::debug_span!("op", register = %work.register, access = ?work.access);
        let began = Instant::now();
        match self.decide(work, false, deadline, early).instrument(span).await {
            Ok((committed, attempt)) => {
                let left = self.after(attempt, &committed, began.elapsed());
                (done(committed), left)
            }
            Err(error) => (Err(error), None),
        }
    }

    /// Rounds until one decides. The attempt comes back with it: answers may still be on their way.
    pub(super) async fn decide(
        self: &Arc<Self>,
        work: &Arc<Work>,
        keep: bool,
        deadline: Instant,
        mut early: Option<oneshot::Sender<Done>>,
    ) -> Result<(Committed, Attempt), Error> {
        let mut journey = Journey {
            op: self.next_op(),
            keep,
            rounds: 0,
            longest: Duration::ZERO,
            may_have_run: false,
            deadline,
            ends_ms: self.now_ms().saturating_add(millis(deadline.saturating_duration_since(Instant::now()))),
            began_in: None,
            generation: 0,
            reasons: Vec::new(),
            alone_since: None,
        };
        loop {
            let view = self.view();
            if journey.was_flushed(&view) {
                return Err(journey.give_up(self));
            }
            let mut attempt = Attempt::begin(self, view, work, journey.op, journey.keep, deadline);
            attempt.early = early.take();
            let began = Instant::now();
            let ended = attempt.run().await;
            journey.longest = journey.longest.max(began.elapsed());
            self.note_round(&attempt, &ended);
            early = attempt.early.take();
            match ended {
                Ended::Decided(decided) => {
                    let committed = committed(&mut attempt, decided);
                    self.compare_replies(&attempt, &committed);
                    return Ok((committed, attempt));
                }
                Ended::OutOfTime => {
                    journey.take_note(&attempt);
                    return Err(journey.give_up(self));
                }
                Ended::Retry(retry) => {
                    journey.take_note(&attempt);
                    self.leave(attempt);
                    if journey.was_killed() {
                        return Err(journey.give_up(self));
                    }
                    self.prepare(&mut journey, retry).await?;
                }
            }
        }
    }

    fn note_round(&self, attempt: &Attempt, ended: &Ended) {
        let kind = if attempt.work().access == Access::Read { kind::SLOW_READ } else { kind::WRITE };
        let rule = match ended {
            Ended::Decided(decided) => Some(decided.rule),
            Ended::Retry(_) => {
                self.telemetry.retries.inc();
                None
            }
            Ended::OutOfTime => None,
        };
        self.telemetry.round(kind, rule);
        attempt.note_trail(rule != Some(Rule::W1));
        if attempt.is_marked() {
            self.telemetry.marked.inc();
        }
        tracing::debug!(ballot = %attempt.ballot, ?rule, "round ended");
    }

    /// What must be true before the next round: a higher ballot, a later time, a majority to ask, and a pause, so that two
    /// coordinators do not overtake each other for ever.
    async fn prepare(&self, journey: &mut Journey, retry: Retry) -> Result<(), Error> {
        journey.keep |= retry.keep;
        journey.rounds += 1;
        if let Some(above) = retry.above {
            self.observe(above);
        }
        if let Some(at_ms) = retry.expiring_at_ms {
            let ahead_ms = (at_ms + 1).saturating_sub(self.now_ms());
            self.observe_ms(at_ms);
            let left = journey.deadline.saturating_duration_since(Instant::now());
            tokio::time::sleep(Duration::from_millis(ahead_ms).min(left)).await;
        }
        let now = Instant::now();
        if self.view().has_quorum() {
            journey.alone_since = None;
        } else if now - *journey.alone_since.get_or_insert(now) > self.config.connect_timeout {
            return Err(journey.give_up(self));
        }
        tokio::time::sleep(journey.pause(self.config.surroundings.fraction())).await;
        let is_over = Instant::now() >= journey.deadline || self.now_ms() > journey.ends_ms;
        if is_over { Err(journey.give_up(self)) } else { Ok(()) }
    }

    /// A round without a decision: its late answers change nothing, but its calls must all be sent (P55).
    pub(super) fn leave(&self, mut attempt: Attempt) {
        if attempt.has_stragglers() {
            tokio::spawn(async move { attempt.finish().await });
        }
    }

    /// Equal digests and another reply: that node's data was changed behind the protocol's back (I2, P54). Said, and repaired.
    fn compare_replies(self: &Arc<Self>, attempt: &Attempt, committed: &Committed) {
        if attempt.work().unordered || committed.rule != Rule::W1 {
            return;
        }
        let reply_of = |index| match attempt.round.answer(index) {
            Some(ApplyAnswer::Ack(ack)) => Some(&ack.reply.replies),
            _ => None,
        };
        // A retry may find replies that were too long to remember; only replies that are there can differ.
        let known = |replies: &Replies| matches!(replies, Replies::Each(_));
        // The one that was taken to be given to the caller has left none behind.
        let odd = attempt.view.indices().filter(|index| committed.replied != Some(*index)).any(|index| {
            reply_of(index).is_some_and(|replies| {
                known(replies) && known(&committed.executed.replies) && *replies != committed.executed.replies
            })
        });
        if odd {
            let register = attempt.work().register.clone();
            tracing::error!(%register, "nodes with the same history answer differently: data was changed behind the protocol");
            self.request_repair(Repair::Rewrite { register });
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn committed(attempt: &mut Attempt, decided: Decided) -> Committed {
    let replied = preferred(attempt, decided.from);
    let position = match attempt.round.answer(replied) {
        Some(ApplyAnswer::Ack(ack)) => Some(ack.standing.position),
        _ => None,
    };
    let nothing = || Executed { base: Default::default(), replies: Replies::Lost, states: Vec::new() };
    let executed = attempt.round.replace_reply(replied, nothing()).unwrap_or_else(nothing);
    // W1: any node's reply will do, but one that is remembered.
    let (replied, executed) = match executed.replies {
        Replies::Lost => (None, remembered(attempt).unwrap_or(executed)),
        _ => (Some(replied), executed),
    };
    Committed {
        ballot: attempt.ballot,
        rule: decided.rule,
        source: decided.from,
        position,
        executed,
        replied,
    }
}

/// The node that the work prefers, where it is at the position that was decided; else the one that was decided from.
fn preferred(attempt: &Attempt, from: NodeIndex) -> NodeIndex {
    let position = |index| match attempt.round.answer(index) {
        Some(ApplyAnswer::Ack(ack)) => Some(ack.standing.position),
        _ => None,
    };
    attempt
        .work()
        .prefer
        .filter(|index| position(*index).is_some_and(|at| Some(at) == position(from)))
        .unwrap_or(from)
}

/// Another node with the same history may still know the reply.
fn remembered(attempt: &Attempt) -> Option<Executed> {
    let (_, winner) = attempt.round.winner()?;
    let same = attempt.view.indices().filter_map(|index| match attempt.round.answer(index) {
        Some(ApplyAnswer::Ack(ack)) if ack.standing.position == winner.standing.position => Some(&ack.reply),
        _ => None,
    });
    same.into_iter().find(|executed| executed.replies != Replies::Lost).cloned()
}

fn done(committed: Committed) -> Result<Done, Error> {
    let Committed { position, executed, replied, .. } = committed;
    let replies: Vec<Value> = match executed.replies {
        Replies::Each(replies) => replies,
        Replies::Lost => return Err(Error::ReplyLost),
        Replies::Mismatch => return Err(Error::VersionMismatch),
    };
    let states = executed.states.into_iter().filter(is_inline).collect();
    Ok(Done { replies, position, source: replied, states })
}

/// Whether a plan of this access may be answered by a read round.
pub(super) fn is_read(work: &Work) -> bool {
    work.access == Access::Read && work.expected.is_none() && work.state_limit == 0
}

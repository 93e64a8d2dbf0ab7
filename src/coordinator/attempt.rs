//! One write round over the nodes: sends, takes the answers in the order in which they arrive, and does what the round says.

use super::answers::{apply_answer, settle_answer};
use super::under_way::{Asked, Sent, UnderWay};
use super::view::{View, Voters};
use super::{Coordinator, Done, Work};
use crate::command::Access;
use crate::node::CallError;
use crate::protocol::{
    Abandoned, Ack, ApplyAnswer, Ballot, Decided, Epoch, Kind, NoVote, NodeIndex, OpId, Retry, SettleAnswer,
    WriteRound, WriteStep,
};
use crate::script::{ApplyCall, Executed, Flags, Replies};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How often a round looks whether those that owe it an answer to a settle are still there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An answer, as it arrives.
pub(super) enum Event {
    Applied(NodeIndex, Result<Value, CallError>),
    Settled(NodeIndex, Result<Value, CallError>),
    /// A settle with state, which took several calls.
    Moved(NodeIndex, SettleAnswer),
}

/// A round under way.
pub(super) struct Attempt {
    pub(super) coordinator: Arc<Coordinator>,
    /// The nodes that it goes to.
    pub(super) view: Arc<View>,
    pub(super) record: Vec<u8>,
    pub(super) ballot: Ballot,
    pub(super) round: WriteRound<Executed>,
    /// The epoch under which every answer of the round is given.
    pub(super) epoch: Epoch,
    /// Hears of the first acknowledgement.
    pub(super) early: Option<oneshot::Sender<Done>>,
    pub(super) work: Arc<Work>,
    pub(super) deadline: Instant,
    pub(super) calls: UnderWay<Sent>,
    pub(super) reasons: Vec<Option<String>>,
    pub(super) sent: Vec<bool>,
    pub(super) hedge: Duration,
    /// A node is known to miss the settle, so those that take it remember the register as dirty.
    pub(super) dirty: bool,
    /// The settle that was sent said so.
    pub(super) marked: bool,
}

/// How a round ended.
pub(super) enum Ended {
    Decided(Decided),
    Retry(Retry),
    OutOfTime,
}

impl Attempt {
    /// Sends apply to every voter.
    pub(super) fn begin(
        coordinator: &Arc<Coordinator>,
        view: Arc<View>,
        work: &Arc<Work>,
        op: OpId,
        keep: bool,
        deadline: Instant,
    ) -> Attempt {
        let voters = view.voters();
        let ballot = coordinator.next_ballot();
        let kind = if work.access == Access::Read { Kind::SlowRead } else { Kind::Mutation };
        // Without a majority nothing can be decided; what is not sent has not run. One acknowledgement is all that some ask for.
        let enough = work.early || voters.together.len() >= view.quorum.majority();
        let voters = if enough { voters } else { Voters::default() };
        let mut attempt = Attempt {
            coordinator: Arc::clone(coordinator),
            record: work.register.record_key(),
            ballot,
            round: WriteRound::new(kind, ballot, view.quorum, keep),
            early: None,
            epoch: voters.epoch,
            work: Arc::clone(work),
            deadline,
            calls: UnderWay::with_capacity(view.nodes.len()),
            reasons: vec![None; view.nodes.len()],
            sent: view.indices().map(|index| voters.count(index)).collect(),
            hedge: view.hedge_delay(&voters, &coordinator.config),
            // A round that runs nothing, as a healer's, is followed by the repair of every node that is there.
            dirty: voters.together.len() < view.nodes.len()
                && !(work.commands.is_empty() && view.is_all_there()),
            marked: false,
            view,
        };
        attempt.send(&voters, op, keep);
        attempt
    }

    fn send(&mut self, voters: &Voters, op: OpId, keep: bool) {
        let config = &self.coordinator.config;
        let call = ApplyCall {
            record: &self.record,
            keys: &self.work.keys,
            ballot: self.ballot,
            op,
            flags: Flags {
                keep,
                read_only: self.work.access == Access::Read,
                hash_replies: self.work.hash_replies,
                wake: self.work.wakes,
                delivery_ms: self
                    .work
                    .timed
                    .then(|| self.view.past_on_all(voters, self.coordinator.now_ms())),
            },
            expected: self.work.expected,
            holds_until_ms: self.work.holds_until_ms,
            state_limit: self.work.state_limit,
            reply_limit: config.remembered_reply,
            retry_window_ms: u64::try_from(config.retry_window.as_millis()).unwrap_or(u64::MAX),
            max_clock_offset_ms: u64::try_from(config.max_clock_offset.as_millis()).unwrap_or(u64::MAX),
            lowest_expiry_ms: self.work.lowest_expiry_ms,
            commands: &self.work.commands,
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let part = call.part().map(Arc::new);
        for index in self.view.indices() {
            if !voters.count(index) {
                continue;
            }
            let node = self.view.node(index);
            let calling = match &part {
                Some(part) => node.send_part(voters.epoch, part, left),
                None => node.send_as(voters.epoch, &|ticket| call.encode(ticket), left),
            };
            self.calls.push(Sent::Apply(Asked(index, calling)));
        }
    }

    /// Takes the round to its end.
    pub(super) async fn run(&mut self) -> Ended {
        // The hedge delay begins with the answer that makes a majority: before it, nobody is late.
        let hedge = tokio::time::sleep_until(self.deadline);
        let deadline = tokio::time::sleep_until(self.deadline);
        tokio::pin!(hedge, deadline);
        let (mut begun, mut hedged, mut settling) = (false, false, None);
        let mut step = self.report_absentees();
        loop {
            match step {
                WriteStep::Decided(decided) => return Ended::Decided(decided),
                WriteStep::Retry(retry) => return Ended::Retry(retry),
                WriteStep::Settle(plan) => {
                    step = self.settle(&plan);
                    // The settles have a hedge delay of their own.
                    hedge.as_mut().reset(Instant::now() + self.hedge);
                    (begun, hedged, settling) = (true, false, Some(plan));
                    continue;
                }
                WriteStep::Wait => {}
            }
            if !begun && self.has_majority() {
                begun = true;
                if self.lacks_a_silent_one() {
                    hedged = true;
                    step = self.go_on();
                    continue;
                }
                hedge.as_mut().reset(Instant::now() + self.hedge);
            }
            step = tokio::select! {
                biased;
                Some(event) = self.calls.next() => self.take(event),
                () = &mut hedge, if begun && !hedged => match &settling {
                    None => {
                        hedged = true;
                        self.coordinator.telemetry.hedges.inc();
                        self.go_on()
                    }
                    Some(plan) => {
                        hedge.as_mut().reset(Instant::now() + self.hedge.max(LOOK_AGAIN));
                        self.give_up_on_silent(plan)
                    }
                },
                () = &mut deadline => return Ended::OutOfTime,
            };
        }
    }

    /// The nodes that were not sent to answer nothing, and nobody waits for them.
    fn report_absentees(&mut self) -> WriteStep {
        let mut step = WriteStep::Wait;
        for index in self.view.indices() {
            if !self.sent[index.0] {
                let taken = self.round.on_answer(index, ApplyAnswer::NoVote(NoVote::NotSent));
                step = if taken == WriteStep::Wait { step } else { taken };
            }
        }
        step
    }

    fn take(&mut self, event: Event) -> WriteStep {
        match event {
            Event::Applied(index, reply) => {
                let answer = apply_answer(
                    &self.coordinator,
                    self.view.node(index),
                    &self.work.register,
                    reply,
                    &mut self.reasons[index.0],
                );
                if matches!(answer, ApplyAnswer::Nack { .. }) {
                    self.coordinator.telemetry.nacks.inc();
                }
                self.tell_early(&answer);
                self.round.on_answer(index, answer)
            }
            Event::Settled(index, reply) => {
                let answer = settle_answer(self.view.node(index), reply, &mut self.reasons[index.0]);
                self.round.on_settle_answer(index, answer)
            }
            Event::Moved(index, answer) => self.round.on_settle_answer(index, answer),
        }
    }

    fn tell_early(&mut self, answer: &ApplyAnswer<Executed>) {
        let ApplyAnswer::Ack(Ack { standing, reply, .. }) = answer else {
            return;
        };
        let Replies::Each(replies) = &reply.replies else {
            return;
        };
        if let Some(early) = self.early.take() {
            // Whoever asked may be gone.
            let _ = early.send(Done {
                replies: replies.clone(),
                position: Some(standing.position),
                source: None,
                states: Vec::new(),
            });
        }
    }

    /// Waits for the answers that came after the decision, so that the repairs know them.
    pub(super) async fn finish(&mut self) {
        let patience = tokio::time::sleep(self.coordinator.config.answer_timeout);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                event = self.calls.next() => match event {
                    Some(event) => { self.take(event); }
                    None => return,
                },
                () = &mut patience => return,
            }
        }
    }

    /// Whether answers are still to come.
    pub(super) fn has_stragglers(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn may_have_run(&self) -> bool {
        self.round.outcome_if_abandoned() == Abandoned::Indeterminate
    }

    pub(super) fn reasons(&self) -> Vec<Option<String>> {
        // Stragglers may still add theirs.
        self.reasons.clone()
    }

    /// Whether the nodes that took the settle remember that others missed it.
    pub(super) fn is_marked(&self) -> bool {
        self.marked
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }
}

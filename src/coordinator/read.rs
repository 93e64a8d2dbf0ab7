//! Reads: one round where the nodes agree, again where a write was under way, and the slow read where they stay apart (R1-R4).

use super::commit::is_read;
use super::under_way::{Asked, UnderWay};
use super::view::View;
use super::{Coordinator, Done, Work};
use crate::command::Register;
use crate::config::Consistency;
use crate::error::Error;
use crate::node::{CallError, Node};
use crate::protocol::{Decided, NodeIndex, ReadAnswer, ReadRound, ReadStep};
use crate::script::{ReadCall, ReadReply};
use crate::telemetry::kind;
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How often a read is repeated before it asks for promises: most disagreement is a write in flight.
const READS: u32 = 2;

/// A read round with the calls that are still under way.
pub(super) struct Reading {
    pub(super) round: ReadRound<Vec<Value>>,
    pub(super) calls: UnderWay<Asked>,
    pub(super) view: Arc<View>,
    pub(super) hedge: Duration,
}

impl Coordinator {
    /// Answers a read at the given level.
    pub async fn read(self: &Arc<Self>, work: Work, level: Consistency) -> Result<Done, Error> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        // In line behind this coordinator's own op on the register, the read shares that op's successor's round.
        let in_line = level == Consistency::Linearizable && self.queues.is_busy(&work.register);
        if !is_read(&work) || in_line {
            return self.write(work).await;
        }
        let deadline = Instant::now() + self.config.operation_timeout;
        if level == Consistency::One {
            return Box::pin(self.read_nearest(&work, deadline)).await;
        }
        for _ in 0..READS {
            let mut reading = self.begin_read(&work, level, deadline);
            match self.run_read(&work, &mut reading, deadline).await {
                ReadStep::Decided(decided) => {
                    self.telemetry.round(kind::READ, Some(decided.rule));
                    self.note_end(&work, deadline);
                    return Ok(self.decided_read(&work, reading, decided));
                }
                ReadStep::Disagree(disagreement) => {
                    self.telemetry.round(kind::READ, None);
                    if let Some(above) = disagreement.above {
                        self.observe(above);
                    }
                    // To wait for a silent node again would cost another hedge delay, and show the same.
                    let silent = reading.view.indices().any(|index| reading.round.answer(index).is_none());
                    let few = disagreement.reachable < reading.view.quorum.majority();
                    if silent || few || disagreement.expiring_at_ms.is_some() {
                        break;
                    }
                }
                ReadStep::Wait => break,
            }
        }
        self.write(work).await
    }

    /// One node's word, from the node that usually answers first; the next one's where it has none.
    async fn read_nearest(self: &Arc<Self>, work: &Work, deadline: Instant) -> Result<Done, Error> {
        let view = self.view();
        let mut near = view.voters().together;
        near.sort_by_key(|index| view.node(*index).usual_latency());
        let record = work.register.record_key();
        let call =
            ReadCall { record: &record, keys: &work.keys, at_ms: self.now_ms(), commands: &work.commands };
        let mut reasons = vec![None; view.nodes.len()];
        for index in near {
            let left = deadline.saturating_duration_since(Instant::now());
            let reply = view.node(index).send(&|ticket| call.encode(ticket), left).await;
            reasons[index.0] = reply.as_ref().err().map(ToString::to_string);
            match self.read_answer(&work.register, view.node(index), reply) {
                ReadAnswer::Report { standing, reply, .. } => {
                    return Ok(Done {
                        replies: reply,
                        position: Some(standing.position),
                        source: Some(index),
                        states: Vec::new(),
                    });
                }
                ReadAnswer::Absent { reply } => {
                    return Ok(Done {
                        replies: reply,
                        position: None,
                        source: Some(index),
                        states: Vec::new(),
                    });
                }
                ReadAnswer::Expiring { .. } | ReadAnswer::NoVote => {}
            }
        }
        Err(Error::NoQuorum { needed: 1, reached: 0, failures: view.failures(&reasons) })
    }

    fn begin_read(&self, work: &Work, level: Consistency, deadline: Instant) -> Reading {
        let view = self.view();
        let voters = view.voters();
        let record = work.register.record_key();
        let call =
            ReadCall { record: &record, keys: &work.keys, at_ms: self.now_ms(), commands: &work.commands };
        let left = deadline.saturating_duration_since(Instant::now());
        let part = call.part().map(Arc::new);
        let mut calls = UnderWay::with_capacity(view.nodes.len());
        let mut round = match level {
            Consistency::Linearizable => ReadRound::new(view.quorum),
            Consistency::Quorum | Consistency::One => ReadRound::quorum_level(view.quorum),
        };
        for index in view.indices() {
            if voters.count(index) {
                let calling = view.node(index).send_read(voters.epoch, &call, part.as_ref(), left);
                calls.push(Asked(index, calling));
            } else {
                // What this step says is said again with the first answer.
                round.on_answer(index, ReadAnswer::NoVote);
            }
        }
        Reading { round, calls, hedge: view.hedge_delay(&voters, &self.config), view }
    }

    /// Whether a read finds nothing to mend about the register.
    pub(super) async fn is_alike(self: &Arc<Self>, register: &Register) -> bool {
        let work = Work::nothing(register.clone());
        let deadline = Instant::now() + self.config.answer_timeout;
        let mut reading = self.begin_read(&work, Consistency::Linearizable, deadline);
        let step = self.run_read(&work, &mut reading, deadline).await;
        while let Some((index, reply)) = reading.calls.next().await {
            let answer = self.read_answer(&work.register, reading.view.node(index), reply);
            reading.round.on_answer(index, answer);
        }
        matches!(step, ReadStep::Decided(_))
            && !reading.round.is_in_doubt()
            && reading.round.repairs().is_empty()
    }

    async fn run_read(self: &Arc<Self>, work: &Work, reading: &mut Reading, deadline: Instant) -> ReadStep {
        // As in a write: before a majority has answered, nobody is late.
        let hedge = tokio::time::sleep_until(deadline);
        let deadline = tokio::time::sleep_until(deadline);
        tokio::pin!(hedge, deadline);
        let (mut begun, mut hedged) = (false, false);
        loop {
            if reading.calls.is_empty() {
                return ReadStep::Wait;
            }
            if !begun && reading.has_majority() {
                begun = true;
                hedged = reading.lacks_a_silent_one();
                hedge.as_mut().reset(Instant::now() + reading.hedge);
                if hedged {
                    match reading.go_on() {
                        ReadStep::Wait => {}
                        step => return step,
                    }
                }
            }
            let step = tokio::select! {
                biased;
                Some((index, reply)) = reading.calls.next() => {
                    let answer = self.read_answer(&work.register, reading.view.node(index), reply);
                    reading.round.on_answer(index, answer)
                }
                () = &mut hedge, if begun && !hedged => {
                    hedged = true;
                    self.telemetry.hedges.inc();
                    reading.go_on()
                }
                () = &mut deadline => return ReadStep::Wait,
            };
            if step != ReadStep::Wait {
                return step;
            }
        }
    }

    pub(super) fn read_answer(
        self: &Arc<Self>,
        register: &Register,
        node: &Arc<dyn Node>,
        reply: Result<Value, CallError>,
    ) -> ReadAnswer<Vec<Value>> {
        let Ok(Ok(reply)) = reply.map(ReadReply::parse) else {
            return ReadAnswer::NoVote;
        };
        match reply {
            ReadReply::Report { promised, standing, replies, due_ms } => {
                ReadAnswer::Report { promised, standing, due_ms, reply: replies }
            }
            ReadReply::Absent(replies) => ReadAnswer::Absent { reply: replies },
            ReadReply::Expiring(at_ms) if self.is_lost(register, at_ms) => ReadAnswer::NoVote,
            ReadReply::Expiring(at_ms) => ReadAnswer::Expiring { at_ms },
            ReadReply::Refused(_) => ReadAnswer::NoVote,
            ReadReply::Fenced => {
                node.fenced();
                ReadAnswer::NoVote
            }
        }
    }

    fn decided_read(self: &Arc<Self>, work: &Work, mut reading: Reading, decided: Decided) -> Done {
        self.compare_reads(work, &reading, decided);
        let source = preferred(work, &reading.round, decided);
        let position = match reading.round.answer(source) {
            Some(ReadAnswer::Report { standing, .. }) => Some(standing.position),
            _ => None,
        };
        // The caller's: what is still to be repaired goes by the positions.
        let replies = reading.round.replace_reply(source, Vec::new()).unwrap_or_default();
        let done = Done { replies, position, source: Some(source), states: Vec::new() };
        if reading.calls.is_empty() {
            self.repair_after_read(work, &reading, decided);
        } else {
            self.finish_later(work.clone(), reading, decided);
        }
        done
    }
}

/// The node that the work prefers, where it is at the position that was decided; else the one that was decided from.
fn preferred(work: &Work, round: &ReadRound<Vec<Value>>, decided: Decided) -> NodeIndex {
    let position = |index| match round.answer(index) {
        Some(ReadAnswer::Report { standing, .. }) => Some(standing.position),
        _ => None,
    };
    work.prefer
        .filter(|index| position(*index).is_some_and(|at| Some(at) == position(decided.from)))
        .unwrap_or(decided.from)
}

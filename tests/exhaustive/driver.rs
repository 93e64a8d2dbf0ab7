//! What a coordinator does: it starts ops, and follows its rounds.

use anarchoredis::protocol::{
    Abandoned, ApplyAnswer, Ballot, Decided, NodeIndex, ReadAnswer, RepairNeed, Repairs, Retry, Rule,
    SettlePlan,
};

use super::control::Control;
use super::history::{Command, History};
use super::node::{Seen, Settle};
use super::round::{Hearing, Input, Step};
use super::script::Op;
use super::state::{Call, Coordinator, Heard, Late, SettleCall, Stage, State};
use super::system::{Next, System};

impl System {
    /// A client sends its op.
    pub fn start(&self, state: &mut State, coordinator: usize) {
        state.coordinators[coordinator].since = state.ledger.length();
        self.start_round(state, coordinator, self.setup.scripts[coordinator].at);
    }

    /// An append is in every history that it is answered by, and in none that was committed before it was sent: its answer
    /// is recent whenever it was sent. So it is sent at once, and its calls linger.
    pub fn start_if_any_time_will_do(&self, state: &mut State, coordinator: usize) {
        if self.op(state, coordinator) == Op::Append {
            self.start_round(state, coordinator, self.setup.scripts[coordinator].at);
        }
    }

    fn start_round(&self, state: &mut State, coordinator: usize, now: u64) {
        let op = self.op(state, coordinator);
        let asker = &mut state.coordinators[coordinator];
        let is_plain = matches!(op, Op::Read | Op::QuorumRead) && asker.rounds == 0;
        asker.rounds += 1;
        asker.stage = if is_plain { Stage::Reading } else { Stage::Applying(asker.clock.next(now)) };
        state.sites.iter_mut().for_each(|site| site.links[coordinator].call = Call::Sent);
    }

    /// The round is over: nobody waits for what is still on its way.
    fn leave_round(&self, state: &mut State, coordinator: usize) {
        let apply = self.call(state, coordinator);
        for site in &mut state.sites {
            let link = &mut site.links[coordinator];
            if let (Call::Sent, Some(apply)) = (std::mem::take(&mut link.call), &apply) {
                link.late.push(Late::Apply(apply.clone()));
            }
            if let SettleCall::Sent(settle) = std::mem::take(&mut link.settle) {
                link.late.push(Late::Settle(settle));
            }
            link.heard = Heard::Nothing;
        }
    }

    /// The client is done with its op, one way or another.
    pub fn next_op(&self, state: &mut State, coordinator: usize) {
        self.leave_round(state, coordinator);
        if !self.has_another_op(state, coordinator) {
            state.coordinators[coordinator] = Coordinator::new(coordinator, 0, Stage::Done);
            return;
        }
        let asker = &mut state.coordinators[coordinator];
        let fresh = Coordinator::new(coordinator, asker.op + 1, Stage::Idle);
        *asker = Coordinator { clock: asker.clock.clone(), ..fresh };
        self.start_if_any_time_will_do(state, coordinator);
    }

    pub fn hear(&self, before: &State, state: &mut State, coordinator: usize, inputs: &[Input], next: Next) {
        let Some(hearing) = self.hearing(before, coordinator) else { return };
        let (hearing, step) = hearing.hears(inputs);
        for input in inputs {
            if let Input::NotSent(site) = input {
                state.sites[*site].links[coordinator].call = Call::NotSent;
            }
        }
        match step {
            Step::Settle(plan) => self.settle_all(state, coordinator, &hearing, inputs, &plan),
            Step::SettleAgain(node) => self.settle_again(state, coordinator, node),
            Step::Decided(decided) => self.finish(state, coordinator, &hearing, decided),
            Step::Retry(retry) => self.retry(state, coordinator, &hearing, retry, next),
            Step::Disagree(disagreement) => {
                let keep = state.coordinators[coordinator].keep;
                let retry = Retry { above: disagreement.above, expiring_at_ms: None, keep };
                self.retry(state, coordinator, &hearing, retry, next);
            }
            Step::Wait | Step::NotApplied => self.give_up(state, coordinator, &hearing),
        }
    }

    fn settle_all(
        &self,
        state: &mut State,
        coordinator: usize,
        hearing: &Hearing,
        inputs: &[Input],
        plan: &SettlePlan,
    ) {
        let history = answer_of(state, coordinator, plan.winner).map(|seen| seen.history).unwrap_or_default();
        let hedged = inputs.contains(&Input::Hedge);
        state.coordinators[coordinator].stage = Stage::Settling { ballot: plan.ballot, hedged };
        for (index, site) in state.sites.iter_mut().enumerate() {
            let heard = inputs.iter().any(|i| [Input::Answer(index), Input::NotSent(index)].contains(i));
            site.links[coordinator].heard = match (heard, hearing.has_heard(index)) {
                (true, _) => Heard::Answer,
                (false, true) => Heard::Silence,
                (false, false) => Heard::Nothing,
            };
        }
        for (node, need) in &plan.sends {
            let settle = settle(plan.ballot, &history, *need);
            state.sites[node.0].links[coordinator].settle = SettleCall::Sent(settle);
        }
    }

    /// The control that settles a better answer, come late, at the ballot of the first winner; and then stops.
    fn settle_again(&self, state: &mut State, coordinator: usize, node: NodeIndex) {
        let ballot = state.coordinators[coordinator].ballot();
        let (Some(ballot), Some(seen)) = (ballot, answer_of(state, coordinator, node)) else { return };
        self.leave_round(state, coordinator);
        for site in &mut state.sites {
            let settle = settle(ballot, &seen.history, RepairNeed::State);
            site.links[coordinator].late.push(Late::Settle(settle));
        }
        state.coordinators[coordinator].stage = Stage::Done;
    }

    /// The client has its answer, and the nodes that differ get their repair.
    fn finish(&self, state: &mut State, coordinator: usize, hearing: &Hearing, decided: Decided) {
        let asked = self.asked(state, coordinator);
        let seen = answer_of(state, coordinator, decided.from);
        let seen = seen.unwrap_or_else(|| Seen::nothing(asked.command));
        state.ledger.answered(asked, decided.rule, &seen);
        let ballot = state.coordinators[coordinator].ballot();
        let ballot = ballot.or_else(|| accepted_by(state, coordinator, decided.from));
        let repairs = self.repairs(hearing, decided.rule);
        self.next_op(state, coordinator);
        for (node, need) in repairs {
            let settle = ballot.map(|ballot| Late::Settle(settle(ballot, &seen.history, need)));
            state.sites[node.0].links[coordinator].late.extend(settle);
        }
    }

    fn repairs(&self, hearing: &Hearing, rule: Rule) -> Repairs {
        if self.setup.control == Control::UnsettledRepair && rule == Rule::Quorum {
            return (0..self.setup.nodes).map(|node| (NodeIndex(node), RepairNeed::State)).collect();
        }
        hearing.repairs()
    }

    /// W3, R4: another round with another ballot and the same op id; or the client gives up.
    fn retry(&self, state: &mut State, coordinator: usize, hearing: &Hearing, retry: Retry, next: Next) {
        let Next::Again { now } = next else {
            return self.give_up(state, coordinator, hearing);
        };
        self.leave_round(state, coordinator);
        let asker = &mut state.coordinators[coordinator];
        asker.may_have_run |= hearing.outcome_if_abandoned() == Abandoned::Indeterminate;
        asker.keep = retry.keep && self.setup.control != Control::RetryWithoutKeep;
        retry.above.into_iter().for_each(|ballot| asker.clock.observe(ballot));
        self.start_round(state, coordinator, now);
    }

    /// W4: the client learns whether its op can have run.
    fn give_up(&self, state: &mut State, coordinator: usize, hearing: &Hearing) {
        let asked = self.asked(state, coordinator);
        let may_have_run = state.coordinators[coordinator].may_have_run
            || hearing.outcome_if_abandoned() == Abandoned::Indeterminate;
        let denies = !may_have_run || self.setup.control == Control::SilentMeansNotApplied;
        if denies && asked.command != Command::Read {
            state.ledger.not_applied(asked.client);
        }
        self.next_op(state, coordinator);
    }
}

fn settle(ballot: Ballot, history: &History, need: RepairNeed) -> Settle {
    Settle { ballot, history: history.clone(), with_state: need == RepairNeed::State }
}

fn answer_of(state: &State, coordinator: usize, node: NodeIndex) -> Option<Seen> {
    match &state.sites[node.0].links[coordinator].call {
        Call::Apply(ApplyAnswer::Ack(ack)) => Some(ack.reply.clone()),
        Call::Apply(ApplyAnswer::Absent { reply }) | Call::Read(ReadAnswer::Absent { reply }) => {
            Some(reply.clone())
        }
        Call::Read(ReadAnswer::Report { reply, .. }) => Some(reply.clone()),
        _ => None,
    }
}

fn accepted_by(state: &State, coordinator: usize, node: NodeIndex) -> Option<Ballot> {
    match &state.sites[node.0].links[coordinator].call {
        Call::Read(ReadAnswer::Report { standing, .. }) => standing.accepted,
        _ => None,
    }
}

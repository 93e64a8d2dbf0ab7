//! Calls that reach their nodes, and the commits that come about there, whether or not anybody learns of them.

use anarchoredis::protocol::{ApplyAnswer, Ballot, Position, Quorum, SettleAnswer};

use super::control::Control;
use super::node::{Apply, Seen, Settle};
use super::state::{Call, Late, SettleCall, Site, Stage, State};
use super::system::System;

impl System {
    pub fn deliver(&self, state: &mut State, site: usize, coordinator: usize) {
        if state.coordinators[coordinator].stage == Stage::Reading {
            let answer = state.sites[site].node.read();
            state.sites[site].links[coordinator].call = Call::Read(answer);
            return;
        }
        let Some(apply) = self.call(state, coordinator) else { return };
        let answer = self.apply(state, site, &apply);
        let link = &mut state.sites[site].links[coordinator];
        let is_absent = matches!(answer, ApplyAnswer::Absent { .. });
        if is_absent && self.setup.control == Control::ApplyDeliveredTwice {
            link.late.push(Late::Apply(apply));
        }
        link.call = Call::Apply(answer);
        commit_if_unanimous(state, coordinator);
    }

    pub fn apply(&self, state: &mut State, site: usize, apply: &Apply) -> ApplyAnswer<Seen> {
        let before = state.sites[site].node.clone();
        let answer = state.sites[site].node.apply(apply, self.over());
        state.ledger.on_change(&before, &state.sites[site].node);
        answer
    }

    pub fn deliver_settle(&self, state: &mut State, site: usize, coordinator: usize) {
        let link = &mut state.sites[site].links[coordinator];
        let SettleCall::Sent(settle) = std::mem::take(&mut link.settle) else { return };
        let answer = self.settle(state, site, &settle);
        let link = &mut state.sites[site].links[coordinator];
        link.settle = SettleCall::Answered(answer);
        if self.setup.repeats {
            link.late.push(Late::Settle(settle.clone()));
        }
        commit_if_held(state, &settle);
    }

    pub fn settle(&self, state: &mut State, site: usize, settle: &Settle) -> SettleAnswer {
        let before = state.sites[site].node.clone();
        let answer = state.sites[site].node.settle(settle);
        state.ledger.on_change(&before, &state.sites[site].node);
        commit_if_held(state, settle);
        answer
    }
}

/// W1 is a fact about the nodes: all N acknowledged the round with one position.
fn commit_if_unanimous(state: &mut State, coordinator: usize) {
    let ack = |site: &Site| match &site.links[coordinator].call {
        Call::Apply(ApplyAnswer::Ack(ack)) => Some(ack.standing.position),
        _ => None,
    };
    let positions: Vec<Option<Position>> = state.sites.iter().map(ack).collect();
    if positions[0].is_some() && positions.iter().all(|position| *position == positions[0]) {
        let Call::Apply(ApplyAnswer::Ack(ack)) = &state.sites[0].links[coordinator].call else { return };
        state.ledger.commit(&ack.reply.history);
    }
}

/// W2 is a fact too: M took the settle, and either hold it still or have said so to the round that sent it.
fn commit_if_held(state: &mut State, settle: &Settle) {
    let Settle { ballot, history, .. } = settle;
    let asker = state.coordinators.iter().position(|coordinator| coordinator.ballot() == Some(*ballot));
    let has_taken = |site: &&Site| {
        let accepted = SettleCall::Answered(SettleAnswer::Accepted);
        holds(site, *ballot) || asker.is_some_and(|asker| site.links[asker].settle == accepted)
    };
    let takers = state.sites.iter().filter(has_taken).count();
    if takers >= Quorum::of(state.sites.len()).majority() {
        state.ledger.commit(history);
    }
}

fn holds(site: &Site, ballot: Ballot) -> bool {
    site.node.0.as_ref().is_some_and(|record| record.accepted == Some(ballot))
}

//! What must hold in every state, and what must be reached in some.

use anarchoredis::protocol::{Ballot, Decided, Rule};
use stateright::Property;

use super::history::History;
use super::ledger::Violation;
use super::round::Step;
use super::script::Setup;
use super::state::{Late, SettleCall, State};
use super::system::System;

pub fn properties(setup: &Setup) -> Vec<Property<System>> {
    let mut properties = always();
    properties.extend(setup.reaches.iter().map(|rule| sometimes(*rule)));
    properties
}

fn always() -> Vec<Property<System>> {
    vec![
        Property::always("I1: a promise never goes down", |_, state: &State| {
            is_kept(state, Violation::Record)
        }),
        Property::always("I2: equal digests, equal ops", |_: &System, state: &State| digests_name_ops(state)),
        Property::always("I3: one ballot settles one position", |_, state: &State| {
            ballots_settle_once(state)
        }),
        Property::always("I4: a commit extends the one before", |_, state: &State| {
            is_kept(state, Violation::Commit)
        }),
        Property::always("I5: an op occurs once", |_, state: &State| is_kept(state, Violation::Twice)),
        Property::always("no answer is stale", |_, state: &State| is_kept(state, Violation::Stale)),
        Property::always("a reply is its history's", |_, state: &State| is_kept(state, Violation::Reply)),
        Property::always("W4: not applied stays so", |_, state: &State| is_kept(state, Violation::Denied)),
        Property::always("a lone coordinator decides in two rounds", |system: &System, state: &State| {
            state.ledger.violation.is_some() || system.is_decidable(state)
        }),
    ]
}

fn is_kept(state: &State, violation: Violation) -> bool {
    state.ledger.violation != Some(violation)
}

/// A rule decides somewhere: asked of what can happen next, so that no state need remember it.
fn sometimes(rule: Rule) -> Property<System> {
    match rule {
        Rule::W1 => Property::sometimes("W1 decides", |system, state| can_decide(system, state, Rule::W1)),
        Rule::W2 => Property::sometimes("W2 decides", |system, state| can_decide(system, state, Rule::W2)),
        Rule::R1 => Property::sometimes("R1 decides", |system, state| can_decide(system, state, Rule::R1)),
        Rule::R2 => Property::sometimes("R2 decides", |system, state| can_decide(system, state, Rule::R2)),
        Rule::R3 => Property::sometimes("R3 decides", |system, state| can_decide(system, state, Rule::R3)),
        Rule::Quorum => Property::sometimes("the quorum level decides", |system, state| {
            can_decide(system, state, Rule::Quorum)
        }),
    }
}

fn can_decide(system: &System, state: &State, by: Rule) -> bool {
    let decides = |step: &Step| matches!(step, Step::Decided(Decided { rule, .. }) if *rule == by);
    (0..state.coordinators.len())
        .filter_map(|coordinator| system.hearing(state, coordinator))
        .any(|hearing| hearing.outcomes(system.setup.not_sent).iter().any(|(_, step)| decides(step)))
}

/// I2, of what the nodes hold.
fn digests_name_ops(state: &State) -> bool {
    let histories: Vec<&History> =
        state.sites.iter().filter_map(|site| Some(&site.node.0.as_ref()?.history)).collect();
    let agree = |a: &History, b: &History| a.position() != b.position() || a.same_ops(b);
    histories.iter().all(|a| histories.iter().all(|b| agree(a, b)))
}

/// I3, of what was settled on the nodes and of what is on its way to be. A settle goes to all nodes and needs no more
/// than M, so where two were ever sent at one ballot there is a state in which both are still to be seen.
fn ballots_settle_once(state: &State) -> bool {
    let settles = settles(state);
    settles.iter().all(|(ballot, history)| {
        let same =
            |(other, held): &(Ballot, History)| other != ballot || held.position() == history.position();
        settles.iter().all(same)
    })
}

fn settles(state: &State) -> Vec<(Ballot, History)> {
    let mut settles = Vec::new();
    for site in &state.sites {
        let record = site.node.0.as_ref();
        settles.extend(record.and_then(|record| Some((record.accepted?, record.settled_history()))));
        for link in &site.links {
            let current = match &link.settle {
                SettleCall::Sent(settle) => Some(settle),
                SettleCall::None | SettleCall::Answered(_) => None,
            };
            let late = link.late.iter().filter_map(|late| match late {
                Late::Settle(settle) => Some(settle),
                Late::Apply(_) => None,
            });
            settles.extend(late.chain(current).map(|settle| (settle.ballot, settle.history.clone())));
        }
    }
    settles
}

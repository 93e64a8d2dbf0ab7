//! Model checking of the real decisions: [stateright] visits every state of small systems in which the very rounds of
//! `anarchoredis::protocol` (`WriteRound`, `ReadRound`, `BallotClock`) drive model nodes.
//!
//! `tests/protocol_search.rs` draws long random schedules; this search has short ones, and leaves none out.
//! `ANARCHO_EXHAUSTIVE=1 cargo test --release --test exhaustive` adds the large setups (five minutes on two cores).
//!
//! # What is explored
//!
//! `setups.rs` lists the setups: one to three nodes, one to three coordinators with one or two ops each (append, an
//! append that may fail, pop, the read of each kind), one or two rounds for each op, a register that is absent or
//! settled at first. In each, all interleavings of: calls that reach their nodes, in any order and at any time, also long
//! after their rounds; answers that arrive, or never do; the hedge delay and the time-out at any moment; calls that turn
//! out never to have left; retries, clients that give up, and the repairs that follow a decision. Where a setup
//! `repeats`, settles arrive twice, and so do applies with `keep`. A call that is lost, and a coordinator that
//! stops for ever, need no step of their own: what they would do is just not done from there on, and every
//! property is one of every state.
//!
//! # What must hold
//!
//! In every state (`properties.rs`): I1-I5, linearizability, the honesty of "not applied" (W4), and that a coordinator that
//! comes alone, with a clock behind all others, and reaches no more than a majority, any majority, decides a slow
//! read within two rounds (three where two nodes are all: the first NACK ends the round, before the other could name a
//! higher ballot), with a history that extends all that was committed. A commit counts from the moment that it
//! is a fact about the nodes, whether or not anybody learns of it. In some state of a setup: each rule that its row names decides.
//!
//! Linearizability is shown by the argument of `tests/model/checker.rs` (see `ledger.rs`), not by stateright's tester:
//! the tester keeps who was told what in which order, and states that differ in nothing else would all count. The
//! argument needs one committed history, and asks more than linearizability: that answers agree with commits of which
//! nobody was told.
//!
//! # What is abstracted, and why that is sound
//!
//! - *Which node is which.* The rules treat all nodes alike, and choose the first of equals only. So states are
//!   kept with their nodes sorted (`state.rs`); in a counter-example a node's number is its place at that step.
//! - *When an answer is heard.* An answer that makes a round wait changes nothing else, so it may be heard later,
//!   together with the one that makes the round act. A step hears a set of answers (`round.rs`), and the round is made
//!   anew from what it has heard.
//! - *A time-out* comes to all silent nodes at once. With three nodes a part of them leads to no other end.
//! - *When an append is sent:* at once, and its calls linger. Its own answer is recent whenever that is (`driver.rs`).
//! - *Calls that can do nothing more* are forgotten: below the node's promise, or a settle that the node holds.
//!   A settle that is delivered twice is one of these, unless it asks for state; plain reads are not
//!   repeated at all, since a second copy that is heard first is the same as a first copy that is slow.
//! - *Time.* Only the order of ballots counts. A setup names the time at which each coordinator starts; another round takes
//!   the next ballot above what its clock has seen. Clocks that jump are left to the random search.
//! - *Digests* name the ops themselves, so that no two histories share one and I2 holds in every state unless histories are
//!   exchanged; the order of equals is that of the coordinators.
//! - *A client that was told "indeterminate"* is one that stopped, unless it has another op.
//!
//! # Controls
//!
//! Each unsound shortcut is a switch in the driver (`control.rs`), and must be caught. One needs more than
//! these bounds: *R1 without comparing promises* takes four ballots above a settled register, three of them for ops
//! that end without an answer, and a read. `tests/model/traces.rs` tells it, and `tests/protocol_search.rs` catches it.
//! *Older data* is no data here.

#[path = "exhaustive/bare.rs"]
mod bare;
#[path = "exhaustive/control.rs"]
mod control;
#[path = "exhaustive/delivery.rs"]
mod delivery;
#[path = "exhaustive/driver.rs"]
mod driver;
#[path = "exhaustive/history.rs"]
mod history;
#[path = "exhaustive/ledger.rs"]
mod ledger;
#[path = "exhaustive/likeness.rs"]
mod likeness;
#[path = "exhaustive/lone.rs"]
mod lone;
#[path = "exhaustive/node.rs"]
mod node;
#[path = "exhaustive/properties.rs"]
mod properties;
#[path = "exhaustive/round.rs"]
mod round;
#[path = "exhaustive/script.rs"]
mod script;
#[path = "exhaustive/setups.rs"]
mod setups;
#[path = "exhaustive/state.rs"]
mod state;
#[path = "exhaustive/system.rs"]
mod system;

/// The node of the random search.
#[allow(dead_code, reason = "only its node, its histories and its random numbers are used here")]
#[path = "model"]
mod reference {
    pub mod history;
    pub mod node;
    pub mod rng;
}

use std::env;
use std::time::Instant;

use setups::Searched;
use stateright::{Checker, HasDiscoveries, Model};
use system::System;

/// Visits every state of each setup, depth first: the states that wait to be visited stay few.
fn search(setups: Vec<Searched>) {
    let mut miscounted = Vec::new();
    for (name, expected, setup) in setups {
        let began = Instant::now();
        let checker = System::new(setup).checker().threads(2).spawn_dfs().join();
        let states = checker.unique_state_count();
        println!("{name}: {states} states, {} steps, {:.1?}", checker.state_count(), began.elapsed());
        checker.assert_properties();
        if states != expected {
            miscounted.push(format!("{name}: {states} states, not {expected}"));
        }
    }
    assert!(miscounted.is_empty(), "{miscounted:#?}");
}

#[test]
fn no_state_within_the_bounds_breaks_an_invariant_or_linearizability() {
    let large = env::var_os("ANARCHO_EXHAUSTIVE").map(|_| setups::large());
    search(setups::small().into_iter().chain(large.into_iter().flatten()).collect());
}

#[test]
fn every_unsound_shortcut_within_the_bounds_is_caught() {
    for (control, setup) in setups::unsound() {
        let checker =
            System::new(setup).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let always = checker.model().properties().into_iter().map(|property| property.name);
        let broken: Vec<_> = always.filter(|name| checker.discovery(name).is_some()).collect();
        println!("{control:?}: {broken:?} after {} states", checker.unique_state_count());
        assert!(!broken.is_empty(), "{control:?} is not caught");
        checker.assert_any_discovery(broken[0]);
    }
}

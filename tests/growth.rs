//! A search for counter-examples to what grows on the protocol: restarts and rejoins, purge, expiry, membership, deltas. `tests/growth/mod.rs`
//! says what is modelled and what was found.
//!
//! `ANARCHO_SCHEDULES` sets how many schedules of the sound rules are run, `ANARCHO_SEED` the first seed. A violation is printed with
//! its seed and trace, and `ANARCHO_SEED=<seed> ANARCHO_SCHEDULES=1` runs it alone.

#[path = "growth/mod.rs"]
mod growth;
#[path = "model/rng.rs"]
mod rng;

use std::env;

use growth::{Control, DeltaControl, Topic, run, run_deltas, trace};

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn search(topic: Topic, nodes: usize, control: Control, schedules: u64) {
    let first = from_env("ANARCHO_SEED", 1);
    let schedules = from_env("ANARCHO_SCHEDULES", schedules);
    let (mut answered, mut ticks, mut purged, mut changed, mut stuck) = (0, 0, 0, 0, 0);
    for seed in first..first + schedules {
        let tally = run(seed, nodes, topic, control).unwrap_or_else(|violation| {
            let lines = trace(seed, nodes, topic, control).join("\n");
            panic!("{topic:?}, {control:?}, {nodes} nodes, seed {seed}: {violation}\n{lines}");
        });
        answered += tally.answered;
        ticks += tally.ticks;
        purged += tally.purged;
        changed += tally.changed;
        stuck += u64::from(tally.stuck);
    }
    println!(
        "{topic:?}, {nodes} nodes: {schedules} schedules from seed {first}: {answered} ops answered in {ticks} ticks, {purged} records purged, {changed} changes of membership, {stuck} left without a majority, no violation"
    );
    assert!(
        schedules < 10 || answered > schedules,
        "hardly anything is answered: the schedules show nothing"
    );
}

/// A control, and a schedule in which it is caught soon: the searches that found them are in the module's docs.
type Caught = (Control, usize, u64);

/// Each control must be caught within a few schedules of the one that is known; `ANARCHO_CONTROL_SEED` starts elsewhere.
fn every_control_is_caught(topic: Topic, controls: &[Caught]) {
    let most = from_env("ANARCHO_CONTROL_SCHEDULES", 200);
    let only = env::var("ANARCHO_CONTROL").ok();
    for (control, nodes, known) in controls.iter().copied() {
        if only.as_ref().is_some_and(|name| *name != format!("{control:?}")) {
            continue;
        }
        let first = from_env("ANARCHO_CONTROL_SEED", known);
        let nodes = from_env("ANARCHO_NODES", nodes as u64) as usize;
        let caught =
            (first..first + most).find_map(|seed| Some((seed, run(seed, nodes, topic, control).err()?)));
        let Some((seed, violation)) = caught else {
            panic!("{control:?}: not caught in {most} schedules from seed {first}");
        };
        println!(
            "{topic:?}, {control:?}, {nodes} nodes, seed {seed}: {}",
            violation.lines().next().unwrap_or("")
        );
        if only.is_some() {
            println!("{}", trace(seed, nodes, topic, control).join("\n"));
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_while_servers_restart_and_rejoin() {
    search(Topic::Fences, 3, Control::Sound, 1_500);
}

#[test]
fn the_same_with_five_nodes_of_which_two_may_forget() {
    search(Topic::Fences, 5, Control::Sound, 1_000);
}

#[test]
fn every_unsound_rejoin_is_caught() {
    every_control_is_caught(
        Topic::Fences,
        &[
            (Control::RolledBackVotes, 3, 100),
            (Control::PlainCopies, 3, 6980),
            (Control::CountsAwayAsFilled, 3, 24250),
        ],
    );
}

#[test]
fn no_purge_brings_a_deleted_value_back() {
    search(Topic::Purge, 3, Control::Sound, 1_500);
}

#[test]
fn nor_does_it_with_five_nodes_of_which_two_may_forget() {
    search(Topic::Purge, 5, Control::Sound, 500);
}

#[test]
fn every_unsound_purge_is_caught() {
    every_control_is_caught(
        Topic::Purge,
        &[
            (Control::PurgeByDeadlinesAlone, 3, 48980),
            (Control::PurgeByMajority, 3, 473),
            (Control::PurgeWithoutAge, 3, 6730),
            (Control::AwayVotes, 3, 473),
            (Control::FencesTheAway, 3, 13719),
            (Control::KeepsPurged, 3, 1765),
            (Control::DeadlineStandsStill, 3, 17),
        ],
    );
}

#[test]
fn nothing_is_lost_where_no_majority_can_prove_that_it_remembers_and_all_of_it_is_there() {
    search(Topic::Recovery, 3, Control::Sound, 1_500);
}

#[test]
fn every_unsound_recovery_is_caught() {
    every_control_is_caught(
        Topic::Recovery,
        &[(Control::RecoversFromSome, 3, 1030), (Control::RecoversByVersion, 3, 190)],
    );
}

#[test]
fn nothing_acknowledged_is_lost_while_members_come_and_go() {
    search(Topic::Members, 4, Control::Sound, 1_500);
}

#[test]
fn the_same_with_three_to_five_members() {
    search(Topic::Members, 5, Control::Sound, 1_000);
}

#[test]
fn every_unsound_change_of_membership_is_caught() {
    every_control_is_caught(
        Topic::Members,
        &[
            (Control::VotesUnfilled, 4, 2450),
            (Control::FilledBefore, 4, 1),
            (Control::ChangesUnswept, 5, 500),
            (Control::TwoAtOnce, 5, 1250),
            (Control::OldMajority, 4, 1),
            (Control::OlderCalls, 5, 5700),
        ],
    );
}

#[test]
fn a_key_expires_once_whatever_the_clocks_say() {
    search(Topic::Expiry, 3, Control::Sound, 1_500);
}

#[test]
fn every_unsound_expiry_is_caught() {
    every_control_is_caught(
        Topic::Expiry,
        &[
            (Control::OwnClocks, 3, 1),
            (Control::RelativeTtl, 3, 1),
            (Control::NoExpiringAnswer, 3, 1),
            (Control::DueByMajority, 3, 14640),
        ],
    );
}

#[test]
fn a_node_that_took_a_delta_holds_what_its_history_gives() {
    let (first, schedules) = (from_env("ANARCHO_SEED", 1), from_env("ANARCHO_SCHEDULES", 20_000));
    let one = |seed| {
        run_deltas(seed, DeltaControl::Sound).unwrap_or_else(|broken| panic!("deltas, seed {seed}: {broken}"))
    };
    let deltas: u64 = (first..first + schedules).map(one).sum();
    println!("deltas: {schedules} schedules from seed {first}: {deltas} deltas taken, no violation");
    assert!(deltas > schedules / 4, "hardly any delta is taken: the schedules show nothing");
}

#[test]
fn every_unsound_delta_is_caught() {
    for control in DeltaControl::UNSOUND {
        let caught = (1..=20_000).find_map(|seed| Some((seed, run_deltas(seed, control).err()?)));
        let (seed, broken) = caught.unwrap_or_else(|| panic!("{control:?} is not caught"));
        println!("deltas, {control:?}: after {seed} schedules: {broken}");
    }
}

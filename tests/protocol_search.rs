//! A search for counter-examples: random schedules of the real rounds over model nodes, with I1-I5 and
//! linearizability checked at every event.
//!
//! `ANARCHO_SCHEDULES` sets how many schedules of the real rules are run, `ANARCHO_SEED` the first seed. A
//! violation is printed with its seed and trace, and `ANARCHO_SEED=<seed> ANARCHO_SCHEDULES=1` runs it alone.

mod model;

use std::env;

use model::{Control, run, trace};

const NODES: usize = 3;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs the schedules of the real rules; the events and the ops that they committed.
fn search(nodes: usize, control: Control, schedules: u64, first: u64) -> (u64, u64) {
    let (mut events, mut ops) = (0, 0);
    for seed in first..first + schedules {
        let tally = run(seed, nodes, control).unwrap_or_else(|violation| {
            let lines = trace(seed, nodes, control).join("\n");
            panic!("{control:?}, {nodes} nodes, seed {seed}: {}\n{lines}", violation.0);
        });
        events += tally.events;
        ops += tally.commits;
    }
    println!(
        "{control:?}, {nodes} nodes: {schedules} schedules from seed {first}: {events} events, {ops} ops committed, no violation"
    );
    (events, ops)
}

#[test]
fn no_schedule_breaks_an_invariant_or_linearizability() {
    let schedules = from_env("ANARCHO_SCHEDULES", 25_000);
    let (_, ops) = search(NODES, Control::Sound, schedules, from_env("ANARCHO_SEED", 1));
    assert!(ops > schedules / 2, "hardly anything committed: the schedules show nothing");
}

#[test]
fn the_rules_hold_over_digests_without_ballots_too() {
    search(NODES, Control::SoundOverIds, from_env("ANARCHO_SCHEDULES", 3_000), from_env("ANARCHO_SEED", 1));
}

#[test]
fn the_rules_hold_for_one_two_four_and_five_nodes() {
    for nodes in [1, 2, 4, 5] {
        search(nodes, Control::Sound, from_env("ANARCHO_SCHEDULES", 1_500), from_env("ANARCHO_SEED", 1));
    }
}

#[test]
fn every_unsound_shortcut_is_caught() {
    let most = from_env("ANARCHO_CONTROL_SCHEDULES", 20_000);
    let mut uncaught = Vec::new();
    let only = env::var("ANARCHO_CONTROL").ok();
    for control in
        Control::UNSOUND.into_iter().filter(|c| only.as_ref().is_none_or(|name| *name == format!("{c:?}")))
    {
        let caught = (1..=most).find_map(|seed| Some((seed, run(seed, NODES, control).err()?)));
        match caught {
            Some((seed, violation)) => {
                println!("{control:?}: after {seed} schedules: {}", violation.0);
                if only.is_some() {
                    println!("{}", trace(seed, NODES, control).join("\n"));
                }
            }
            None => uncaught.push(control),
        }
    }
    assert!(uncaught.is_empty(), "not caught in {most} schedules: {uncaught:?}");
}

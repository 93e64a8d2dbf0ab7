//! A search for counter-examples: random schedules of the real rounds over model nodes, with I1-I5 and linearizability checked
//! at every event.
//!
//! `ANARCHO_SCHEDULES` sets how many schedules of the real rules are run, `ANARCHO_SEED` the first seed. A violation is
//! printed with its seed and trace, and `ANARCHO_SEED=<seed> ANARCHO_SCHEDULES=1` runs it alone.

mod model;

use std::env;

use model::{Control, run, trace};

const NODES: usize = 3;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_schedule_breaks_an_invariant_or_linearizability() {
    let (schedules, first) = (from_env("ANARCHO_SCHEDULES", 6_000), from_env("ANARCHO_SEED", 1));
    let (mut events, mut ops) = (0, 0);
    for seed in first..first + schedules {
        match run(seed, NODES, Control::Sound) {
            Ok(tally) => {
                events += tally.events;
                ops += tally.commits;
            }
            Err(violation) => {
                let lines = trace(seed, NODES, Control::Sound).join("\n");
                panic!("seed {seed}: {}\n{lines}", violation.0);
            }
        }
    }
    println!("{schedules} schedules from seed {first}: {events} events, {ops} ops committed, no violation");
    assert!(ops > schedules / 2, "hardly anything committed: the schedules show nothing");
}

#[test]
fn every_unsound_shortcut_is_caught() {
    let most = from_env("ANARCHO_CONTROL_SCHEDULES", 20_000);
    let mut uncaught = Vec::new();
    for control in Control::UNSOUND {
        let caught = (1..=most).find_map(|seed| Some((seed, run(seed, NODES, control).err()?)));
        match caught {
            Some((seed, violation)) => println!("{control:?}: after {seed} schedules: {}", violation.0),
            None => uncaught.push(control),
        }
    }
    assert!(uncaught.is_empty(), "not caught in {most} schedules: {uncaught:?}");
}

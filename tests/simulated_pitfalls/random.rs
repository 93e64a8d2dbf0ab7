//! The naive coordinator in the simulator's own random schedules: the same clients, weather, faults and judge.
//!
//! It is spared a lot: its nodes never forget, no call of its own arrives twice, and a failed command may have happened or not.

use std::sync::Arc;

use crate::naive::Naive;
use crate::rig::in_virtual_time;
use crate::simulated::faults::addresses;
use crate::simulated::history::History;
use crate::simulated::run::{at_the_end, pass_judgement, work};
use crate::simulated::wire::Party;
use crate::simulated::workload::{keys, registers};
use crate::simulated::world::World;
use crate::simulated::{Control, Report, run, trace};

const SCHEDULES: u64 = 200;

/// How many schedules went wrong, and how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wrong {
    /// Clients were told what cannot have happened.
    told: u64,
    /// Healed nodes hold different values.
    differing: u64,
    /// One of the two.
    either: u64,
}

impl Wrong {
    fn add(&mut self, told: bool, differing: bool) {
        self.told += u64::from(told);
        self.differing += u64::from(differing);
        self.either += u64::from(told || differing);
    }
}

fn coordinator(world: &Arc<World>, place: usize) -> Naive {
    Naive::new(&addresses(world.weather.nodes), Arc::new(Party::new(world, place)))
}

async fn heal(world: Arc<World>) {
    let healer = coordinator(&world, world.weather.coordinators);
    for key in registers(world.weather.keys).flat_map(|register| keys(&register)) {
        healer.heal(&key).await;
    }
}

/// Whether this schedule goes wrong for the naive one: what clients are told, what nodes hold.
fn naive_run(seed: u64) -> (bool, bool) {
    in_virtual_time(async || {
        let world = World::new(seed, Control::Sound, false);
        world.healer.set(|world| Box::pin(heal(world))).expect("the first healer");
        let coordinators: Vec<Naive> =
            (0..world.weather.coordinators).map(|place| coordinator(&world, place)).collect();
        let history = Arc::new(History::default());
        work(&world, &history, &coordinators).await;
        let differing = at_the_end(&world, &history, &coordinators[0]).await;
        let history = Arc::try_unwrap(history).expect("nobody works any more");
        let mut report = Report::default();
        pass_judgement(&world, history, &mut report);
        (report.violation.is_some(), differing.is_some())
    })
}

fn share(count: u64) -> f64 {
    count as f64 * 100.0 / SCHEDULES as f64
}

#[test]
fn the_schedules_that_break_the_naive_coordinator_do_not_break_ours() {
    let (mut naive, mut ours) = (Wrong::default(), Vec::new());
    for seed in 1..=SCHEDULES {
        let (told, differing) = naive_run(seed);
        naive.add(told, differing);
        ours.extend(run(seed, Control::Sound).violation.map(|violation| (seed, violation)));
    }
    println!("  schedules       {SCHEDULES} from seed 1");
    println!("  naive wrong     {:.0} %", share(naive.either));
    println!("    told wrong    {:.0} %", share(naive.told));
    println!("    not alike     {:.0} %", share(naive.differing));
    println!("  ours wrong      {}", ours.len());
    assert!(share(naive.told) > 20.0 && share(naive.differing) > 20.0, "the weather is too kind: {naive:?}");
    if let Some((seed, violation)) = ours.first() {
        panic!("seed {seed}: {violation}\n{}", trace(*seed, Control::Sound).1);
    }
}

//! Deterministic simulation of the whole system: thousands of schedules in virtual time, each from a seed, each judged.
//!
//! `ANARCHO_SEEDS` sets how many seeds are run, `ANARCHO_SEED` the first. A violation is printed with its seed and its trace, and
//! `ANARCHO_SEED=<seed> ANARCHO_SEEDS=1` runs it alone. `make simulate SEEDS=n` runs as many as wanted on all cores.

mod command_support;
mod linearizable;
mod server_model;
mod simulated;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulated::{Control, Report, run, trace};

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What many runs add up to.
#[derive(Debug, Default)]
struct Total {
    schedules: u64,
    histories: u64,
    undecided: u64,
    acknowledged: u64,
    indeterminate: u64,
    not_applied: u64,
    virtual_us: u64,
    violations: Vec<(u64, String)>,
}

impl Total {
    fn add(&mut self, seed: u64, report: Report) {
        self.schedules += 1;
        self.histories += report.histories;
        self.undecided += report.undecided;
        self.acknowledged += report.counts.acknowledged;
        self.indeterminate += report.counts.indeterminate;
        self.not_applied += report.counts.not_applied;
        self.virtual_us += report.virtual_us;
        self.violations.extend(report.violation.map(|violation| (seed, violation)));
    }
}

/// Repeats until there is nothing left to do.
fn on_all_cores(work: impl Fn() -> bool + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| while work() {});
        }
    });
}

/// Runs the seeds.
fn simulate(first: u64, seeds: u64) -> Total {
    let (next, total) = (AtomicU64::new(first), Mutex::new(Total::default()));
    let began = Instant::now();
    on_all_cores(|| {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + seeds {
            return false;
        }
        let report = run(seed, Control::Sound);
        total.lock().expect("no run panics").add(seed, report);
        true
    });
    let total = total.into_inner().expect("no run panics");
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "  schedules       {} from seed {first}, {:.0} a minute",
        total.schedules,
        total.schedules as f64 / minutes
    );
    println!("  histories       {}, {} of them too hard to judge", total.histories, total.undecided);
    println!(
        "  operations      {} acknowledged, {} indeterminate, {} not applied",
        total.acknowledged, total.indeterminate, total.not_applied
    );
    println!("  virtual time    {:.2} h", total.virtual_us as f64 / 3.6e9);
    println!("  violations      {}", total.violations.len());
    total.violations.iter().for_each(|(seed, violation)| {
        println!("  seed {seed}: {}", violation.lines().next().unwrap_or_default())
    });
    total
}

#[test]
fn no_schedule_loses_doubles_or_reorders_anything() {
    let total = simulate(from_env("ANARCHO_SEED", 1), from_env("ANARCHO_SEEDS", 300));
    if let Some((seed, violation)) = total.violations.first() {
        let (_, lines) = trace(*seed, Control::Sound);
        panic!("seed {seed}: {violation}\n{lines}\nseed {seed}: {violation}");
    }
    assert!(total.undecided * 1_000 <= total.histories, "the checker judges too little: {total:?}");
    assert!(total.acknowledged > total.schedules * 10, "hardly anything was acknowledged: {total:?}");
}

#[test]
fn one_seed_is_one_run_byte_for_byte() {
    for seed in 1..=from_env("ANARCHO_SAME_SEEDS", 20) {
        let ((_, first), (_, second)) = (trace(seed, Control::Sound), trace(seed, Control::Sound));
        assert!(first.lines().count() > 50, "seed {seed} has a short trace: {first}");
        assert!(first == second, "seed {seed} ran in two ways: {}", first_difference(&first, &second));
    }
}

fn first_difference(one: &str, other: &str) -> String {
    let lines = one.lines().zip(other.lines()).enumerate();
    let differing = lines.into_iter().find(|(_, (one, other))| one != other);
    differing.map_or_else(
        || "in length".to_owned(),
        |(number, (one, other))| format!("line {number}:\n{one}\n{other}"),
    )
}

/// Which schedule shows the control's harm first, of as many as are asked for.
fn caught(control: Control) {
    let most = from_env("ANARCHO_CONTROL_SEEDS", 1_500);
    let (next, found) = (AtomicU64::new(1), Mutex::new(None::<(u64, String)>));
    on_all_cores(|| {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed > most || found.lock().expect("no run panics").is_some() {
            return false;
        }
        if let Some(violation) = run(seed, control).violation {
            let mut found = found.lock().expect("no run panics");
            if found.as_ref().is_none_or(|(other, _)| seed < *other) {
                *found = Some((seed, violation));
            }
        }
        true
    });
    let found = found.into_inner().expect("no run panics");
    let Some((seed, violation)) = found else { panic!("{control:?} is not caught in {most} schedules") };
    println!("{control:?}: after {seed} schedules: {}", violation.lines().next().unwrap_or_default());
}

#[test]
fn an_apply_that_a_network_delivers_twice_in_its_first_round_is_caught() {
    caught(Control::FirstApplyTwice);
}

#[test]
fn nodes_that_forget_which_ops_they_ran_are_caught() {
    caught(Control::OpsForgotten);
}

#[test]
fn nodes_that_forget_when_keys_are_due_are_caught() {
    caught(Control::ExpiriesForgotten);
}

#[test]
fn nodes_that_forget_what_they_promised_are_caught() {
    caught(Control::PromisesForgotten);
}

#[test]
fn a_node_that_votes_with_older_data_is_caught() {
    caught(Control::OlderDataVotes);
}

#[test]
fn a_majority_that_forgets_is_caught() {
    caught(Control::MajorityForgets);
}

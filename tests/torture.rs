//! The whole system against real faults on real servers, next to what others lose under the same.
//!
//! `make torture MINUTES=10` runs everything with fresh seeds and leaves a page and a timeline in `target/torture`; without
//! `ANARCHO_TORTURE_MINUTES` a short part runs with fixed seeds. The minutes are those in which there are faults. `ANARCHO_SEED` is the first
//! seed; the choice of operations and faults follows from it, their timing does not. `ANARCHO_TORTURE_OURS=1` leaves the other systems out,
//! `ANARCHO_TORTURE_ONLY=members` takes only seeds in which members change. What breaks a promise is told at once and at the end, with its seed;
//! the logs and histories of its episode stay in its folder, and the run goes on.

#[path = "expiry_clocks/clock.rs"]
mod clock;
mod harness;
mod linearizable;
mod naive;
mod workload;

#[path = "torture/beside.rs"]
mod beside;
#[path = "torture/book.rs"]
mod book;
#[path = "torture/episode.rs"]
mod episode;
#[path = "torture/faults.rs"]
mod faults;
#[path = "torture/histories.rs"]
mod histories;
#[path = "torture/model.rs"]
mod model;
#[path = "torture/nemesis.rs"]
mod nemesis;
#[path = "torture/news.rs"]
mod news;
#[path = "torture/plain.rs"]
mod plain;
#[path = "torture/profile.rs"]
mod profile;
#[path = "torture/program.rs"]
mod program;
#[path = "torture/queue.rs"]
mod queue;
#[path = "torture/report.rs"]
mod report;
#[path = "torture/row.rs"]
mod row;
#[path = "torture/sentinel.rs"]
mod sentinel;
#[path = "torture/site.rs"]
mod site;
#[path = "torture/store.rs"]
mod store;
#[path = "torture/timeline.rs"]
mod timeline;

use std::env;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use beside::{System, same_faults, set_add_of_2013};
use episode::{OURS, Plan};
use futures_util::FutureExt;
use report::{Report, table};
use sentinel::Promise;
use site::Persistence;

const NAIVE: &str = "naive majority";
/// How long an episode's faults go on.
const EPISODE: Duration = Duration::from_secs(75);
const SHORTEST: Duration = Duration::from_secs(20);

fn from_env(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target");
    target.join("torture")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_set_add_test_of_2013_loses_nothing() {
    let row = set_add_of_2013(OURS, System::ours().await, 2013).await;
    println!("{}", table(std::slice::from_ref(&row)));
    assert!(row.is_clean(), "{row:?}");
    assert!(row.acked > beside::ADDS / 2, "the majority went on: {row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_with_sentinel_loses_what_it_acknowledged_in_the_test_of_2013() {
    let promise = Promise::Plain;
    let row = set_add_of_2013(promise.system(), System::sentinel(promise).await, 2013).await;
    println!("{}", table(std::slice::from_ref(&row)));
    assert!(row.lost > 0, "the control lost nothing: {row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_naive_coordinator_breaks_its_promises_under_faults_that_this_one_bears() {
    let lasts = Duration::from_secs(8);
    let folder = folder().join("short");
    let (ours, naive) = tokio::join!(
        async { same_faults(OURS, System::ours().await, 4, lasts, folder.join("ours")).await },
        async { same_faults(NAIVE, System::naive().await, 4, lasts, folder.join("naive")).await },
    );
    println!("{}{}", table(&ours), table(&naive));
    for row in &ours {
        assert!(row.is_clean(), "{row:?}");
    }
    assert!(naive.iter().any(|row| row.violations() > 0), "the control broke nothing: {naive:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_stale_or_out_of_order_under_faults_of_every_kind() {
    let mut report = Report::default();
    let Some(minutes) = from_env("ANARCHO_TORTURE_MINUTES") else {
        let plan = Plan {
            nodes: 5,
            version: harness::Version::V7_0,
            persistence: Persistence::Everysec,
            changing_members: false,
            pause_ms: 120,
            ..Plan::of(from_env("ANARCHO_SEED").unwrap_or(9), Duration::from_secs(10))
        };
        one_episode(&mut report, plan, &folder().join("short")).await;
        finish(&report, &folder().join("short"));
        return;
    };
    let time = Duration::from_secs(60 * minutes);
    let mut seed = from_env("ANARCHO_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let only_members = env::var("ANARCHO_TORTURE_ONLY").is_ok_and(|what| what == "members");
    println!("{minutes} minutes, first seed {seed}; the page will be in {}", folder().display());
    if env::var_os("ANARCHO_TORTURE_OURS").is_none() {
        beside(&mut report, seed, minutes).await;
    }
    let began = Instant::now();
    // An episode that breaks a promise is told with its seed, its folder stays, and the next one begins.
    while report.suffered() < time && began.elapsed() < time * 2 {
        let left = time.saturating_sub(report.suffered()).max(SHORTEST);
        let plan = Plan::of(seed, EPISODE.min(left));
        seed += 1;
        if plan.changing_members || !only_members {
            one_episode(&mut report, plan, &folder()).await;
            write(&report, &folder());
        }
    }
    finish(&report, &folder());
}

/// Everybody under the test of 2013 and under the same faults.
async fn beside(report: &mut Report, seed: u64, minutes: u64) {
    let lasts = Duration::from_secs((minutes * 6).clamp(10, 40));
    let promises: &[Promise] =
        if minutes < 4 { &[Promise::Plain] } else { &[Promise::Plain, Promise::MinReplicas, Promise::Wait] };
    let mut rows = vec![
        set_add_of_2013(OURS, System::ours().await, seed).await,
        set_add_of_2013(NAIVE, System::naive().await, seed).await,
    ];
    for promise in promises {
        rows.push(set_add_of_2013(promise.system(), System::sentinel(*promise).await, seed).await);
    }
    let folder = folder().join("theirs");
    for (name, system) in [(OURS, System::ours().await), (NAIVE, System::naive().await)] {
        rows.extend(same_faults(name, system, seed, lasts, folder.join(name)).await);
    }
    let promise = Promise::Plain;
    let system = System::sentinel(promise).await;
    rows.extend(same_faults(promise.system(), system, seed, lasts, folder.join("sentinel")).await);
    println!("{}", table(&rows));
    for row in &mut rows {
        row.workload = format!("{} (side by side)", row.workload);
        let ours = row.system == OURS;
        assert!(!ours || row.is_clean(), "{row:?}");
        report.add(row);
    }
    for theirs in [NAIVE, Promise::Plain.system()] {
        let broke = report.rows.iter().any(|row| row.system == theirs && row.violations() > 0);
        assert!(broke, "{theirs} broke nothing: what does this test see?");
    }
}

async fn one_episode(report: &mut Report, plan: Plan, folder: &Path) {
    println!("{}", plan.told());
    let folder = folder.join(format!("seed-{}", plan.seed));
    // What an earlier run of this seed left.
    let _ = fs::remove_dir_all(&folder);
    let ran = AssertUnwindSafe(episode::run(plan.clone(), folder.clone())).catch_unwind().await;
    let Ok(outcome) = ran else {
        println!("  the episode did not come to its end; what is above says why");
        report.broken_off.push(plan);
        return;
    };
    let acked: u64 = outcome.rows.iter().map(|row| row.acked).sum();
    println!("  {acked} acknowledged, {} faults in {:.0?}", outcome.faults.len(), outcome.lasted);
    for row in &outcome.rows {
        report.add(row);
    }
    if outcome.is_clean() {
        let _ = fs::remove_dir_all(&folder);
    } else {
        println!("{}{:#?}\n{:#?}", table(&outcome.rows), outcome.complaints, outcome.errors);
        fs::write(folder.join("faults.txt"), format!("{:#?}", outcome.faults)).expect("the faults");
    }
    report.episodes.push(outcome);
}

fn write(report: &Report, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("report.txt"), report.text()).expect("the page");
    fs::write(folder.join("timeline.svg"), timeline::svg(&report.episodes)).expect("the timeline");
}

fn finish(report: &Report, folder: &Path) {
    write(report, folder);
    println!("{}\n{} and timeline.svg", report.text(), folder.join("report.txt").display());
    let complaints = report.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

//! What computes in the benchmark: its schedule, its keys, its ratios, and the page made from its numbers.

// The benchmark uses all of them; this test a part.
#![allow(dead_code)]

#[path = "../benches/throughput/load.rs"]
mod load;
#[path = "../benches/throughput/page/mod.rs"]
mod page;
#[path = "../benches/throughput/plot.rs"]
mod plot;
#[path = "../benches/throughput/record.rs"]
mod record;
#[path = "../benches/throughput/schedule.rs"]
mod schedule;
#[path = "../benches/throughput/targets.rs"]
mod targets;
#[path = "../benches/throughput/titles.rs"]
mod titles;
#[path = "../benches/throughput/workload.rs"]
mod workload;

use load::{Load, Subject, Worker};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use record::{Cell, Machine, Measure, Place, Report, Run, median};
use schedule::{STEP, Schedule};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use workload::{Draw, Draws, Operation, Workload};

const RATES: [f64; 6] = [1.0, 3.0, 999.0, 10_000.0, 33_333.0, 250_000.0];

#[test]
fn every_arrival_is_due_from_its_own_step_on_and_not_before() {
    for rate in RATES {
        let schedule = Schedule::new(rate, Duration::from_millis(1_300));
        for arrival in 0..schedule.arrivals() {
            let begins = schedule.begins(arrival);
            assert!(schedule.due(begins) > arrival, "{arrival} at {rate}/s is not let in at {begins:?}");
            if let Some(before) = begins.checked_sub(STEP) {
                assert!(schedule.due(before) <= arrival, "{arrival} at {rate}/s is let in at {before:?}");
            }
        }
    }
}

#[test]
fn as_many_arrive_as_the_rate_says_and_none_after_the_end() {
    for rate in RATES {
        let length = Duration::from_secs(2);
        let schedule = Schedule::new(rate, length);
        assert_eq!(schedule.arrivals(), (rate * 2.0) as usize);
        assert_eq!(schedule.due(length * 2), schedule.arrivals());
        assert!(schedule.begins(schedule.arrivals() - 1) <= length + STEP);
    }
}

/// A store whose hundredth operation takes long.
struct Stalls(Arc<AtomicUsize>);

const STALL: Duration = Duration::from_millis(200);

impl Subject for Stalls {
    type Worker = Stalls;

    fn worker(&self, _task: usize) -> Stalls {
        Stalls(Arc::clone(&self.0))
    }
}

impl Worker for Stalls {
    async fn run(&mut self, _draw: Draw) -> Result<(), String> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 100 {
            tokio::time::sleep(STALL).await;
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}

async fn with_a_stall(offered: Option<f64>) -> Measure {
    let length = STALL * 3;
    let load = Load { workload: Workload::Set, keys: 1, tasks: 1, length, offered };
    load.run(&Stalls(Arc::default())).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_counts_the_waiting_of_those_behind_a_stall_where_a_closed_loop_omits_it() {
    let stall = STALL.as_micros() as f64;
    let open = with_a_stall(Some(1_000.0)).await;
    assert_eq!(open.done, 600, "nothing that was to arrive is left out");
    // 200 of the 600 arrive during the stall, and half of those wait for more than half of it.
    assert!(open.p99 > stall / 2.0, "{open:?}");
    assert!(open.longest >= stall, "{open:?}");
    let closed = with_a_stall(None).await;
    assert!(closed.p99 < stall / 2.0, "one of very many is not a hundredth: {closed:?}");
    assert!(closed.longest >= stall && closed.gap >= stall, "{closed:?}");
}

/// Fails every second time.
#[derive(Clone)]
struct Fails(usize);

impl Subject for Fails {
    type Worker = Fails;

    fn worker(&self, _task: usize) -> Fails {
        self.clone()
    }
}

impl Worker for Fails {
    async fn run(&mut self, _draw: Draw) -> Result<(), String> {
        self.0 += 1;
        if self.0.is_multiple_of(2) { Err("no".into()) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_apart_and_said() {
    let length = Duration::from_millis(100);
    let load = Load { workload: Workload::Set, keys: 1, tasks: 1, length, offered: Some(1_000.0) };
    let (measure, said) = load.run(&Fails(0)).await;
    assert_eq!((measure.done, measure.failed, said.as_deref()), (50, 50, Some("no")));
}

fn drawn(workload: Workload, keys: usize, count: usize) -> HashMap<Draw, usize> {
    let mut draws = Draws::new(workload, keys, SmallRng::seed_from_u64(7));
    let mut seen = HashMap::new();
    (0..count).for_each(|_| *seen.entry(draws.draw()).or_default() += 1);
    seen
}

#[test]
fn every_workload_draws_keys_that_there_are_and_none_is_too_few() {
    for workload in Workload::ALL.into_iter().chain([Workload::Push, Workload::Mixed]) {
        for keys in [1, 2, 1_000] {
            let seen = drawn(workload, keys, 20_000);
            assert!(seen.keys().all(|draw| draw.key < keys), "{workload:?}");
            assert!(
                seen.keys().any(|draw| draw.key == keys - 1),
                "{workload:?} never draws the last of {keys}"
            );
        }
    }
}

#[test]
fn a_few_keys_get_most_requests_of_ycsb_and_its_mixes_have_their_shares() {
    let seen = drawn(Workload::YcsbB, 10_000, 100_000);
    let of = |wanted: &dyn Fn(&Draw) -> bool| -> usize {
        seen.iter().filter(|(draw, _)| wanted(draw)).map(|(_, count)| count).sum()
    };
    // Zipf with 0.99 over 10,000: the first key about 10.2 %, the first hundred about 53 %.
    assert!((9_000..11_500).contains(&of(&|draw| draw.key == 0)), "{}", of(&|draw| draw.key == 0));
    assert!((48_000..58_000).contains(&of(&|draw| draw.key < 100)), "{}", of(&|draw| draw.key < 100));
    assert!((4_500..5_500).contains(&of(&|draw| draw.operation == Operation::Set)));
    let even = drawn(Workload::Set, 10_000, 100_000);
    assert!(even.values().all(|count| *count < 100), "an even draw has no favourites");
}

fn measure(per_second: f64) -> Measure {
    Measure { per_second, p50: 1e6 / per_second, p99: 2e6 / per_second, done: 1_000, ..Measure::default() }
}

fn cell(contender: &str, workload: &str, tasks: usize, rates: &[f64]) -> Cell {
    let place = Place {
        section: "closed".into(),
        workload: workload.into(),
        bytes: 100,
        tasks,
        coordinators: 1,
        condition: "healthy".into(),
    };
    Cell { place, contender: contender.into(), rounds: rates.iter().map(|rate| measure(*rate)).collect() }
}

fn report() -> Report {
    let cells = vec![
        cell("ours", "SET", 1, &[900.0, 900.0, 900.0]),
        // Half, a tenth, and more than all: round by round, not median by median.
        cell("ours", "SET", 64, &[50_000.0, 1_000.0, 90_000.0]),
        cell("evalsha", "SET", 64, &[100_000.0, 10_000.0, 60_000.0]),
        cell("etcd", "SET", 64, &[5_000.0, 5_000.0, 5_000.0]),
    ];
    let machine = Machine { processor: "a processor".into(), cores: 2, sync: 12.3, ..Machine::default() };
    let run = Run { rounds: 3, seconds: 0.3, remarks: vec!["there is no etcd".into()], ..Run::default() };
    Report { machine, run, cells }
}

#[test]
fn a_ratio_is_the_median_of_each_rounds_own_ratio() {
    let report = report();
    assert_eq!(report.cells[1].ratio(&report.cells[2], |round| round.per_second), 0.5);
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    assert!(median(std::iter::empty()).is_nan());
}

#[test]
fn a_target_is_met_missed_or_not_measured_and_never_met_by_rounding() {
    let targets = targets::all(&report());
    let verdict = |what: &str| targets.iter().find(|target| target.what == what).expect(what).verdict();
    assert_eq!(verdict("SET, 64 tasks: throughput, of bare EVALSHA to all"), "MISSED");
    assert_eq!(verdict("SET, 64 tasks: throughput, of etcd's"), "met");
    assert_eq!(verdict("SET, 1 task: p50, of bare EVALSHA to all"), "not measured");
    assert_eq!(verdict("push to a list of 100,000 elements: rate, of one of 10"), "not measured");
    assert!(targets.len() > 30, "{}", targets.len());
}

#[test]
fn json_gives_back_the_report_and_refuses_columns_of_different_lengths() {
    let text = serde_json::to_string(&report()).expect("JSON");
    let read: Report = serde_json::from_str(&text).expect("a report");
    assert_eq!(read, report());
    let torn = text.replacen("\"failed\":[0,0,0]", "\"failed\":[0,0]", 1);
    assert_ne!(torn, text);
    assert!(serde_json::from_str::<Report>(&torn).is_err());
}

#[test]
fn the_page_tells_targets_numbers_the_machine_and_what_is_missing() {
    let page = page::of(&report());
    for told in [
        "| SET, 64 tasks: throughput, of bare EVALSHA to all | 0.500 | at least 0.8 | MISSED |",
        "| **anarchoredis**, linearizable | 900, 1.11 / 2.22 | 50,000, 0.02 / 0.04 |",
        "a processor, 2 cores",
        "![set-closed.svg](docs/benchmarks/set-closed.svg)",
        "- there is no etcd",
        "## What the numbers do not say",
    ] {
        assert!(page.contains(told), "{told} is not in\n{page}");
    }
    assert!(!page.contains("smoke run"));
    let quick = Report { run: Run { quick: true, ..report().run }, ..report() };
    assert!(page::of(&quick).contains("The numbers mean nothing"));
}

#[test]
fn a_drawing_is_an_svg_that_names_who_is_in_it() {
    let drawings = plot::all(&report());
    let [(name, svg)] = &drawings[..] else { panic!("{} drawings", drawings.len()) };
    assert_eq!(name, "set-closed.svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("etcd, three nodes") && !svg.contains("NaN"));
}

/// From the first `make bench` on that somebody committed.
#[test]
fn the_page_is_what_its_numbers_give() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (page, numbers) = (root.join("BENCHMARKS.md"), root.join(page::FOLDER).join("results.json"));
    assert_eq!(page.exists(), numbers.exists(), "the page and its numbers belong together");
    if let (Ok(page), Ok(numbers)) = (fs::read_to_string(page), fs::read_to_string(numbers)) {
        let report: Report = serde_json::from_str(&numbers).expect("a report");
        let again = "cargo bench --bench throughput -- --page-from docs/benchmarks/results.json --write";
        assert!(page == page::of(&report), "BENCHMARKS.md is not what its numbers give: {again}");
    }
}

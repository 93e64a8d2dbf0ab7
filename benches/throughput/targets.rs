//! What is to be reached, and whether it is.

use crate::record::{Cell, Measure, Place, Report};

/// The hedge delay where answers come sooner than that: its lower bound, in milliseconds.
const HEDGE: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Only to be stated.
    None,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub what: String,
    pub limit: Bound,
    /// `None` where it was not measured.
    pub measured: Option<f64>,
    pub unit: &'static str,
}

impl Target {
    pub fn is_met(&self) -> Option<bool> {
        let measured = self.measured?;
        match self.limit {
            Bound::AtLeast(least) => Some(measured >= least),
            Bound::AtMost(most) => Some(measured <= most),
            Bound::None => None,
        }
    }

    pub fn verdict(&self) -> &'static str {
        match (self.measured, self.is_met()) {
            (None, _) => "not measured",
            (_, None) => "stated",
            (_, Some(true)) => "met",
            (_, Some(false)) => "MISSED",
        }
    }

    pub fn value(&self) -> String {
        self.measured.map_or("–".to_owned(), |measured| format!("{}{}", digits(measured), self.unit))
    }

    pub fn bound(&self) -> String {
        match self.limit {
            Bound::AtLeast(least) => format!("at least {least}{}", self.unit),
            Bound::AtMost(most) => format!("at most {most}{}", self.unit),
            Bound::None => "–".to_owned(),
        }
    }
}

/// Never rounded so that a miss looks like a hit.
fn digits(value: f64) -> String {
    if value == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

type Pick = fn(&Measure) -> f64;
const SPEED: Pick = |round| round.per_second;
const P50: Pick = |round| round.p50;
const P99: Pick = |round| round.p99;

pub fn all(report: &Report) -> Vec<Target> {
    let mut targets = healthy(report);
    targets.extend(others(report));
    targets.extend(faults(report));
    targets.extend(hot(report));
    targets.extend(sizes(report));
    targets
}

/// Where a cell is, in so many words.
fn at(section: &str, workload: &str, tasks: usize, condition: &str) -> Place {
    Place {
        section: section.into(),
        workload: workload.into(),
        bytes: 100,
        tasks,
        coordinators: 1,
        condition: condition.into(),
    }
}

fn ratio(report: &Report, ours: (&Place, &str), other: (&Place, &str), pick: Pick) -> Option<f64> {
    let cell = |(place, contender): (&Place, &str)| report.find(place, contender);
    Some(cell(ours)?.ratio(cell(other)?, pick))
}

fn target(what: String, limit: Bound, measured: Option<f64>) -> Target {
    Target { what, limit, measured, unit: "" }
}

fn healthy(report: &Report) -> Vec<Target> {
    let mut targets = Vec::new();
    for (workload, of_raw) in [("SET", 0.45), ("INCR", 0.45), ("GET", 0.5)] {
        let (one, many) = (at("closed", workload, 1, "healthy"), at("closed", workload, 64, "healthy"));
        let to = |place: &Place, other, pick| ratio(report, (place, "ours"), (place, other), pick);
        let mut add = |what: &str, limit, measured| {
            targets.push(target(format!("{workload}, {what}"), limit, measured))
        };
        add("64 tasks: throughput, of bare EVALSHA to all", Bound::AtLeast(0.8), to(&many, "evalsha", SPEED));
        add("64 tasks: throughput, of the command to all", Bound::AtLeast(of_raw), to(&many, "raw", SPEED));
        add("1 task: p50, of bare EVALSHA to all", Bound::AtMost(1.15), to(&one, "evalsha", P50));
        add("1 task: p99, of bare EVALSHA to all", Bound::AtMost(1.5), to(&one, "evalsha", P99));
        add("64 tasks: p99, of bare EVALSHA to all", Bound::AtMost(1.5), to(&many, "evalsha", P99));
    }
    targets
}

fn others(report: &Report) -> Vec<Target> {
    let memory = at("closed", "SET", 64, "healthy");
    let disk = |tasks| at("durable", "SET", tasks, "appendfsync always");
    let to = |place: &Place, other, pick| ratio(report, (place, "ours"), (place, other), pick);
    vec![
        target(
            "SET, 64 tasks: throughput, of etcd's".into(),
            Bound::AtLeast(5.0),
            to(&memory, "etcd", SPEED),
        ),
        target("SET, 64 tasks: p99, of etcd's".into(), Bound::AtMost(1.0), to(&memory, "etcd", P99)),
        target(
            "SET, 64 tasks: throughput, of SET and WAIT 2".into(),
            Bound::AtLeast(1.0),
            to(&memory, "wait2", SPEED),
        ),
        target(
            "durable SET, 64 tasks: throughput, of the command to all".into(),
            Bound::AtLeast(0.8),
            to(&disk(64), "raw", SPEED),
        ),
        target(
            "durable SET, 1 task: throughput, of the command to all".into(),
            Bound::None,
            to(&disk(1), "raw", SPEED),
        ),
        target(
            "durable SET, 64 tasks: throughput, of etcd's on the same disk".into(),
            Bound::None,
            to(&disk(64), "etcd", SPEED),
        ),
    ]
}

fn faults(report: &Report) -> Vec<Target> {
    let of = |fault: &str| report.find(&at("faults", "YCSB-A", 64, fault), "ours");
    let failed = |cell: &Cell| cell.failed() as f64;
    let longest = |cell: &Cell| cell.middle(|round| round.longest) / 1e3;
    let (killed, hung) = (of("one node killed"), of("one node hung"));
    let ms = |target: Target| Target { unit: " ms", ..target };
    let mut targets = vec![
        target(
            "a node killed: operations that failed, all rounds".into(),
            Bound::AtMost(0.0),
            killed.map(failed),
        ),
        ms(target(
            "a node killed: the longest that an operation took".into(),
            Bound::AtMost(50.0),
            killed.map(longest),
        )),
        target(
            "a node hung: operations that failed, all rounds".into(),
            Bound::AtMost(0.0),
            hung.map(failed),
        ),
        ms(target(
            format!("a node hung: the longest that an operation took; the hedge delay is {HEDGE} ms"),
            Bound::AtMost(2.0 * HEDGE),
            hung.map(longest),
        )),
    ];
    for workload in ["SET", "GET", "INCR"] {
        let (healthy, down) =
            (at("conditions", workload, 64, "healthy"), at("conditions", workload, 64, "one node down"));
        let ratio = ratio(report, (&down, "ours"), (&healthy, "ours"), SPEED);
        targets.push(target(
            format!("{workload}, 64 tasks, a node down: throughput, of healthy"),
            Bound::AtLeast(0.6),
            ratio,
        ));
    }
    targets
}

fn hot(report: &Report) -> Vec<Target> {
    let place = |coordinators, tasks, batches| Place {
        coordinators,
        ..at("hot", "INCR", tasks, if batches { "batching" } else { "no batching" })
    };
    let to = |ours: &Place, other: &Place| ratio(report, (ours, "ours"), (other, "ours"), SPEED);
    let (one, four, batched) = (place(1, 1, false), place(4, 1, false), place(4, 16, true));
    let mut targets = Vec::new();
    for count in [4, 16] {
        let many = place(count, 1, false);
        let spread = report.find(&many, "ours").map(|cell| cell.middle(|round| round.p99 / round.p50));
        targets.push(target(
            format!("one key, no batching, {count} coordinators: rate, of one coordinator's"),
            Bound::AtLeast(1.0),
            to(&many, &one),
        ));
        targets.push(target(
            format!("one key, no batching, {count} coordinators: p99, of the median"),
            Bound::AtMost(20.0),
            spread,
        ));
    }
    targets.push(target(
        "one key, batching, 4 coordinators with 16 tasks each: rate, of 4 without batching".into(),
        Bound::AtLeast(4.0),
        to(&batched, &four),
    ));
    targets.push(target(
        "the same, of one coordinator without batching".into(),
        Bound::None,
        to(&batched, &one),
    ));
    targets
}

fn sizes(report: &Report) -> Vec<Target> {
    let scope = |condition, coordinators| Place {
        coordinators,
        ..at("scope", "mixed", 64 / coordinators, condition)
    };
    let scoped = |coordinators| {
        let (one, many) = (scope("one scope", coordinators), scope("independent keys", coordinators));
        ratio(report, (&one, "ours"), (&many, "ours"), SPEED)
    };
    let list = |length: usize| at("large", "LPUSH", 1, &format!("{length} elements"));
    let push = ratio(report, (&list(100_000), "ours"), (&list(10), "ours"), SPEED);
    vec![
        target(
            "a scope of 10,000 keys, 64 tasks, one coordinator: rate, of independent keys".into(),
            Bound::AtLeast(0.5),
            scoped(1),
        ),
        target(
            "the same from two coordinators with 32 tasks each, of independent keys from two".into(),
            Bound::None,
            scoped(2),
        ),
        target("push to a list of 100,000 elements: rate, of one of 10".into(), Bound::AtLeast(0.9), push),
    ]
}

//! What is printed.

use crate::contender::{Kind, Operation};
use crate::load::{Load, Measure};
use crate::options::Options;

type Measures = [(Kind, Vec<Measure>)];

pub fn heading(options: &Options) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "medians of {} rounds of {:?}, {} keys, values of 100 bytes, three servers and this client on {cores} cores",
        options.rounds,
        options.seconds,
        crate::KEYS
    );
    println!(
        "latencies in µs; processor time in µs for one operation, of this client and of the three servers together"
    );
}

/// All contenders at one operation and number of tasks.
pub fn block(load: &Load, measures: &Measures, targets: &mut Targets) {
    let Load { operation, tasks, .. } = load;
    let title = format!("{}, {tasks} {}", operation.name(), if *tasks == 1 { "task" } else { "tasks" });
    println!(
        "\n{title:<28}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "ops/s", "p50", "p99", "p99.9", "client", "servers"
    );
    for (kind, of_kind) in measures {
        let middle = |pick: fn(&Measure) -> f64| median(of_kind.iter().map(pick));
        println!(
            "  {:<26}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>9.1}{:>9.1}",
            kind.title(),
            middle(|m| m.per_second),
            middle(|m| m.p50),
            middle(|m| m.p99),
            middle(|m| m.p999),
            middle(|m| m.client),
            middle(|m| m.servers)
        );
    }
    for (other, name) in [(Kind::Evalsha, "bare EVALSHA"), (Kind::Raw, "the command to all")] {
        let throughput = ratio(measures, other, |m| m.per_second);
        let p50 = ratio(measures, other, |m| m.p50);
        let (Some(throughput), Some(p50)) = (throughput, p50) else { continue };
        println!("  ours / {name:<19}{throughput:>9.2}{p50:>9.2}");
        if other == Kind::Evalsha {
            targets.note(load, throughput, p50);
        }
    }
}

/// Ours in relation to another, round by round.
fn ratio(measures: &Measures, other: Kind, pick: fn(&Measure) -> f64) -> Option<f64> {
    let of = |wanted: Kind| measures.iter().find(|(kind, _)| *kind == wanted).map(|(_, of_kind)| of_kind);
    let (ours, other) = (of(Kind::Ours)?, of(other)?);
    Some(median(ours.iter().zip(other).map(|(ours, other)| pick(ours) / pick(other))))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// What SET and GET are to reach, in relation to the bare EVALSHA.
#[derive(Default)]
pub struct Targets {
    lines: Vec<String>,
}

impl Targets {
    fn note(&mut self, load: &Load, throughput: f64, p50: f64) {
        if !matches!(load.operation, Operation::Set | Operation::Get) {
            return;
        }
        let name = load.operation.name();
        if load.tasks == 64 {
            self.lines.push(verdict(
                throughput >= 0.5,
                &format!("{name} at 64 tasks: {throughput:.2} of its throughput, at least 0.50"),
            ));
        }
        if load.tasks == 1 {
            self.lines.push(verdict(
                p50 <= 1.3,
                &format!("{name} at 1 task: {p50:.2} times its p50, at most 1.30"),
            ));
        }
    }

    pub fn print(&self) {
        if !self.lines.is_empty() {
            println!("\ntargets, in relation to the bare EVALSHA to all three");
        }
        for line in &self.lines {
            println!("  {line}");
        }
    }
}

fn verdict(is_met: bool, text: &str) -> String {
    format!("{}  {text}", if is_met { "met   " } else { "MISSED" })
}

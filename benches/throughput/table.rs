//! What is printed while it goes on.

use crate::record::{Cell, Measure, Place, Report};
use crate::targets;
use crate::titles;

pub fn heading(rounds: usize, length: std::time::Duration) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("medians of {rounds} rounds of {length:?}; servers and this client on {cores} cores");
    println!(
        "latencies in µs; processor time in µs for one operation, of this client and of the servers together"
    );
}

/// All contenders of one place.
pub fn print(place: &Place, cells: &[Cell]) {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.place == *place).collect();
    if cells.is_empty() {
        return;
    }
    println!("\n{}", title(place));
    println!(
        "  {:<36}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}",
        "", "ops/s", "p50", "p99", "p99.9", "client", "servers", "failed"
    );
    for cell in &cells {
        println!(
            "  {:<36}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>9.1}{:>9.1}{:>8}",
            titles::plain(&cell.contender),
            cell.middle(|m| m.per_second),
            cell.middle(|m| m.p50),
            cell.middle(|m| m.p99),
            cell.middle(|m| m.p999),
            cell.middle(|m| m.client),
            cell.middle(|m| m.servers),
            cell.failed()
        );
    }
    let find = |contender: &str| cells.iter().copied().find(|cell| cell.contender == contender);
    for (other, name) in [("evalsha", "bare EVALSHA"), ("raw", "the command to all")] {
        if let (Some(ours), Some(other)) = (find("ours"), find(other)) {
            let ratio = |pick: fn(&Measure) -> f64| ours.ratio(other, pick);
            println!(
                "  ours / {name:<29}{:>9.2}{:>9.2}{:>9.2}",
                ratio(|m| m.per_second),
                ratio(|m| m.p50),
                ratio(|m| m.p99)
            );
        }
    }
}

fn title(place: &Place) -> String {
    let Place { section, workload, bytes, tasks, coordinators, condition } = place;
    let mut title = format!("{section}: {workload}, {bytes} bytes, {tasks} task{}", s(*tasks));
    if *coordinators > 1 {
        title += &format!(" of each of {coordinators} coordinators");
    }
    format!("{title}, {condition}")
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

pub fn verdicts(report: &Report) {
    println!("\ntargets");
    for target in targets::all(report).iter().filter(|target| target.measured.is_some()) {
        println!("  {:<8}{}: {}, {}", target.verdict(), target.what, target.value(), target.bound());
    }
}

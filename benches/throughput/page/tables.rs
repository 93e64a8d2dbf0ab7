//! The tables of the page.

use crate::record::{Cell, Place, Report};
use crate::titles;
use std::fmt::Write as _;

const EACH: &str = "operations/s, median / 99th percentile in ms";
/// The control among the faults.
const NO_FAULT: &str = "no fault";

/// One table for each workload and length of values: contenders by numbers of tasks.
pub fn closed(report: &Report) -> String {
    let cells: Vec<&Cell> = report.in_section("closed").collect();
    if cells.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## Closed loop\n\nEach: {EACH}; *µs* is processor time for one operation at the largest number of tasks, of the client and of all servers together.\n"
    );
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for cell in &cells {
        let kind = (cell.place.workload.as_str(), cell.place.bytes);
        if !seen.contains(&kind) {
            seen.push(kind);
            let those =
                cells.iter().copied().filter(|cell| (cell.place.workload.as_str(), cell.place.bytes) == kind);
            let those: Vec<&Cell> = those.collect();
            let _ = write!(text, "\n### {}, {}\n\n", kind.0, length(kind.1));
            text += &grid(
                &those,
                &|place| format!("{} task{}", place.tasks, if place.tasks == 1 { "" } else { "s" }),
                true,
            );
        }
    }
    text
}

pub fn open(report: &Report) -> String {
    let mut text = String::new();
    for workload in ["SET", "GET"] {
        let cells: Vec<&Cell> =
            report.in_section("open").filter(|cell| cell.place.workload == workload).collect();
        if !cells.is_empty() {
            if text.is_empty() {
                text = format!(
                    "\n## Open loop\n\nEach: {EACH}, where so much of its own closed loop's rate (64 tasks) arrives.\n"
                );
            }
            let _ = write!(text, "\n### {workload}, 100 bytes\n\n");
            let share = |place: &Place| place.condition.trim_end_matches(" of its closed loop").to_owned();
            text += &grid(&cells, &share, false);
        }
    }
    text
}

pub fn durable(report: &Report) -> String {
    let cells: Vec<&Cell> = report.in_section("durable").collect();
    if cells.is_empty() {
        return String::new();
    }
    let grid = grid(
        &cells,
        &|place| format!("{} task{}", place.tasks, if place.tasks == 1 { "" } else { "s" }),
        true,
    );
    format!(
        "\n## Durable\n\nSET of 100 bytes where every write is on the disk before its answer (`appendonly yes`, `appendfsync always`; etcd in a folder on the same disk). Not to be compared with the figures above. Each: {EACH}.\n\n{grid}"
    )
}

pub fn conditions(report: &Report) -> String {
    let cells: Vec<&Cell> = report.in_section("conditions").collect();
    if cells.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## With a node down, slow, or on its way back\n\nClosed loop, 64 tasks, fresh servers in each round; down is killed, and its rejoin is with nothing and beside a healer at its default limits. The node behind a link is so by a TCP proxy inside of this process, which costs processor time, too; the connections of the fan-outs are without Nagle's algorithm there. etcd is asked at a node that stays; down is its leader, after the election. Each: {EACH}.\n\n"
    );
    let mut contenders: Vec<&str> = Vec::new();
    for cell in &cells {
        if !contenders.contains(&cell.contender.as_str()) {
            contenders.push(&cell.contender);
        }
    }
    contenders.sort_by_key(|contender| titles::place(contender));
    for contender in contenders {
        let those = cells.iter().copied().filter(|cell| cell.contender == contender);
        let those: Vec<Cell> =
            those.map(|cell| Cell { contender: cell.place.condition.clone(), ..cell.clone() }).collect();
        let _ = write!(text, "### {}\n\n", titles::in_markdown(contender));
        text += &grid(&those.iter().collect::<Vec<_>>(), &|place| place.workload.clone(), false);
        text.push('\n');
    }
    text
}

pub fn faults(report: &Report) -> String {
    let cells: Vec<&Cell> = report.in_section("faults").collect();
    if cells.is_empty() {
        return String::new();
    }
    let mut text = "\n## The moment of a fault\n\nHalf reads, half writes, 1,000 arrivals a second; the fault after half a second. etcd: its leader is killed, its clients ask another node. Longest and gap in ms; the gap is the longest time in which nothing at all succeeded.\n\n| fault | | operations | failed | longest, median of rounds | longest, worst round | gap, median | gap, worst |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for cell in cells {
        let worst =
            |pick: fn(&crate::record::Measure) -> f64| cell.rounds.iter().map(pick).fold(0.0, f64::max) / 1e3;
        let done: u64 = cell.rounds.iter().map(|round| round.done + round.failed).sum();
        let _ = writeln!(
            text,
            "| {} | {} | {done} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            cell.place.condition,
            titles::in_markdown(&cell.contender),
            cell.failed(),
            cell.middle(|round| round.longest) / 1e3,
            worst(|round| round.longest),
            cell.middle(|round| round.gap) / 1e3,
            worst(|round| round.gap),
        );
    }
    if report.in_section("faults").any(|cell| cell.place.condition == NO_FAULT) {
        text += "\nWithout a fault it is what this machine itself makes callers wait.\n";
    }
    text
}

/// What only we do: hot keys, long lists, scopes.
pub fn single(report: &Report) -> String {
    let mut text = String::new();
    for (section, title) in [
        ("hot", "One key that all increment"),
        (
            "scope",
            "10,000 keys of one scope, next to independent ones: a quarter each of GET, SET, INCR, HSET",
        ),
        ("large", "LPUSH to a list, by its length"),
    ] {
        let cells: Vec<&Cell> = report.in_section(section).collect();
        if cells.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n## {title}\n\n| | coordinators | tasks of each | operations/s | p50, ms | p99, ms | failed |\n|---|---|---|---|---|---|---|\n"
        );
        for cell in cells {
            let Place { condition, coordinators, tasks, .. } = &cell.place;
            let (rate, p50, p99) = shown(cell);
            let _ = writeln!(
                text,
                "| {condition} | {coordinators} | {tasks} | {rate} | {p50} | {p99} | {} |",
                cell.failed()
            );
        }
    }
    text
}

/// Contenders by columns, in the order in which both appear.
fn grid(cells: &[&Cell], column: &dyn Fn(&Place) -> String, with_time: bool) -> String {
    let (mut columns, mut rows): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for cell in cells {
        if !columns.contains(&column(&cell.place)) {
            columns.push(column(&cell.place));
        }
        if !rows.contains(&cell.contender.as_str()) {
            rows.push(&cell.contender);
        }
    }
    let mut text = format!("| | {} |", columns.join(" | "));
    text += if with_time { " µs, client | µs, servers |\n" } else { "\n" };
    text += &format!("|---|{}{}\n", "---|".repeat(columns.len()), if with_time { "---|---|" } else { "" });
    for row in rows {
        let of_row: Vec<&&Cell> = cells.iter().filter(|cell| cell.contender == row).collect();
        let _ = write!(text, "| {} |", titles::in_markdown(row));
        for name in &columns {
            let cell = of_row.iter().find(|cell| column(&cell.place) == *name);
            let _ = write!(text, " {} |", cell.map_or("–".to_owned(), |cell| summary(cell)));
        }
        if let (true, Some(last)) = (with_time, of_row.last()) {
            let _ = write!(
                text,
                " {:.1} | {:.1} |",
                last.middle(|round| round.client),
                last.middle(|round| round.servers)
            );
        }
        text.push('\n');
    }
    text
}

fn summary(cell: &Cell) -> String {
    let (rate, p50, p99) = shown(cell);
    let failed = if cell.failed() == 0 { String::new() } else { format!(", {} failed", cell.failed()) };
    format!("{rate}, {p50} / {p99}{failed}")
}

fn shown(cell: &Cell) -> (String, String, String) {
    let ms = |time: f64| format!("{:.2}", time / 1e3);
    (
        thousands(cell.middle(|round| round.per_second)),
        ms(cell.middle(|round| round.p50)),
        ms(cell.middle(|round| round.p99)),
    )
}

fn length(bytes: usize) -> String {
    if bytes >= 1_024 { format!("{} KiB", bytes / 1_024) } else { format!("{bytes} bytes") }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

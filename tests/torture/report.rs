//! The page that a run leaves: what was lost, by system and workload, and what happened meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::episode::{Outcome, Plan};
use super::row::Row;

/// Everything of one run.
#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
    pub episodes: Vec<Outcome>,
    /// Episodes that panicked.
    pub broken_off: Vec<Plan>,
}

impl Report {
    /// One more line, together with an earlier one of the same system and workload.
    pub fn add(&mut self, row: &Row) {
        let same = |known: &&mut Row| known.system == row.system && known.workload == row.workload;
        match self.rows.iter_mut().find(same) {
            Some(known) => known.add(row),
            None => self.rows.push(row.clone()),
        }
    }

    /// How long there were faults.
    pub fn suffered(&self) -> Duration {
        self.episodes.iter().map(|episode| episode.lasted).sum()
    }

    pub fn complaints(&self) -> Vec<String> {
        let told = |outcome: &Outcome| {
            let of_rows = outcome.rows.iter().filter(|row| !row.is_clean());
            let mut all: Vec<String> =
                of_rows.map(|row| format!("{}: {}", outcome.plan.told(), broken(row))).collect();
            all.extend(outcome.complaints.iter().map(|text| format!("{}: {text}", outcome.plan.told())));
            all
        };
        let broken_off = self.broken_off.iter().map(|plan| format!("{}: it panicked", plan.told()));
        self.episodes.iter().flat_map(told).chain(broken_off).collect()
    }

    /// What each system came to in all, the worst last.
    fn verdicts(&self) -> Vec<String> {
        let mut systems: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !systems.contains(&row.system.as_str()) {
                systems.push(&row.system);
            }
        }
        let verdict = |system: &str| {
            let mut all = Row::new(system, "");
            self.rows.iter().filter(|row| row.system == system).for_each(|row| all.add(row));
            let (judged, bad, open) = all.histories;
            format!(
                "{system}: {} operations, {} acknowledged, {} of unknown end; {} lost, {} twice, {} invented, {} reordered; {judged} histories judged, {bad} not \
                 linearizable, {open} too hard to tell",
                all.total, all.acked, all.unknown, all.lost, all.doubled, all.invented, all.reordered
            )
        };
        systems.into_iter().map(verdict).collect()
    }

    /// The page as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let seeds = || self.episodes.iter().map(|episode| episode.plan.seed);
        let faults: usize = self.episodes.iter().map(|episode| episode.faults.len()).sum();
        let _ = writeln!(
            text,
            "Torture: {} episodes with {faults} faults in {:.1} minutes; seeds {} to {}\n",
            self.episodes.len(),
            self.suffered().as_secs_f64() / 60.0,
            seeds().min().unwrap_or_default(),
            seeds().max().unwrap_or_default()
        );
        for verdict in self.verdicts() {
            let _ = writeln!(text, "{verdict}");
        }
        text += "\n";
        text += &table(&self.rows);
        text += "\n'survive': acknowledged and there at the end; '-': not counted but judged as histories. 'un-acked found': ended without anybody knowing\n\
                 what became of them, and there. 'twice': there, or answered, twice. 'other': there though said not to have been applied, or in another\n\
                 order than a reader saw. 'gap': longest time without an acknowledgement by anyone while a majority could answer; 'recovery': from the end\n\
                 of a fault of a majority, in the test of 2013 of the cut, to the next acknowledgement. 'histories': judged for linearizability (not\n\
                 linearizable, too hard to tell). 'survive' of pub/sub: heard by every subscriber; not promised to who is cut off. Of the queue: taken, or left; an element\n\
                 may have gone to a taker whose connection broke before the reply came, as many as such takers there were.\n\
                 'side by side': the same workloads, faults and seed for every system. An episode again: make torture MINUTES=1 SEED=its seed.\n\n";
        let mut faults: BTreeMap<String, u64> = BTreeMap::new();
        for fault in self.episodes.iter().flat_map(|episode| &episode.faults) {
            let plain = if fault.beyond {
                "a majority".to_owned()
            } else {
                fault.name.split(',').next().unwrap_or_default().to_owned()
            };
            let plain: String =
                plain.chars().filter(|sign| !sign.is_ascii_digit() && !"+-".contains(*sign)).collect();
            *faults
                .entry(format!("{} {}", fault.lane.split(' ').next().unwrap_or_default(), plain.trim()))
                .or_default() += 1;
        }
        let _ = writeln!(text, "Faults: {}", faults.values().sum::<u64>());
        for (name, count) in &faults {
            let _ = writeln!(text, "  {count:>5}  {name}");
        }
        let _ = writeln!(text, "\nEpisodes:");
        for episode in &self.episodes {
            let acked: u64 = episode.rows.iter().map(|row| row.acked).sum();
            let _ = writeln!(
                text,
                "  {}: {:.0} s, {} faults, {acked} acknowledged, slowest operation {} ms{}",
                episode.plan.told(),
                episode.lasted.as_secs_f64(),
                episode.faults.len(),
                episode.slowest.as_millis(),
                if episode.is_clean() { "" } else { "  <-- NOT CLEAN" }
            );
        }
        let complaints = self.complaints();
        let _ = writeln!(text, "\nBroken promises: {}", complaints.len());
        for complaint in complaints {
            let _ = writeln!(text, "  {complaint}");
        }
        let slow =
            || self.episodes.iter().flat_map(|episode| episode.slow.iter().map(|text| (&episode.plan, text)));
        let _ = writeln!(text, "\nSlow, and no broken promise: {}", slow().count());
        for (plan, what) in slow() {
            let _ = writeln!(text, "  {}: {}", plan.told(), what.lines().next().unwrap_or_default());
        }
        text
    }
}

fn broken(row: &Row) -> String {
    format!(
        "{}: lost {}, twice {}, invented {}, reordered {}, bad histories {} {:?}",
        row.workload, row.lost, row.doubled, row.invented, row.reordered, row.histories.1, row.complaints
    )
}

/// Columns as wide as they need.
pub fn table(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = vec![Row::HEADS.iter().map(|head| (*head).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.cells().to_vec()));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..Row::HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            text += &if column < 2 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
        }
        text = text.trim_end().to_owned() + "\n";
    }
    text
}

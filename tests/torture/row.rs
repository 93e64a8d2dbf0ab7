//! One line of the table, as the post of 2013 printed it.

use std::time::Duration;

/// What became of one workload on one system.
#[derive(Clone, Debug)]
pub struct Row {
    pub system: String,
    pub workload: String,
    /// Operations begun.
    pub total: u64,
    pub acked: u64,
    /// Ended without anybody knowing what became of them.
    pub unknown: u64,
    /// Acknowledged and there at the end.
    pub survivors: u64,
    pub lost: u64,
    /// Not acknowledged, and there.
    pub surplus: u64,
    /// There, or answered, twice.
    pub doubled: u64,
    /// There though said not to have been applied.
    pub invented: u64,
    /// Elements of a list in another order than a reader saw.
    pub reordered: u64,
    /// The longest time without an acknowledgement, by anyone, while a majority could answer.
    pub gap: Duration,
    /// The longest time from the end of a fault of a majority until the next acknowledgement.
    pub recovery: Option<Duration>,
    /// Histories that were judged, not linearizable, too hard.
    pub histories: (u64, u64, u64),
    /// What was found, in words.
    pub complaints: Vec<String>,
}

impl Row {
    pub fn new(system: &str, workload: &str) -> Row {
        Row {
            system: system.to_owned(),
            workload: workload.to_owned(),
            total: 0,
            acked: 0,
            unknown: 0,
            survivors: 0,
            lost: 0,
            surplus: 0,
            doubled: 0,
            invented: 0,
            reordered: 0,
            gap: Duration::ZERO,
            recovery: None,
            histories: (0, 0, 0),
            complaints: Vec::new(),
        }
    }

    /// The same workload in another episode.
    pub fn add(&mut self, other: &Row) {
        self.total += other.total;
        self.acked += other.acked;
        self.unknown += other.unknown;
        self.survivors += other.survivors;
        self.lost += other.lost;
        self.surplus += other.surplus;
        self.doubled += other.doubled;
        self.invented += other.invented;
        self.reordered += other.reordered;
        self.gap = self.gap.max(other.gap);
        self.recovery = self.recovery.max(other.recovery);
        self.histories.0 += other.histories.0;
        self.histories.1 += other.histories.1;
        self.histories.2 += other.histories.2;
        self.complaints.extend(other.complaints.iter().cloned());
    }

    /// Nothing that was promised is broken.
    pub fn is_clean(&self) -> bool {
        self.violations() == 0 && self.complaints.is_empty()
    }

    /// How much was broken.
    pub fn violations(&self) -> u64 {
        self.lost + self.doubled + self.invented + self.reordered + self.histories.1
    }

    /// The names of [`cells`](Row::cells).
    pub const HEADS: [&str; 13] = [
        "system",
        "workload",
        "total",
        "acked",
        "survive",
        "lost",
        "lost %",
        "un-acked found",
        "twice",
        "other",
        "gap ms",
        "recovery ms",
        "histories (bad, open)",
    ];

    pub fn cells(&self) -> [String; 13] {
        let ms = |time: Duration| time.as_millis().to_string();
        let (judged, bad, open) = self.histories;
        let share = if self.acked == 0 { 0.0 } else { 100.0 * self.lost as f64 / self.acked as f64 };
        [
            self.system.clone(),
            self.workload.clone(),
            self.total.to_string(),
            self.acked.to_string(),
            // Of those it is the histories that tell: what is there at the end is elements, not operations.
            if judged > 0 { "-".to_owned() } else { self.survivors.to_string() },
            self.lost.to_string(),
            format!("{share:.1}"),
            self.surplus.to_string(),
            self.doubled.to_string(),
            (self.invented + self.reordered).to_string(),
            ms(self.gap),
            self.recovery.map_or("-".to_owned(), ms),
            if judged == 0 { "-".to_owned() } else { format!("{judged} ({bad}, {open})") },
        ]
    }
}

//! What the demo says while it runs, and at the end.

use std::time::{Duration, Instant};

use anarchoredis::Client;
use anarchoredis::node::Seat;

use crate::tally::Counts;

/// The timeline on the screen.
pub struct Screen {
    started: Instant,
    /// Its view of the nodes is shown in every line.
    watcher: Client,
}

impl Screen {
    /// The clock starts.
    pub fn new(watcher: Client) -> Screen {
        Screen { started: Instant::now(), watcher }
    }

    /// Something happened.
    pub fn say(&self, what: &str) {
        let time = self.started.elapsed().as_secs_f64();
        println!("{time:6.1} s  {}  {what}", self.seats());
    }

    /// What the load was like meanwhile.
    pub fn report(&self, counts: &Counts) {
        let gap = milliseconds(counts.longest_gap);
        let operations = grouped(counts.operations());
        self.say(&format!(
            "    {operations} operations meanwhile, {} failed, longest gap {gap}",
            counts.failed
        ));
    }

    /// How long it has run.
    pub fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn seats(&self) -> String {
        let nodes = self.watcher.nodes();
        let signs = nodes.iter().map(|node| match node.seat {
            Seat::Voter(_) => "●",
            Seat::Joining => "◐",
            Seat::Away(_) => "○",
        });
        signs.collect::<Vec<_>>().join(" ")
    }
}

/// A table of two columns.
pub fn table(rows: &[(&str, String)]) {
    println!();
    for (name, value) in rows {
        println!("  {name:<24}{value}");
    }
    println!();
}

/// A time as whole milliseconds.
pub fn milliseconds(time: Duration) -> String {
    format!("{} ms", grouped(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

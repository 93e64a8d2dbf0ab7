//! What one schedule is like: how many take part, how the network behaves, what fails, how far clocks differ.

use super::rng::Rng;

/// Drawn anew for each seed: schedules that differ in kind find more than equal ones.
#[derive(Debug, Clone)]
pub struct Weather {
    pub nodes: usize,
    pub coordinators: usize,
    /// Clients that share one coordinator.
    pub tasks: usize,
    pub ops_each: u64,
    /// The longest pause between two ops of one client, in ms.
    pub think_ms: u64,
    /// How many of a thousand messages take long, and how long at most, in ms.
    pub late: u64,
    pub late_ms: u64,
    /// How many of a thousand calls break their connection.
    pub breaks: u64,
    /// How many of a thousand calls arrive twice.
    pub repeated: u64,
    /// Whether messages of one connection overtake each other.
    pub overtaking: bool,
    /// Whether every server fsyncs every write.
    pub fsyncs: bool,
    /// The longest time between two faults, in ms; 0 for none.
    pub fault_ms: u64,
    /// How many faults may hold at a time.
    pub faults_at_once: usize,
    /// Largest difference of a clock from the true time, in ms.
    pub skew_ms: u64,
    /// Keys of each kind.
    pub keys: u64,
}

impl Weather {
    pub fn draw(rng: &mut Rng) -> Weather {
        Weather {
            nodes: rng.pick(&[3, 3, 3, 3, 3, 5]),
            coordinators: 2 + rng.below(2) as usize,
            tasks: rng.pick(&[1, 1, 2, 3]),
            ops_each: rng.pick(&[4, 8, 12]),
            think_ms: rng.pick(&[1, 20, 200]),
            late: rng.pick(&[0, 10, 50, 200]),
            late_ms: rng.pick(&[30, 300, 3_000]),
            breaks: rng.pick(&[0, 0, 5, 30]),
            repeated: rng.pick(&[0, 0, 50]),
            overtaking: rng.permille(300),
            fsyncs: rng.permille(600),
            fault_ms: rng.pick(&[0, 100, 500, 1_500]),
            faults_at_once: rng.pick(&[1, 1, 1, 2, 3]),
            skew_ms: rng.pick(&[0, 20, 200]),
            keys: rng.pick(&[1, 1, 2]),
        }
    }
}

impl Weather {
    /// A network that only takes 1 to 3 ms, and clocks that are right, until somebody does something to them.
    pub fn fair(nodes: usize, parties: usize) -> Weather {
        Weather {
            nodes,
            coordinators: parties,
            tasks: 1,
            ops_each: 0,
            think_ms: 1,
            late: 0,
            late_ms: 6,
            breaks: 0,
            repeated: 0,
            overtaking: false,
            fsyncs: false,
            fault_ms: 0,
            faults_at_once: 1,
            skew_ms: 0,
            keys: 1,
        }
    }
}

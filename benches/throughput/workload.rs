//! What is done, and on which keys.

use rand::Rng;
use rand::distr::Distribution;
use rand::rngs::SmallRng;
use rand_distr::Zipf;

/// YCSB's own skew: of 10,000 keys the first gets a tenth of the requests.
const SKEW: f64 = 0.99;

/// One thing that is done to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Set,
    Get,
    Incr,
    /// LPUSH and LTRIM in one transaction: a list of the latest.
    Capped,
    /// LPUSH alone.
    Push,
    Hset,
    Zadd,
}

impl Operation {
    pub fn is_read(self) -> bool {
        self == Operation::Get
    }

    /// In the key's name: operations that share it work on the same keys.
    pub fn family(self) -> &'static str {
        match self {
            Operation::Set | Operation::Get => "string",
            Operation::Incr => "count",
            Operation::Capped => "capped",
            Operation::Push => "list",
            Operation::Hset => "hash",
            Operation::Zadd => "zset",
        }
    }
}

/// What a task does all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    Set,
    Get,
    Incr,
    Capped,
    Hset,
    Zadd,
    /// YCSB A: half reads, half writes, zipfian keys.
    YcsbA,
    /// YCSB B: 95 of 100 are reads.
    YcsbB,
    /// YCSB C: reads only.
    YcsbC,
    /// LPUSH on lists that grow.
    Push,
    /// Reads, writes, counters and hashes, a quarter each.
    Mixed,
}

impl Workload {
    /// Those that `--only` may name.
    pub const ALL: [Workload; 9] = [
        Workload::Set,
        Workload::Get,
        Workload::Incr,
        Workload::Capped,
        Workload::Hset,
        Workload::Zadd,
        Workload::YcsbA,
        Workload::YcsbB,
        Workload::YcsbC,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Set => "SET",
            Workload::Get => "GET",
            Workload::Incr => "INCR",
            Workload::Capped => "LPUSH+LTRIM",
            Workload::Hset => "HSET",
            Workload::Zadd => "ZADD",
            Workload::YcsbA => "YCSB-A",
            Workload::YcsbB => "YCSB-B",
            Workload::YcsbC => "YCSB-C",
            Workload::Push => "LPUSH",
            Workload::Mixed => "mixed",
        }
    }

    /// Whether it does nothing but SET and GET, which all contenders can.
    pub fn is_plain(self) -> bool {
        use Workload::{Get, Set, YcsbA, YcsbB, YcsbC};
        matches!(self, Set | Get | YcsbA | YcsbB | YcsbC)
    }

    pub fn only_reads(self) -> bool {
        matches!(self, Workload::Get | Workload::YcsbC)
    }

    /// The operations that make the keys that it works on.
    pub fn makers(self) -> &'static [Operation] {
        match self {
            Workload::Set | Workload::Get => &[Operation::Set],
            Workload::YcsbA | Workload::YcsbB | Workload::YcsbC => &[Operation::Set],
            Workload::Incr => &[Operation::Incr],
            Workload::Capped => &[Operation::Capped],
            Workload::Push => &[Operation::Push],
            Workload::Hset => &[Operation::Hset],
            Workload::Zadd => &[Operation::Zadd],
            Workload::Mixed => &[Operation::Set, Operation::Incr, Operation::Hset],
        }
    }

    fn is_skewed(self) -> bool {
        matches!(self, Workload::YcsbA | Workload::YcsbB | Workload::YcsbC)
    }

    fn operation(self, random: &mut SmallRng) -> Operation {
        let reads_of_100 = |random: &mut SmallRng, share| {
            if random.random_range(0..100) < share { Operation::Get } else { Operation::Set }
        };
        match self {
            Workload::Set => Operation::Set,
            Workload::Get | Workload::YcsbC => Operation::Get,
            Workload::Incr => Operation::Incr,
            Workload::Capped => Operation::Capped,
            Workload::Hset => Operation::Hset,
            Workload::Zadd => Operation::Zadd,
            Workload::Push => Operation::Push,
            Workload::YcsbA => reads_of_100(random, 50),
            Workload::YcsbB => reads_of_100(random, 95),
            Workload::Mixed => {
                let all = [Operation::Get, Operation::Set, Operation::Incr, Operation::Hset];
                all[random.random_range(0..all.len())]
            }
        }
    }
}

/// An operation, and a number that names its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    pub operation: Operation,
    pub key: usize,
}

/// Draws the operations of one task.
pub struct Draws {
    workload: Workload,
    keys: usize,
    skewed: Option<Zipf<f64>>,
    random: SmallRng,
}

impl Draws {
    pub fn new(workload: Workload, keys: usize, random: SmallRng) -> Draws {
        let skewed = workload
            .is_skewed()
            .then(|| Zipf::new(keys as f64, SKEW).expect("more than no keys, and a skew above zero"));
        Draws { workload, keys, skewed, random }
    }

    pub fn draw(&mut self) -> Draw {
        let key = match &self.skewed {
            // From 1 to the number of keys, as a float; rounding must not lead out of it.
            Some(zipf) => (zipf.sample(&mut self.random) as usize).clamp(1, self.keys) - 1,
            None => self.random.random_range(0..self.keys),
        };
        Draw { operation: self.workload.operation(&mut self.random), key }
    }
}

//! What was measured, as it is written to JSON and read from it.

use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    pub run: Run,
    pub cells: Vec<Cell>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory: String,
    pub kernel: String,
    /// Programs of others that took part, with their versions.
    pub versions: Vec<String>,
    /// The commit that was measured; `+` where files differ from it.
    pub commit: String,
    /// What the machine had to do besides, when the run began: the load average of a minute.
    pub busy: f64,
    /// How long a small write takes to be on the disk, in microseconds.
    pub sync: f64,
}

/// How it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub command: String,
    pub day: String,
    /// A smoke run: too short to mean anything.
    pub quick: bool,
    pub rounds: usize,
    /// Length of one measure.
    pub seconds: f64,
    /// How long all of it took.
    pub minutes: f64,
    /// What failed or could not be measured, and why.
    pub remarks: Vec<String>,
}

/// One contender in one situation: a measure for each round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    #[serde(flatten)]
    pub place: Place,
    pub contender: String,
    #[serde(with = "columns")]
    pub rounds: Vec<Measure>,
}

/// What all contenders of a comparison have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub section: String,
    pub workload: String,
    /// How long a value is, in bytes.
    pub bytes: usize,
    /// Of one coordinator; in an open loop the most that may be under way.
    pub tasks: usize,
    pub coordinators: usize,
    pub condition: String,
}

/// One round. Times in microseconds; processor time for one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measure {
    pub per_second: f64,
    /// Arrivals per second in an open loop, otherwise zero.
    pub offered: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The longest operation.
    pub longest: f64,
    /// The longest time in which no operation at all succeeded.
    pub gap: f64,
    /// Processor time of this process.
    pub client: f64,
    /// Processor time of the contender's servers together.
    pub servers: f64,
    pub done: u64,
    pub failed: u64,
}

/// A cell's rounds as one list for each number: a name is said once, and files are a third as long.
mod columns {
    use super::Measure;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    macro_rules! columns {
        ($($name:ident: $type:ty),*) => {
            #[derive(Serialize, Deserialize)]
            struct Columns { $($name: Vec<$type>),* }

            pub fn serialize<S: Serializer>(rounds: &[Measure], to: S) -> Result<S::Ok, S::Error> {
                Columns { $($name: rounds.iter().map(|round| round.$name).collect()),* }.serialize(to)
            }

            pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Measure>, D::Error> {
                let columns = Columns::deserialize(from)?;
                let mut rounds = vec![Measure::default(); columns.done.len()];
                $(
                    if columns.$name.len() != rounds.len() {
                        return Err(serde::de::Error::custom("columns differ in length"));
                    }
                    for (round, value) in rounds.iter_mut().zip(columns.$name) {
                        round.$name = value;
                    }
                )*
                Ok(rounds)
            }
        };
    }

    columns!(
        per_second: f64, offered: f64, p50: f64, p99: f64, p999: f64, longest: f64, gap: f64, client: f64, servers: f64,
        done: u64, failed: u64
    );
}

impl Report {
    pub fn find(&self, place: &Place, contender: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.place == *place && cell.contender == contender)
    }

    pub fn in_section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.place.section == section)
    }
}

impl Cell {
    pub fn middle(&self, pick: fn(&Measure) -> f64) -> f64 {
        median(self.rounds.iter().map(pick))
    }

    pub fn failed(&self) -> u64 {
        self.rounds.iter().map(|round| round.failed).sum()
    }

    /// The median of each round's own ratio: a round in which the machine was busy was so for both.
    pub fn ratio(&self, other: &Cell, pick: fn(&Measure) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(ours, other)| pick(ours) / pick(other)))
    }
}

/// NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

impl Measure {
    /// With the digits that mean something: the file is read by people too.
    pub fn rounded(self) -> Measure {
        let one = |value: f64| if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 };
        Measure {
            per_second: one(self.per_second),
            offered: one(self.offered),
            p50: one(self.p50),
            p99: one(self.p99),
            p999: one(self.p999),
            longest: one(self.longest),
            gap: one(self.gap),
            client: one(self.client),
            servers: one(self.servers),
            ..self
        }
    }
}

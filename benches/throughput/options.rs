//! The words behind `--`.

use crate::contender::{Kind, Operation};
use std::time::Duration;

/// What to measure.
pub struct Options {
    /// How long each measure is.
    pub seconds: Duration,
    pub rounds: usize,
    pub operations: Vec<Operation>,
    pub tasks: Vec<usize>,
    pub contenders: Vec<Kind>,
    /// A scope of our nodes; the empty one makes all keys one register.
    pub scope: Option<String>,
}

impl Default for Options {
    /// Ends within three minutes: 4 operations, 3 numbers of tasks, 4 contenders, 5 rounds, 0.6 s.
    fn default() -> Self {
        Options {
            seconds: Duration::from_millis(600),
            rounds: 5,
            operations: Operation::ALL.to_vec(),
            tasks: vec![1, 16, 64],
            contenders: Kind::ALL.to_vec(),
            scope: None,
        }
    }
}

impl Options {
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(name) = arguments.next() {
            // cargo says so to every benchmark.
            if name == "--bench" {
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--seconds" => options.seconds = seconds(&value)?,
                "--scope" => options.scope = Some(value),
                "--rounds" => options.rounds = number(&value)?,
                "--only" => {
                    options.operations =
                        list(&value, |word| pick(&Operation::ALL, word, |operation| operation.name()))?
                }
                "--tasks" => options.tasks = list(&value, number)?,
                "--contender" => {
                    options.contenders = list(&value, |word| pick(&Kind::ALL, word, |kind| kind.word()))?
                }
                _ => {
                    return Err(format!(
                        "unknown option {name}: there are --seconds, --rounds, --only, --tasks, --contender, --scope"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn seconds(word: &str) -> Result<Duration, String> {
    let seconds = word.parse().map_err(|_| format!("'{word}' is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|problem| format!("{word} seconds: {problem}"))
}

fn number(word: &str) -> Result<usize, String> {
    let number: usize = word.parse().map_err(|_| format!("'{word}' is not a number"))?;
    if number == 0 { Err("0 of them is nothing to measure".into()) } else { Ok(number) }
}

fn list<T>(words: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    words.split(',').map(one).collect()
}

fn pick<T: Copy>(all: &[T], word: &str, name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        format!("'{word}' is none of {}", names.join(", "))
    })
}

//! The words behind `--`.

use crate::contender::Kind;
use crate::workload::Workload;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Closed,
    Open,
    Hot,
    Large,
    Scope,
    Conditions,
    Durable,
}

impl Section {
    const ALL: [Section; 7] = [
        Section::Closed,
        Section::Open,
        Section::Hot,
        Section::Large,
        Section::Scope,
        Section::Conditions,
        Section::Durable,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Section::Closed => "closed",
            Section::Open => "open",
            Section::Hot => "hot",
            Section::Large => "large",
            Section::Scope => "scope",
            Section::Conditions => "conditions",
            Section::Durable => "durable",
        }
    }
}

/// What replication costs: ours, next to what any replication over three servers pays, and to what others offer.
#[derive(Parser, Debug)]
#[command(name = "cargo bench --bench throughput --")]
pub struct Options {
    /// A smoke run: everything once, too short to mean anything
    #[arg(long)]
    pub quick: bool,
    /// How often every contender has its turn; five, or one with --quick
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each measure is, in seconds; 0.3, or 0.05 with --quick
    #[arg(long)]
    seconds: Option<f64>,
    /// Parts of the run: closed, open, hot, large, scope, conditions, durable
    #[arg(long, value_delimiter = ',', value_parser = section)]
    sections: Vec<Section>,
    /// Workloads of the closed loop: set, get, incr, lpush+ltrim, hset, zadd, ycsb-a, ycsb-b, ycsb-c
    #[arg(long, value_delimiter = ',', value_parser = workload)]
    pub only: Vec<Workload>,
    /// Numbers of tasks in the closed loop
    #[arg(long, value_delimiter = ',')]
    pub tasks: Vec<usize>,
    /// Lengths of values in the closed loop, in bytes
    #[arg(long, value_delimiter = ',')]
    pub bytes: Vec<usize>,
    /// Who takes part: ours, evalsha, raw, raw2, plain, wait1, wait2, etcd
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    contender: Vec<Kind>,
    /// A scope of our nodes; the empty one makes all keys one register
    #[arg(long)]
    pub scope: Option<String>,
    /// Writes BENCHMARKS.md and docs/benchmarks anew
    #[arg(long)]
    pub write: bool,
    /// Writes what was measured to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Measures nothing: writes the page from this file
    #[arg(long)]
    pub page_from: Option<PathBuf>,
    /// cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 }).max(1)
    }

    pub fn length(&self) -> Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { 0.05 } else { 0.3 });
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1))
    }

    pub fn keys(&self) -> usize {
        if self.quick { 1_000 } else { 10_000 }
    }

    /// All, unless some are named or what is said is about the closed loop only.
    pub fn has(&self, section: Section) -> bool {
        if !self.sections.is_empty() {
            return self.sections.contains(&section);
        }
        let narrow = !(self.only.is_empty() && self.tasks.is_empty() && self.bytes.is_empty());
        section == Section::Closed || !(narrow || self.scope.is_some() || !self.contender.is_empty())
    }

    pub fn contenders(&self) -> Vec<Kind> {
        if self.contender.is_empty() { Kind::ALL.to_vec() } else { self.contender.clone() }
    }

    /// The scopes that our nodes are given: that of the section about scopes, unless another is asked for.
    pub fn scopes(&self) -> Vec<String> {
        match &self.scope {
            Some(scope) => vec![scope.clone()],
            None if self.has(Section::Scope) => vec![crate::sections::scope::PREFIX.to_owned()],
            None => Vec::new(),
        }
    }
}

fn section(word: &str) -> Result<Section, String> {
    pick(&Section::ALL, word, Section::word)
}

fn workload(word: &str) -> Result<Workload, String> {
    pick(&Workload::ALL, word, Workload::name)
}

fn kind(word: &str) -> Result<Kind, String> {
    pick(&Kind::ALL, word, Kind::word)
}

fn pick<T: Copy>(all: &[T], word: &str, name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        format!("it is none of {}", names.join(", "))
    })
}

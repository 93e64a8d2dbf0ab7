//! What replication costs: ours, next to what any replication over three servers pays, all in one run.
//!
//! ```text
//!   cargo bench --bench throughput -- [--seconds 0.6] [--rounds 5] [--only set,get] [--tasks 1,64] [--contender ours,raw] [--scope ""]
//! ```
//!
//! Contenders take turns, round after round, so that a machine that is busy for a while is busy for all of them. What is
//! printed are medians of the rounds; a ratio is the median of each round's own ratio.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod contender;
mod load;
mod options;
mod processor;
mod report;

use anarchoredis::Client;
use contender::{Contender, Kind, Operation};
use futures_util::future::join_all;
use harness::{Nodes, Server, Version};
use load::{Load, Measure};
use options::Options;
use processor::Processor;

/// How many keys each operation of each contender works on.
const KEYS: usize = 10_000;
/// Elements that a list may have on average; above it all lists are dropped between two measures.
const LONGEST_LIST: usize = 32;

fn main() {
    let options = Options::from_arguments(std::env::args().skip(1)).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(2);
    });
    // As many workers as cores: what a service has by default.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&options));
}

async fn run(options: &Options) {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::Any))).await;
    let builder = Client::builder().nodes(nodes.urls()).scopes(&options.scope);
    let client = builder.connect().await.expect("three fresh nodes make a store");
    let mut processor = Processor::of(&nodes).await;
    let mut contenders = Vec::new();
    for kind in options.contenders.iter().copied() {
        contenders.push(Contender::new(kind, &client, &nodes).await);
    }
    report::heading(options);
    let mut targets = report::Targets::default();
    for operation in options.operations.iter().copied() {
        join_all(contenders.iter().map(|contender| load::fill(contender, operation))).await;
        for tasks in options.tasks.iter().copied() {
            let load = Load { operation, tasks, length: options.seconds };
            let measures = take_turns(&mut contenders, &load, options.rounds, &mut processor).await;
            report::block(&load, &measures, &mut targets);
        }
    }
    targets.print();
    println!("\nrepairs that the client asked for meanwhile: {}", client.repairs().requested);
}

/// The measures of each contender, in the order of the rounds.
async fn take_turns(
    contenders: &mut [Contender],
    load: &Load,
    rounds: usize,
    processor: &mut Processor,
) -> Vec<(Kind, Vec<Measure>)> {
    let mut measures: Vec<_> = contenders.iter().map(|contender| (contender.kind(), Vec::new())).collect();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Nobody is always the one that comes after the slowest.
            let place = (round + turn) % contenders.len();
            measures[place].1.push(load.run(&contenders[place], processor).await);
            shorten_lists(&mut contenders[place], load.operation).await;
        }
    }
    measures
}

async fn shorten_lists(contender: &mut Contender, operation: Operation) {
    if operation == Operation::Lpush && contender.pushed() > LONGEST_LIST * KEYS {
        load::empty(contender, operation).await;
        contender.forget_pushed();
    }
}

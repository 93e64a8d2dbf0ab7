//! What replication costs: ours, next to what any replication over three servers pays, and to what others offer, all in one run.
//!
//! ```text
//!   cargo bench --bench throughput -- --help
//!   cargo bench --bench throughput -- --write                     all of it, and BENCHMARKS.md anew: some ten minutes
//!   cargo bench --bench throughput -- --quick                     a smoke run
//!   cargo bench --bench throughput -- --only set,get --tasks 1,64 --contender ours,evalsha,raw
//! ```
//!
//! Contenders take turns, round after round, so that a machine that is busy for a while is busy for all of them. What is
//! printed are medians of the rounds; a ratio is the median of each round's own ratio.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod bench;
mod contender;
mod etcd_servers;
mod load;
mod machine;
mod options;
mod page;
mod plot;
mod processor;
mod record;
mod schedule;
mod sections;
mod site;
mod table;
mod targets;
mod titles;
mod workload;

use bench::Bench;
use clap::Parser;
use options::{Options, Section};
use record::{Report, Run};
use site::{Site, Storage};
use std::fs;
use std::path::Path;
use std::time::Instant;

fn main() {
    let options = Options::parse();
    let report = match &options.page_from {
        Some(path) => {
            let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }
        None => measure(&options),
    };
    table::verdicts(&report);
    if let Some(path) = &options.json {
        write(path, &json(&report));
    }
    if options.write {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join(page::FOLDER);
        fs::create_dir_all(&folder).expect("a folder for the drawings");
        write(&folder.join("results.json"), &json(&report));
        plot::all(&report).iter().for_each(|(name, svg)| write(&folder.join(name), svg));
        write(&root.join("BENCHMARKS.md"), &page::of(&report));
    }
}

fn measure(options: &Options) -> Report {
    let (machine, began) = (machine::look(), Instant::now());
    // As many workers as cores: what a service has by default.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let bench = runtime.block_on(run(options));
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let command = format!("cargo bench --bench throughput -- {}", arguments.join(" "));
    let run = Run {
        command: command.trim_end_matches([' ', '-']).to_owned(),
        day: machine::day(),
        quick: options.quick,
        rounds: bench.rounds,
        seconds: bench.length.as_secs_f64(),
        minutes: (began.elapsed().as_secs_f64() / 6.0).round() / 10.0,
        remarks: bench.remarks,
    };
    Report { machine, run, cells: bench.cells }
}

async fn run(options: &Options) -> Bench {
    let (rounds, length) = (options.rounds(), options.length());
    let mut bench = Bench { keys: options.keys(), rounds, length, cells: Vec::new(), remarks: Vec::new() };
    table::heading(rounds, length);
    let on_healthy = [Section::Closed, Section::Open, Section::Hot, Section::Large, Section::Scope];
    if on_healthy.iter().any(|section| options.has(*section)) {
        healthy(&mut bench, options).await;
    }
    if options.has(Section::Conditions) {
        sections::conditions::run(&mut bench, options).await;
    }
    if options.has(Section::Durable) {
        sections::durable::run(&mut bench, options).await;
    }
    bench
}

/// What is measured on the same servers, one after the other.
async fn healthy(bench: &mut Bench, options: &Options) {
    let site = Site::start(Storage::Memory, &options.contenders(), &options.scopes()).await;
    site.missing.iter().for_each(|missing| bench.remark(missing.clone()));
    if options.has(Section::Closed) {
        sections::closed::run(bench, &site, options).await;
    }
    if options.has(Section::Open) {
        sections::open::run(bench, &site, options).await;
    }
    if options.has(Section::Hot) {
        sections::hot::run(bench, &site).await;
    }
    if options.has(Section::Large) {
        sections::large::run(bench, &site).await;
    }
    if options.has(Section::Scope) {
        sections::scope::run(bench, &site).await;
    }
    println!("\nrepairs that the client asked for meanwhile: {}", site.client.repairs().requested);
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).expect("a report is plain data").replace("{\"section\"", "\n{\"section\"")
        + "\n"
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("wrote {}", path.display());
}

//! `anarcho-heal`: makes all nodes identical and says what it did. Flags, logging and output; the work is in `anarchoredis::heal`.

use anarchoredis::Config;
use anarchoredis::heal::{Healer, Progress, Summary};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Compares all registers on all nodes, repairs what differs, and re-admits nodes that lost their data.
///
/// Exit code 0: all nodes vote and hold the same. 1: they do not, or not all could be asked. 2: wrong use.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// A node's URL, such as redis://127.0.0.1:6379 or rediss://user:password@host; once for each node of the cluster, all of them.
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<String>,
    /// One whole pass, then exit. (A daemon that repeats it is not there yet.)
    #[arg(long, required = true)]
    once: bool,
    /// The summary as one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// A bar on a terminal; notes as lines on standard error.
struct Bar(ProgressBar);

impl Bar {
    fn new(shown: bool) -> Bar {
        if !shown {
            return Bar(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} registers, {per_sec}, {eta} left, {msg}")
        {
            bar.set_style(style);
        }
        Bar(bar)
    }
}

impl Progress for Bar {
    fn compared(&self, seen: u64, about: u64, repaired: u64) {
        self.0.set_length(about);
        self.0.set_position(seen);
        self.0.set_message(format!("{repaired} repaired"));
    }

    fn note(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let flags = Flags::parse();
    let bar = Bar::new(std::io::stderr().is_terminal() && !flags.json);
    let healed = match Healer::connect(flags.nodes, Config::default()).await {
        Ok(healer) => healer.once(&bar).await,
        Err(error) => Err(error),
    };
    bar.0.finish_and_clear();
    match healed {
        Ok(summary) => report(&summary, flags.json),
        Err(error) => {
            eprintln!("anarcho-heal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(summary: &Summary, json: bool) -> ExitCode {
    if json {
        match serde_json::to_string(summary) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("anarcho-heal: {error}"),
        }
    } else {
        print_table(summary);
    }
    if summary.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verdict(summary: &Summary) -> &'static str {
    match (summary.complete, summary.away.is_empty()) {
        (true, _) => "all nodes are identical",
        (false, false) => {
            "NOT all nodes take part; what the others hold is safe. Start the missing ones and run it again"
        }
        (false, true) => "the nodes are NOT all identical yet; run it again",
    }
}

fn print_table(summary: &Summary) {
    println!("registers seen       {:>10}", summary.seen);
    println!("identical at once    {:>10}", summary.identical);
    for node in &summary.repaired {
        println!("repaired             {:>10}  {}", node.registers, node.node);
    }
    println!("dirty marks cleaned  {:>10}", summary.cleaned);
    println!("failed               {:>10}", summary.failed);
    for node in &summary.rejoined {
        println!("votes again          {node}");
    }
    for node in &summary.away {
        println!("does not vote        {node}");
    }
    println!("{}", verdict(summary));
}

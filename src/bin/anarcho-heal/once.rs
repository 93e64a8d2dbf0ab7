//! One pass, and what it came to.

use super::flags::{Change, Command, File, Flags};
use anarchoredis::Config;
use anarchoredis::heal::{Healer, Progress, Summary};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bar on a terminal; notes as lines on standard error.
pub struct Bar {
    bar: ProgressBar,
    moved: AtomicU64,
}

impl Bar {
    /// None to be seen where nobody looks.
    pub fn new(shown: bool) -> Bar {
        let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} registers, {per_sec}, {eta} left, {msg}")
        {
            bar.set_style(style);
        }
        Bar { bar, moved: AtomicU64::new(0) }
    }
}

impl Bar {
    /// Takes it away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn compared(&self, seen: u64, about: u64, repaired: u64) {
        self.bar.set_length(about);
        self.bar.set_position(seen);
        let moved = HumanBytes(self.moved.load(Ordering::Relaxed));
        self.bar.set_message(format!("{repaired} repaired, {moved} moved"));
    }

    fn moved(&self, bytes: u64) {
        self.moved.store(bytes, Ordering::Relaxed);
    }

    fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

/// Connects, makes one pass, and reports.
pub async fn run(flags: &Flags, file: File) -> Result<ExitCode, String> {
    let bar = Bar::new(std::io::stderr().is_terminal() && !flags.json);
    let healer = Healer::connect(file.nodes, Config::default()).await;
    let healer = healer.map_err(|error| error.to_string())?;
    let healer = if flags.is_limited() { healer.with_settings(file.settings) } else { healer };
    let config = Config::default();
    let healed = match &flags.command {
        Some(Command::Recover) if flags.dry_run => {
            return Err(
                "nobody can tell beforehand what a recovery would find: --dry-run goes with --once".into()
            );
        }
        Some(Command::Recover) => healer.recover(&bar).await,
        Some(Command::Node { .. }) if flags.dry_run => {
            return Err("a change of members cannot be tried: --dry-run goes with --once".into());
        }
        Some(Command::Rejoin { member }) if !flags.dry_run => healer.rejoin(member, &bar).await,
        Some(Command::Node { change: Change::Add { url } }) => healer.add(url, &config, &bar).await,
        Some(Command::Node { change: Change::Remove { member } }) => healer.remove(member, &bar).await,
        Some(Command::Node { change: Change::Replace { member, url } }) => {
            healer.replace(member, url, &config, &bar).await
        }
        _ if flags.dry_run => healer.look(&bar).await,
        _ => healer.once(&bar).await,
    };
    bar.end();
    report(&healed.map_err(|error| error.to_string())?, flags)
}

fn report(summary: &Summary, flags: &Flags) -> Result<ExitCode, String> {
    if flags.json {
        println!("{}", serde_json::to_string(summary).map_err(|error| error.to_string())?);
    } else {
        print_table(summary, flags.dry_run);
    }
    Ok(if summary.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(summary: &Summary, dry_run: bool) -> &'static str {
    match (summary.complete, summary.away.is_empty()) {
        (true, _) => "all nodes are identical",
        (false, false) => {
            "NOT all nodes take part; what the others hold is safe. Start the missing ones and run it again"
        }
        (false, true) if dry_run => "the nodes are NOT all identical; nothing was changed",
        (false, true) => "the nodes are NOT all identical yet; run it again",
    }
}

fn print_table(summary: &Summary, dry_run: bool) {
    println!("registers seen       {:>10}", summary.seen);
    println!("identical at once    {:>10}", summary.identical);
    println!("differing            {:>10}", summary.differing);
    for node in &summary.repaired {
        println!(
            "{}             {:>10}  {}",
            if dry_run { "to give " } else { "repaired" },
            node.registers,
            node.node
        );
    }
    println!("dirty marks cleaned  {:>10}", summary.cleaned);
    println!("failed               {:>10}", summary.failed);
    for node in &summary.rejoined {
        println!("votes again          {node}");
    }
    for node in &summary.away {
        println!("does not vote        {node}");
    }
    println!("{}", verdict(summary, dry_run));
}

//! Questions, and their answers as tables.

use super::flags::{File, Flags};
use super::once::Bar;
use anarchoredis::heal::{Explanation, Healer, Status, Verified};
use anarchoredis::{Client, Config};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

async fn connect(file: File) -> Result<Healer, String> {
    Healer::connect(file.nodes, Config::default()).await.map_err(|error| error.to_string())
}

pub fn answer<T: Serialize>(
    answer: &T,
    json: bool,
    show: impl Fn(&T),
    good: bool,
) -> Result<ExitCode, String> {
    if json {
        println!("{}", serde_json::to_string(answer).map_err(|error| error.to_string())?);
    } else {
        show(answer);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Colours only where standard output is a terminal: the table looks by itself.
fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.to_vec());
    table
}

fn role_cell(role: &str) -> Cell {
    let color = match role {
        "voter" => Color::Green,
        "joining" | "adopting" => Color::Yellow,
        _ => Color::Red,
    };
    Cell::new(role).fg(color)
}

/// Starts a new cluster, or finds the one that the nodes are.
pub async fn init(file: File, scopes: &[String]) -> Result<ExitCode, String> {
    let mut builder = Client::builder().nodes(file.nodes);
    for scope in scopes {
        builder = builder.scope(scope.as_bytes());
    }
    let client = builder.connect().await.map_err(|error| error.to_string())?;
    show_status(&client.healer().status().await);
    Ok(ExitCode::SUCCESS)
}

/// How every node is.
pub async fn status(flags: &Flags, file: File) -> Result<ExitCode, String> {
    let status = connect(file).await?.status().await;
    let whole = status.is_whole();
    answer(&status, flags.json, show_status, whole)
}

fn show_status(status: &Status) {
    let mut shown = table(&[
        "node",
        "id",
        "role",
        "generation.epoch",
        "run id",
        "version",
        "keys",
        "memory",
        "dirty",
        "clock",
        "what to do",
    ]);
    for node in &status.nodes {
        shown.add_row(vec![
            Cell::new(&node.address),
            Cell::new(short(&node.id)),
            role_cell(node.role),
            Cell::new(format!("{}.{}", node.generation, node.epoch)),
            Cell::new(short(&node.run_id)),
            Cell::new(&node.version),
            Cell::new(node.keys),
            Cell::new(format!("{:.1} MiB", node.memory as f64 / 1024.0 / 1024.0)),
            Cell::new(node.dirty),
            Cell::new(format!("{:+} ms", node.clock_offset_ms)),
            Cell::new(&node.advice),
        ]);
    }
    println!("{shown}");
    let verdict =
        if status.voters >= status.majority { "it works" } else { "it does NOT work: too few vote" };
    println!(
        "cluster {}, generation {}: {} of {} members vote, {} must: {verdict}",
        status.cluster, status.generation, status.voters, status.members, status.majority
    );
    show_sweep(status);
}

fn show_sweep(status: &Status) {
    let marked = match status.backlog {
        0 => "backlog 0: no repair was dropped or failed that was not done again".to_owned(),
        count => format!(
            "backlog {count}: registers that a node is known to miss a write of; a healer brings them"
        ),
    };
    println!("{marked}");
    let Some(sweep) = status.last_sweep else {
        return println!("no node remembers a sweep: run `anarcho-heal`, or `anarcho-heal --once`");
    };
    let ended = UNIX_EPOCH + Duration::from_millis(sweep.ended_ms);
    let ago = SystemTime::now().duration_since(ended).unwrap_or_default();
    println!(
        "last sweep {} ago: {} registers, {} differed, {} repairs, {} failed; {}",
        humantime::format_duration(Duration::from_secs(ago.as_secs())),
        sweep.registers,
        sweep.differing,
        sweep.repaired,
        sweep.failed,
        if sweep.complete { "all nodes were identical" } else { "the nodes were not all identical yet" }
    );
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// What every node holds of a key.
pub async fn explain(flags: &Flags, file: File, key: &str) -> Result<ExitCode, String> {
    let explanation = connect(file).await?.explain(key.as_bytes()).await;
    answer(&explanation, flags.json, show_explanation, true)
}

fn show_explanation(explained: &Explanation) {
    println!("key {}, of register {}", explained.key, explained.register);
    let mut shown = table(&[
        "node", "role", "version", "settled", "digest", "promised", "accepted", "type", "bytes", "expires",
        "note",
    ]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for node in &explained.nodes {
        shown.add_row(vec![
            Cell::new(&node.node),
            role_cell(node.role),
            Cell::new(number(node.version)),
            Cell::new(number(node.settled)),
            Cell::new(short(&node.digest)),
            Cell::new(&node.promised),
            Cell::new(&node.accepted),
            Cell::new(&node.kind),
            Cell::new(node.bytes),
            Cell::new(node.expires_in_ms.map_or_else(|| "-".to_owned(), |ms| format!("in {ms} ms"))),
            Cell::new(&node.note),
        ]);
    }
    println!("{shown}\n{}", explained.verdict);
    for repair in &explained.repairs {
        println!("to repair: {repair}");
    }
}

/// Whether the values are the same everywhere.
pub async fn verify(flags: &Flags, file: File, repair: bool, adopt: bool) -> Result<ExitCode, String> {
    let bar = Bar::new(std::io::stderr().is_terminal() && !flags.json);
    let settings = file.settings.clone();
    let mut healer = connect(file).await?;
    if flags.is_limited() {
        healer = healer.with_settings(settings);
    }
    let verified = healer.verify(repair && !flags.dry_run, &bar).await;
    bar.end();
    let mut verified = verified.map_err(|error| error.to_string())?;
    if adopt && !flags.dry_run {
        healer.adopt_strays(&mut verified).await.map_err(|error| error.to_string())?;
    }
    let sound = verified.is_sound();
    answer(&verified, flags.json, show_verified, sound)
}

fn show_verified(verified: &Verified) {
    if !verified.findings.is_empty() {
        let mut shown = table(&["register", "what is wrong", "on", "repaired", "note"]);
        for finding in &verified.findings {
            let repaired = if finding.repaired {
                Cell::new("yes").fg(Color::Green)
            } else {
                Cell::new("no").fg(Color::Red)
            };
            let fault = format!("{:?}", finding.fault).to_lowercase();
            shown.add_row(vec![
                Cell::new(&finding.register),
                Cell::new(fault),
                Cell::new(finding.nodes.join(", ")),
                repaired,
                Cell::new(&finding.note),
            ]);
        }
        println!("{shown}");
    }
    println!(
        "{} registers compared, {} keys looked up, {} findings",
        verified.registers,
        verified.keys,
        verified.findings.len()
    );
    for node in &verified.away {
        println!("not compared: {node}");
    }
}

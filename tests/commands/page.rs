//! The page: a table for each group of commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::collect::{Entry, VERSIONS};
use crate::harness::Version;

/// Redis' groups, in the order of the page, as a heading says them.
const GROUPS: [(&str, &str); 16] = [
    ("generic", "Keys"),
    ("string", "Strings"),
    ("bitmap", "Bitmaps"),
    ("hyperloglog", "HyperLogLog"),
    ("hash", "Hashes"),
    ("list", "Lists"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("geo", "Geo"),
    ("stream", "Streams"),
    ("pubsub", "Publish and subscribe"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts and functions"),
    ("connection", "Connection"),
    ("server", "Server"),
    ("cluster", "Cluster"),
];

const INTRODUCTION: &str = "\
# Commands

What happens to every command of Redis 7.0, Redis 7.4 and Valkey 9. This page is made from the servers' own lists and from the
code (`make commands`), and tests hold it to what the client does.

- **yes**: it answers as one Redis server does. Random sequences of all these commands, wrong ones among them, are compared
  with a plain server reply by reply (`tests/differential.rs`); scripts, streams and walks have comparisons of their own.
- **no**: it is refused before anything is sent. The remark is the client's own text.

A command is run only if every node knows it. A *register* is one key, or all keys that share a hash tag: `{user:7}:name` and
`{user:7}:cart`.
";

/// One line of a table: commands that are treated alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// `config` for all subcommands of CONFIG that share a verdict.
    command: String,
    subcommands: Vec<String>,
    versions: Vec<Version>,
    summary: String,
    is_supported: bool,
    remark: String,
}

pub fn page(entries: &BTreeMap<String, Entry>) -> String {
    let of_7_0 = || entries.values().filter(|entry| entry.versions.contains(&Version::V7_0));
    let supported = of_7_0().filter(|entry| entry.reason.is_none()).count();
    let mut page = INTRODUCTION.to_owned();
    let _ = writeln!(
        page,
        "\nOf the {} commands and subcommands of Redis 7.0, {supported} are supported.",
        of_7_0().count()
    );
    for (group, heading) in GROUPS {
        let rows = rows(entries.values().filter(|entry| entry.group == group));
        if rows.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "\n## {heading}\n\n| command | supported | what it does | remark |\n|---|---|---|---|\n"
        );
        rows.iter().for_each(|row| row.write(&mut page));
    }
    let strangers: Vec<&Entry> =
        entries.values().filter(|entry| GROUPS.iter().all(|(group, _)| *group != entry.group)).collect();
    assert!(strangers.is_empty(), "a group that the page does not know: {strangers:?}");
    page
}

/// Subcommands that are treated alike share a row.
fn rows<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for entry in entries {
        let row = Row::of(entry);
        let alike = |other: &&mut Row| {
            !row.subcommands.is_empty()
                && (&other.command, &other.versions, other.is_supported, &other.remark)
                    == (&row.command, &row.versions, row.is_supported, &row.remark)
        };
        match rows.iter_mut().find(alike) {
            Some(other) => {
                other.subcommands.extend(row.subcommands);
                other.summary.clone_from(&entry.family);
            }
            None => rows.push(row),
        }
    }
    rows.sort();
    rows
}

impl Row {
    fn of(entry: &Entry) -> Row {
        let (command, subcommand) =
            entry.name.split_once('|').map_or((entry.name.as_str(), None), |(a, b)| (a, Some(b)));
        Row {
            command: command.to_uppercase(),
            subcommands: subcommand.iter().map(|name| name.to_uppercase()).collect(),
            versions: entry.versions.clone(),
            summary: entry.summary.clone(),
            is_supported: entry.reason.is_none(),
            remark: entry.reason.clone().unwrap_or_else(|| entry.remarks.join("; ")),
        }
    }

    fn write(&self, page: &mut String) {
        let quoted: Vec<String> =
            self.subcommands.iter().map(|subcommand| format!("`{} {subcommand}`", self.command)).collect();
        let names = if quoted.is_empty() { format!("`{}`", self.command) } else { quoted.join(", ") };
        let versions =
            if self.versions == VERSIONS { String::new() } else { format!(" ({})", listed(&self.versions)) };
        let supported = if self.is_supported { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "| {names}{versions} | {supported} | {} | {} |",
            cell(&self.summary),
            cell(&self.remark)
        );
    }
}

fn listed(versions: &[Version]) -> String {
    let name = |version: &Version| match version {
        Version::Valkey9 => "Valkey 9".to_owned(),
        version => format!("Redis {version}"),
    };
    versions.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

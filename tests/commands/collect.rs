//! Every command of every server version, and what we make of it.

use std::collections::BTreeMap;

use crate::command_support::live::{send, table_of};
use crate::command_support::words;
use crate::docs;
use crate::harness::{Server, Version};
use crate::remarks::remarks;

/// What can say what its commands are for. Redis 6.2 cannot, and has none that these do not have.
pub const VERSIONS: [Version; 3] = [Version::V7_0, Version::V7_4, Version::Valkey9];

/// A command, or a subcommand as `object|encoding`.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub group: String,
    pub summary: String,
    /// Of a subcommand: what its command is for.
    pub family: String,
    /// Which versions know it.
    pub versions: Vec<Version>,
    /// Why it is refused, in the client's words.
    pub reason: Option<String>,
    /// What there is to know of one that is supported.
    pub remarks: Vec<String>,
}

impl Entry {
    pub fn is_refused_on(&self, version: Version) -> bool {
        self.reason.is_some() && self.versions.contains(&version)
    }

    /// What the client says.
    pub fn refusal(&self) -> String {
        format!("'{}' is refused: {}", self.name, self.reason.as_deref().unwrap_or_default())
    }
}

/// By name. A command that is nothing without its subcommands is not among them.
pub async fn collect() -> BTreeMap<String, Entry> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for version in VERSIONS {
        let server = Server::start(version).await;
        let mut connection = server.connection().await;
        let table = table_of(&mut connection).await;
        let reply = send(&mut connection, &words("COMMAND DOCS")).await.expect("COMMAND DOCS");
        let docs: BTreeMap<String, docs::Command> =
            docs::commands(&reply).into_iter().map(|command| (command.name.clone(), command)).collect();
        let names: Vec<&str> = table.commands().map(|(name, _)| name).collect();
        for (name, reason) in table.commands() {
            if names.iter().any(|other| other.starts_with(&format!("{name}|"))) {
                continue;
            }
            let entry = entries.entry(name.to_owned()).or_insert_with(|| {
                let [group, summary, family] = told(&docs, name);
                let reason = reason.map(str::to_owned);
                let remarks = if reason.is_none() { remarks(&table, name) } else { Vec::new() };
                Entry { name: name.to_owned(), group, summary, family, versions: Vec::new(), reason, remarks }
            });
            entry.versions.push(version);
        }
    }
    entries
}

/// Group, summary, and the summary of the whole command. An internal command is not described: it stands with the servers' own.
fn told(docs: &BTreeMap<String, docs::Command>, name: &str) -> [String; 3] {
    let container = docs.get(name.split('|').next().unwrap_or(name));
    let group = container.map_or("server", |command| command.group.as_str());
    let summary = docs.get(name).map_or("", |command| command.summary.as_str());
    let family = container.map_or("", |command| command.summary.as_str());
    [group, summary, family].map(|text| text.trim_end_matches('.').to_owned())
}

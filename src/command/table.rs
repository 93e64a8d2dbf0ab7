//! The servers' `COMMAND` table joined with ours.

use super::call::Plan;
use super::plan::plan;
use super::refusal::{Refusal, TableError};
use super::refused;
use super::request::Request;
use super::row::Row;
use super::rows;
use super::scopes::Scopes;
use super::scripts::Scripts;
use super::spec::{Spec, specs};
use redis::Value;
use std::collections::BTreeMap;

/// What the nodes can do, and what we do with it.
#[derive(Debug, Clone)]
pub struct Table {
    nodes: usize,
    entries: BTreeMap<String, Entry>,
    scripts: Scripts,
    scopes: Scopes,
}

#[derive(Debug, Clone)]
struct Entry {
    spec: Spec,
    verdict: Result<&'static Row, &'static str>,
    /// It has subcommands, with entries of their own.
    is_container: bool,
}

impl Table {
    /// From one server's reply to `COMMAND` (RESP2 or RESP3, Redis 6.2 or later).
    pub fn from_reply(reply: &Value) -> Result<Self, TableError> {
        let mut entries = BTreeMap::new();
        for spec in specs(reply)? {
            entries.insert(spec.name.clone(), Entry::of(spec));
        }
        let mut table = Self { nodes: 1, entries, scripts: Scripts::default(), scopes: Scopes::default() };
        table.mark_containers();
        table.add_unlisted_subcommands();
        table.mark_containers();
        Ok(table)
    }

    /// What holds for the nodes of both tables: a command is run only if every node knows it.
    pub fn merge(mut self, other: Self) -> Self {
        self.nodes += other.nodes;
        for (name, entry) in other.entries {
            match self.entries.get_mut(&name) {
                Some(known) => known.merge(&entry),
                None => drop(self.entries.insert(name, entry)),
            }
        }
        self
    }

    /// How to run a command, its name first; or why it is not run. `now_ms` is the time of the operation, in ms since
    /// 1970: relative expiry counts from it.
    pub fn plan(&self, args: &[&[u8]], now_ms: u64) -> Result<Plan, Refusal> {
        let request = Request::new(args)?;
        let entry = self.entry_for(&request)?;
        match entry.verdict {
            Err(reason) => Err(Refusal::unsupported(&entry.spec.name, reason)),
            Ok(_) if entry.spec.nodes < self.nodes => {
                Err(Refusal::NotOnEveryNode { name: entry.spec.name.clone() })
            }
            Ok(row) => plan(self, row, &entry.spec, &request, now_ms),
        }
    }

    /// Every command that a node knows (subcommands as `object|encoding`), and the reason if we refuse it as a whole.
    pub fn commands(&self) -> impl Iterator<Item = (&str, Option<&'static str>)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry.verdict.err()))
    }

    /// Whether a node knows the command (lower case).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// With the cluster's scopes, which say what is one register.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// The rule from key to register.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The users' scripts that this client knows.
    pub(super) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// Whether every node knows the command (lower case).
    pub(super) fn knows(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.spec.nodes == self.nodes)
    }

    /// What a server checks before it would queue a command.
    pub(crate) fn check(&self, args: &[&[u8]]) -> Result<(), Refusal> {
        self.entry_for(&Request::new(args)?).map(|_| ())
    }

    /// The entry of a command that has as many arguments as it may have.
    fn entry_for(&self, request: &Request<'_>) -> Result<&Entry, Refusal> {
        let entry = self.entry(request)?;
        if entry.spec.takes(request.len()) {
            return Ok(entry);
        }
        Err(Refusal::Arity { name: entry.spec.name.clone() })
    }

    fn entry(&self, request: &Request<'_>) -> Result<&Entry, Refusal> {
        let name = lower(request.arg(0));
        let entry = self.entries.get(&name).ok_or_else(|| unknown(request))?;
        if request.len() == 1 || !entry.is_container {
            return Ok(entry);
        }
        let full = format!("{name}|{}", lower(request.arg(1)));
        self.entries.get(&full).ok_or_else(|| Refusal::UnknownSubcommand {
            command: name.to_ascii_uppercase(),
            subcommand: head(request.arg(1), 128),
        })
    }

    fn mark_containers(&mut self) {
        let containers: Vec<String> = self
            .entries
            .keys()
            .filter_map(|name| name.split_once('|'))
            .map(|(container, _)| container.to_owned())
            .collect();
        for container in containers {
            if let Some(entry) = self.entries.get_mut(&container) {
                entry.is_container = true;
            }
        }
    }

    /// Redis 6.2 does not list subcommands: those of our own tables are added where it has none.
    fn add_unlisted_subcommands(&mut self) {
        for name in rows::names().chain(refused::names()) {
            let container = name.split_once('|').and_then(|(container, _)| self.entries.get(container));
            if let Some(entry) = container.filter(|entry| !entry.is_container) {
                let spec = entry.spec.subcommand_of(name);
                self.entries.insert(name.to_owned(), Entry::of(spec));
            }
        }
    }
}

impl Entry {
    fn of(spec: Spec) -> Self {
        let verdict = rows::row_of(&spec.name).ok_or_else(|| refused::reason(&spec.name));
        Self { spec, verdict, is_container: false }
    }

    fn merge(&mut self, other: &Self) {
        self.spec.merge(&other.spec);
        self.is_container |= other.is_container;
    }
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// In Redis' words: the arguments quoted, about 128 bytes of them, each up to its first zero byte.
fn unknown(request: &Request<'_>) -> Refusal {
    let mut args = String::new();
    for arg in request.args().iter().skip(1) {
        if args.len() >= 128 {
            break;
        }
        args.push_str(&format!("'{}' ", head(arg, 128 - args.len())));
    }
    Refusal::UnknownCommand { name: head(request.arg(0), 128), args }
}

fn head(text: &[u8], limit: usize) -> String {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let cut = text.get(..limit).unwrap_or(text);
    String::from_utf8_lossy(cut).replace(['\r', '\n'], " ")
}

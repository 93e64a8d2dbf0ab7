//! Flags, and the file that says the same.

use anarchoredis::heal::Settings;
use clap::{Parser, Subcommand};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Keeps all nodes of a cluster identical: drains what missed a write, sweeps all registers, and re-admits nodes that lost their data.
///
/// Without a command it runs until it is told to stop: SIGTERM ends what is under way and exits with 0, SIGHUP reads --config again.
/// Exit code 0: all nodes vote and hold the same. 1: they do not, or not all could be asked. 2: wrong use.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Flags {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A node's URL, such as redis://127.0.0.1:6379 or rediss://user:password@host; once for each node of the cluster, all of them.
    #[arg(long = "node", value_name = "URL", global = true)]
    nodes: Vec<String>,
    /// A TOML file with nodes, interval, limits and so on; flags outrank it.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Time between two scheduled sweeps [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// Serves Prometheus' /metrics there, such as 127.0.0.1:9121.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Wait for `anarcho-heal recover` where more nodes restarted at once than the loss of can be told.
    #[arg(long)]
    strict: bool,
    /// One whole pass, then exit.
    #[arg(long)]
    pub once: bool,
    /// Say what would be done, and change nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// One JSON object on standard output instead of a table.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is asked for, where it is not to heal.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// How every node is, and what to do. Exit code 0: all nodes vote.
    Status,
    /// What every node holds of a key, what a read would decide by which rule, and what would be repaired. Changes nothing.
    Explain {
        /// The key.
        key: String,
    },
    /// Compares all values of all nodes, not only their histories; finds what was changed behind the protocol's back, keys that no record
    /// lists, and records whose keys are gone. Exit code 0: nothing is wrong any more.
    Verify {
        /// Put the value of a majority where another one is.
        #[arg(long)]
        repair: bool,
        /// Make keys that were written to a node behind the protocol, and that no record lists, the store's own.
        #[arg(long)]
        adopt: bool,
    },
    /// After more nodes restarted at once than the loss of can be told: goes on with the newest that all nodes together hold. What was
    /// acknowledged just before may be lost. Needs all nodes; refused while a majority votes.
    Recover,
    /// Makes one server that holds data and others that are empty a new cluster; all of them are named by --node. Whoever reads from that
    /// server reads on; nobody may write to it meanwhile. With --dry-run it says what it would take over. Run again after an interruption,
    /// it goes on where it stopped.
    Adopt {
        /// Keys that begin so are one register, as for `init`.
        #[arg(long = "scope", value_name = "PREFIX")]
        scopes: Vec<String>,
    },
    /// Adds, removes or replaces a member while clients work. Run again after an interruption, it goes on where it stopped.
    Node {
        #[command(subcommand)]
        change: Change,
    },
    /// Brings a member back that does not vote: fills it from the others, and lets it vote. `--once`, and the daemon, do so for all of them.
    Rejoin {
        /// Its id (see `status`) or its address, host:port.
        member: String,
    },
    /// Starts a new cluster of the listed, empty nodes; clients do so as well at their first connect.
    Init {
        /// Keys that begin so are one register, such as `rq:`; '' makes the whole database one. Fixed for the cluster's life.
        #[arg(long = "scope", value_name = "PREFIX")]
        scopes: Vec<String>,
    },
}

/// What becomes of the members.
#[derive(Clone, Debug, Subcommand)]
pub enum Change {
    /// An empty server becomes a member, is filled, and votes.
    Add {
        /// Its URL, as all clients can reach it.
        url: String,
    },
    /// A member, there or not, is none any more. The others must all vote.
    Remove {
        /// Its id (see `status`) or its address, host:port.
        member: String,
    },
    /// A member is removed and an empty server added in its place.
    Replace {
        /// The id or address of the one that goes.
        member: String,
        /// The URL of the one that comes.
        url: String,
    },
}

/// What the file of --config may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct File {
    /// The nodes' URLs.
    pub nodes: Vec<String>,
    /// Where /metrics is served.
    pub metrics: Option<SocketAddr>,
    /// Everything that SIGHUP reads again.
    #[serde(skip)]
    pub settings: Settings,
}

impl Flags {
    /// Whether it runs until it is told to stop.
    pub fn is_service(&self) -> bool {
        !self.once && !self.dry_run && self.command.is_none()
    }

    /// Whether limits were given: single passes go as fast as the nodes answer without.
    pub fn is_limited(&self) -> bool {
        self.config.is_some()
    }

    /// The file, outranked by the flags.
    pub fn file(&self) -> Result<File, String> {
        let mut file = match &self.config {
            None => File::default(),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
                // The whole message would quote the line, and with it a password.
                parse(&text)
                    .map_err(|error| wrong(&anarchoredis::config::without_the_value(error.message())))?
            }
        };
        if !self.nodes.is_empty() {
            file.nodes.clone_from(&self.nodes);
        }
        file.metrics = self.metrics.or(file.metrics);
        file.settings.interval = self.interval.unwrap_or(file.settings.interval);
        file.settings.strict |= self.strict;
        Ok(file)
    }
}

/// Two readers of one table: each takes its own names, and a name that is nobody's is an error.
fn parse(text: &str) -> Result<File, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let mut rest: toml::Table = toml::from_str(text)?;
    rest.remove("nodes");
    rest.remove("metrics");
    Ok(File { settings: rest.try_into()?, ..file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_a_wrong_name_is_an_error() {
        let file = parse(
            "nodes = ['redis://a', 'redis://b']\ninterval = '2m'\nkeys_per_second = 5\nmetrics = '127.0.0.1:9'",
        );
        let file = file.expect("a good file");
        assert_eq!((file.nodes.len(), file.settings.interval), (2, Duration::from_secs(120)));
        assert_eq!((file.settings.keys_per_second, file.metrics.is_some()), (5, true));
        assert_eq!(file.settings.patience, Settings::default().patience);
        for wrong in ["intervall = '2m'", "interval = 'soon'", "keys_per_second = -1", "nodes = 'redis://a'"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

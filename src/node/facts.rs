//! What a server says of itself: INFO and the `look` of `admit.lua`.

use super::admission::Terms;
use super::configuration::{Configuration, Member};
use super::error::Refusal;
use crate::command::Scopes;
use crate::protocol::{Epoch, Role};
use crate::script::{Malformed, contract, fields, integer, text};
use redis::Value;
use std::collections::BTreeMap;

/// What INFO says that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Changes at every start of the server.
    pub run_id: String,
    /// As the server names it.
    pub version: String,
    role: String,
    policy: String,
    cluster_mode: bool,
    /// Whether it keeps an append-only file.
    pub appends: bool,
    /// Bytes of memory that it uses.
    pub used_memory: u64,
    /// Each database that has keys, and what INFO says of it, such as `keys=2,expires=0`.
    pub databases: Vec<(i64, String)>,
}

impl Info {
    /// Reads the text of INFO.
    pub fn parse(info: &str) -> Info {
        let all: BTreeMap<&str, &str> =
            info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let database =
            |(name, text): (&&str, &&str)| Some((name.strip_prefix("db")?.parse().ok()?, (*text).to_owned()));
        let field = |name: &str| all.get(name).copied().unwrap_or_default().to_owned();
        Info {
            run_id: field("run_id"),
            version: field("redis_version"),
            role: field("role"),
            policy: field("maxmemory_policy"),
            cluster_mode: field("cluster_enabled") == "1",
            appends: field("aof_enabled") == "1",
            used_memory: field("used_memory").parse().unwrap_or(0),
            databases: all.iter().filter_map(database).collect(),
        }
    }

    /// Refuses a server that cannot be a node, whatever it holds.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < (6, 2) {
            return Err(Refusal::TooOld(self.version.clone()));
        }
        if self.cluster_mode {
            return Err(Refusal::ClusterMode);
        }
        if self.role != "master" {
            return Err(Refusal::Replica);
        }
        match self.policy.as_str() {
            "noeviction" | "" => Ok(()),
            other => Err(Refusal::Evicts(other.to_owned())),
        }
    }
}

/// What the node's own bookkeeping says; empty texts where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The cluster's id.
    pub cluster: String,
    /// The node's id.
    pub node: String,
    /// The epoch of its admission.
    pub epoch: Epoch,
    /// voter, joining, claimed, or adopting.
    pub role: String,
    /// The server's run id at its last admission.
    pub run_id: String,
    /// All nodes of the cluster.
    pub members: Vec<Member>,
    /// The token of its admission.
    pub fence: String,
    /// DBSIZE.
    pub keys: u64,
    /// The node's clock, in µs.
    pub now_us: u64,
    /// The cluster's scopes.
    pub scopes: Scopes,
    /// The generation in which everything was deleted last.
    pub flushed: u64,
    /// How old a tombstone is before it may go, in ms; empty where nothing is purged.
    pub purge_age_ms: String,
    /// The generation that was decided last, as far as this node knows.
    pub decided: u64,
    /// The number of the contract that its cluster keeps.
    pub contract: String,
}

impl Look {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<Look, Malformed> {
        let mut items = fields(value)?;
        let mut next = || items.next().ok_or_else(|| Malformed("a look that ends too early".into()));
        let status = text(next()?)?;
        if status != "NODE" {
            return Err(Malformed(status));
        }
        Ok(Look {
            cluster: text(next()?)?,
            node: text(next()?)?,
            epoch: Epoch(text(next()?)?.parse().unwrap_or(0)),
            role: text(next()?)?,
            run_id: text(next()?)?,
            members: Configuration::parse_members(&text(next()?)?),
            fence: text(next()?)?,
            keys: integer(next()?)?,
            now_us: integer(next()?)?,
            scopes: scopes(&text(next()?)?)?,
            flushed: integer(next()?)?,
            purge_age_ms: text(next()?)?,
            decided: integer(next()?)?,
            contract: text(next()?)?,
        })
    }

    /// The generation that it is in, and who else is.
    pub fn configuration(&self) -> Configuration {
        Configuration {
            generation: self.epoch.generation(),
            members: self.members.clone(),
            flushed: self.flushed,
        }
    }

    /// What was fixed when its cluster was initialised.
    pub fn terms(&self) -> Terms {
        Terms { scopes: self.scopes.clone(), purge_age_ms: self.purge_age_ms.clone() }
    }

    /// Refuses a node whose cluster keeps another contract: it tells no fence, and what is in its records may mean something else.
    pub fn check_contract(&self) -> Result<(), Refusal> {
        let ours = contract();
        if self.contract.is_empty() || self.contract == ours {
            return Ok(());
        }
        Err(Refusal::OtherContract { found: self.contract.clone(), ours: ours.to_owned() })
    }

    /// Whether the server knows nothing of any cluster.
    pub fn is_unknown(&self) -> bool {
        self.cluster.is_empty()
    }

    /// Whether an initialisation took the node and has not finished.
    pub fn is_claimed(&self) -> bool {
        self.role == "claimed"
    }

    /// Whether it was taken with data of its own, and not all of that is on the others yet.
    pub fn is_adopting(&self) -> bool {
        self.role == "adopting"
    }

    /// Voter or joining.
    pub fn role(&self) -> Role {
        if self.role == "voter" { Role::Voter } else { Role::Joining }
    }
}

fn scopes(text: &str) -> Result<Scopes, Malformed> {
    Scopes::decode(text).ok_or_else(|| Malformed(format!("scopes '{text}'")))
}

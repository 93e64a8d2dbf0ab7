//! Admission: what becomes of a server at every (re)connect, before the first call.

use super::configuration::Configuration;
use super::error::Refusal;
use super::outbox::Outbox;
use super::session::{Opened, Session, admit_cmd, ask};
use crate::command::Scopes;
use crate::protocol::{Admission, Epoch, Facts, Fence};
use crate::script::{fields, text};
use crate::surroundings::{Connection, Surroundings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The cluster that a client belongs to, known once its nodes have formed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id.
    pub id: String,
    /// Its nodes, as far as the client that connected could see.
    pub configuration: Configuration,
    /// What was fixed when it was initialised.
    pub terms: Terms,
}

/// What is fixed when a cluster is initialised, and the same for all its nodes and clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What makes keys one register.
    pub scopes: Scopes,
    /// How old a tombstone is before it may go, in ms. Empty: nothing is purged.
    pub purge_age_ms: String,
}

/// A new token of admission: the epoch, and what nobody can guess or repeat.
pub fn new_fence(surroundings: &dyn Surroundings, epoch: Epoch) -> String {
    format!("{:010}-{:016x}", epoch.0, surroundings.random())
}

/// One call of `admit.lua` that changes something: the status word, and what came with it.
pub async fn admit_call(connection: &Connection, args: &[&str]) -> Result<(String, Vec<String>), Refusal> {
    let reply = ask(connection, &admit_cmd(args)).await?;
    let malformed = |error: crate::script::Malformed| Refusal::Unreachable(error.to_string());
    let mut items = fields(reply).map_err(malformed)?;
    let mut words = Vec::new();
    for item in items.by_ref() {
        words.push(text(item).map_err(malformed)?);
    }
    let mut words = words.into_iter();
    Ok((words.next().unwrap_or_default(), words.collect()))
}

fn facts(opened: &Opened, cluster: &Cluster) -> Facts {
    let look = &opened.look;
    let fence = if look.is_claimed() && look.cluster == cluster.id {
        Fence::Claimed
    } else if look.is_unknown() || look.fence.is_empty() {
        Fence::Missing
    } else if look.cluster == cluster.id {
        Fence::Ours
    } else {
        Fence::Foreign
    };
    Facts {
        fence,
        role: look.role(),
        same_run: look.run_id == opened.info.run_id,
        fsyncs_every_write: opened.fsyncs_every_write,
        is_empty: look.keys == 0,
    }
}

/// Admits an opened connection to the cluster, or says why not. A server that restarted and may have lost writes is marked
/// before anything else can be asked of it (P06).
pub async fn admit(
    surroundings: &dyn Surroundings,
    opened: Opened,
    cluster: &Cluster,
) -> Result<Session, Refusal> {
    check_scopes(&opened, cluster)?;
    let opened = match change(surroundings, &opened, cluster) {
        Some(args) => change_and_look(opened, &args).await?,
        None => opened,
    };
    // Another client may have been quicker, and the data may be gone since the first look: what counts is what the node says now.
    match facts(&opened, cluster).admission() {
        Admission::Votes | Admission::Joins => Ok(session(opened)),
        Admission::Readmit | Admission::Demote => {
            Err(Refusal::Unreachable("its admission changed meanwhile".into()))
        }
        Admission::Rejoins => Err(Refusal::Emptied),
        Admission::HoldsOtherData if opened.look.is_claimed() => {
            Err(Refusal::Claimed { members: opened.look.configuration().members_text() })
        }
        Admission::HoldsOtherData => Err(Refusal::HoldsData { keys: opened.look.keys }),
        Admission::Foreign => {
            Err(Refusal::OtherCluster { found: opened.look.cluster, expected: cluster.id.clone() })
        }
    }
}

/// Under other scopes the same key would have another history.
fn check_scopes(opened: &Opened, cluster: &Cluster) -> Result<(), Refusal> {
    let look = &opened.look;
    if look.cluster != cluster.id || look.scopes == cluster.terms.scopes {
        return Ok(());
    }
    Err(Refusal::OtherScopes { found: look.scopes.to_string(), expected: cluster.terms.scopes.to_string() })
}

/// What has to change on the node before it can be asked, as a call of `admit.lua`.
fn change(surroundings: &dyn Surroundings, opened: &Opened, cluster: &Cluster) -> Option<Vec<String>> {
    let look = &opened.look;
    let fence = || new_fence(surroundings, look.epoch);
    let args = match facts(opened, cluster).admission() {
        Admission::Readmit => {
            let run_id = opened.info.run_id.clone();
            vec!["readmit".into(), look.node.clone(), run_id, fence(), look.run_id.clone()]
        }
        Admission::Demote => {
            tracing::warn!(node = %look.node, "the server may hold older data than it has answered for: it does not vote until healed");
            vec!["demote".into(), look.node.clone(), fence(), look.run_id.clone(), look.fence.clone()]
        }
        _ => return None,
    };
    Some(args)
}

async fn change_and_look(mut opened: Opened, args: &[String]) -> Result<Opened, Refusal> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (status, words) = admit_call(&opened.connection, &args).await?;
    if status == "REFUSED" {
        return Err(Refusal::Unreachable(words.join(" ")));
    }
    let reply = ask(&opened.connection, &admit_cmd(&["look"])).await?;
    opened.look = super::Look::parse(reply).map_err(|error| Refusal::Unreachable(error.to_string()))?;
    Ok(opened)
}

fn session(opened: Opened) -> Session {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    Session {
        connection: opened.connection,
        fence: Arc::from(opened.look.fence.as_str()),
        epoch: opened.look.epoch,
        role: opened.look.role(),
        adopting: opened.look.is_adopting(),
        node: Arc::from(opened.look.node.as_str()),
        cluster: Arc::from(opened.look.cluster.as_str()),
        run_id: Arc::from(opened.info.run_id.as_str()),
        configuration: Arc::new(opened.look.configuration()),
        decided: opened.look.decided,
        offset_ms: opened.offset_ms,
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        outbox: Outbox::default(),
        native_reads: AtomicBool::new(true),
    }
}

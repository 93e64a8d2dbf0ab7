//! The first connect: the listed nodes are looked at together, and a new cluster is started where all of them are fresh.
//!
//! All ids follow from the servers' run ids, so two clients with the same list do the same and do not collide; with different
//! lists they meet at a node that one of them has claimed, and that claim is never taken over.

use super::address::{address_of, client_for, without_password};
use super::admission::{Cluster, Terms, admit_call, new_fence};
use super::configuration::{Configuration, Member};
use super::error::{ConnectError, Failures, NodeFailure, Refusal};
use super::session::{self, Opened};
use crate::command::Scopes;
use crate::config::Config;
use crate::protocol::Epoch;
use crate::script::short_hash;
use crate::surroundings::Surroundings;
use futures_util::future::join_all;
use redis::Client;

/// One node of the list, as the first look found it.
pub struct Probe {
    /// Its address without the password.
    pub name: String,
    /// For connecting to it.
    pub client: Client,
    /// What was found.
    pub found: Result<Opened, Refusal>,
}

/// Opens every URL of the list at once. An URL that cannot be used is an error; a node that cannot be reached is not.
pub async fn probe_all(urls: &[String], config: &Config) -> Result<Vec<Probe>, ConnectError> {
    let mut clients = Vec::new();
    for url in urls {
        let client = client_for(url, &config.tls).map_err(|error| ConnectError::Node {
            node: without_password(url),
            refusal: Refusal::Url(error.to_string()),
        })?;
        clients.push(client);
    }
    let found = join_all(clients.iter().map(|client| session::open(client, config))).await;
    let probes = clients.into_iter().zip(found);
    Ok(probes.map(|(client, found)| Probe { name: address_of(&client), client, found }).collect())
}

/// Decides which cluster the probed nodes are, and starts a new one where all are fresh: with these scopes, or with those of an
/// initialisation that did not finish where none are named.
pub async fn form(
    surroundings: &dyn Surroundings,
    probes: &mut [Probe],
    config: &Config,
) -> Result<Cluster, ConnectError> {
    let scopes = config.scopes.as_ref();
    check_list(probes)?;
    if let Some(cluster) = known_cluster(probes, scopes)? {
        if may_finish(probes, &cluster) {
            start(surroundings, probes, &cluster).await?;
        } else if may_begin_again(probes, &cluster) {
            return initialise(surroundings, probes, &cluster.terms).await;
        }
        return Ok(cluster);
    }
    let purge_age_ms = config.purge_age.as_millis().to_string();
    let mut terms = claimed_terms(probes).unwrap_or(Terms { scopes: Scopes::default(), purge_age_ms });
    terms.scopes = scopes.cloned().unwrap_or(terms.scopes);
    check_fresh(probes, &terms)?;
    initialise(surroundings, probes, &terms).await
}

pub(super) fn opened(probes: &[Probe]) -> impl Iterator<Item = (&Probe, &Opened)> {
    probes.iter().filter_map(|probe| Some((probe, probe.found.as_ref().ok()?)))
}

pub(super) fn of_node(probe: &Probe, refusal: Refusal) -> ConnectError {
    ConnectError::Node { node: probe.name.clone(), refusal }
}

/// No server twice (P45), and no address that cannot be used.
pub(super) fn check_list(probes: &[Probe]) -> Result<(), ConnectError> {
    if probes.is_empty() {
        return Err(ConnectError::List("the list of nodes is empty; name at least one, better three".into()));
    }
    for (place, probe) in probes.iter().enumerate() {
        // A node that is refused stays away, as one that is down: a cluster that serves goes on, a new one does not start.
        let Ok(opened) = &probe.found else { continue };
        let is_twin =
            |other: &&Probe| other.found.as_ref().is_ok_and(|other| other.info.run_id == opened.info.run_id);
        if let Some(twin) = probes[..place].iter().find(is_twin) {
            return Err(of_node(probe, Refusal::SameServer(twin.name.clone())));
        }
    }
    Ok(())
}

/// The terms of an initialisation that has begun.
fn claimed_terms(probes: &[Probe]) -> Option<Terms> {
    let mut claimed = opened(probes).filter(|(_, opened)| opened.look.is_claimed());
    claimed.next().map(|(_, opened)| opened.look.terms())
}

/// The cluster that some node is a started member of. Nodes of two clusters, or with other scopes than those named, are refused.
fn known_cluster(probes: &[Probe], scopes: Option<&Scopes>) -> Result<Option<Cluster>, ConnectError> {
    let mut cluster: Option<Cluster> = None;
    for (probe, opened) in opened(probes) {
        let look = &opened.look;
        if look.is_unknown() || look.is_claimed() {
            continue;
        }
        match &cluster {
            Some(known) if known.id != look.cluster => {
                let refusal =
                    Refusal::OtherCluster { found: look.cluster.clone(), expected: known.id.clone() };
                return Err(of_node(probe, refusal));
            }
            Some(known) if known.configuration.generation >= look.epoch.generation() => {}
            _ => {
                cluster = Some(Cluster {
                    id: look.cluster.clone(),
                    configuration: look.configuration(),
                    terms: look.terms(),
                });
            }
        }
        let expected = scopes.or(cluster.as_ref().map(|cluster| &cluster.terms.scopes));
        if let Some(expected) = expected.filter(|expected| **expected != look.scopes) {
            let (found, expected) = (look.scopes.to_string(), expected.to_string());
            return Err(of_node(probe, Refusal::OtherScopes { found, expected }));
        }
    }
    if cluster.is_some() {
        check_members(probes)?;
    }
    Ok(cluster)
}

/// Whether all N are there and none holds any data: whatever they answered before, there is nothing that could be lost.
fn all_without_data(probes: &[Probe]) -> bool {
    // Of its own a started node has its bookkeeping and its fence.
    probes.iter().all(|probe| probe.found.as_ref().is_ok_and(|opened| opened.look.keys <= 2))
}

/// Claimed nodes among started ones: the client that initialised them did not live to start them all.
fn may_finish(probes: &[Probe], cluster: &Cluster) -> bool {
    let is_ours =
        |(_, opened): (&Probe, &Opened)| opened.look.cluster == cluster.id && !opened.look.is_adopting();
    all_without_data(probes) && opened(probes).all(is_ours)
}

/// Unknown nodes among started ones, and the list makes the very same cluster: all were flushed, and one was claimed again.
fn may_begin_again(probes: &[Probe], cluster: &Cluster) -> bool {
    all_without_data(probes) && planned_cluster(probes, &cluster.terms).id == cluster.id
}

/// A server that took a lost member's place, and that member itself: only one of them may be asked.
fn check_members(probes: &[Probe]) -> Result<(), ConnectError> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (probe, opened) in opened(probes).filter(|(_, opened)| !opened.look.is_unknown()) {
        let member = opened.look.node.as_str();
        if let Some((_, twin)) = seen.iter().find(|(other, _)| *other == member) {
            return Err(of_node(probe, Refusal::SameMember((*twin).to_owned())));
        }
        seen.push((member, &probe.name));
    }
    Ok(())
}

/// A new cluster takes all N nodes, each empty or claimed before by this very list.
fn check_fresh(probes: &[Probe], terms: &Terms) -> Result<(), ConnectError> {
    for probe in probes {
        match &probe.found {
            Ok(_) | Err(Refusal::Unreachable(_)) => {}
            Err(refusal) => return Err(of_node(probe, refusal.clone())),
        }
    }
    let missing = probes.iter().filter_map(|probe| {
        let reason = probe.found.as_ref().err()?.to_string();
        Some(NodeFailure { node: probe.name.clone(), reason })
    });
    let missing: Vec<NodeFailure> = missing.collect();
    if !missing.is_empty() {
        return Err(ConnectError::NotAllThere(Failures(missing)));
    }
    let cluster = planned_cluster(probes, terms).id;
    for (probe, opened) in opened(probes) {
        if opened.look.is_unknown() && opened.look.keys > 0 {
            return Err(of_node(probe, Refusal::HoldsData { keys: opened.look.keys }));
        }
        if !opened.look.is_unknown() && opened.look.cluster != cluster {
            return Err(of_node(
                probe,
                Refusal::Claimed { members: opened.look.configuration().members_text() },
            ));
        }
    }
    Ok(())
}

/// The purge age that is no part of a cluster's id.
const USUAL_PURGE_AGE_MS: &str = "3600000";

/// The id of the node that a server of this run id becomes.
pub fn member_id(run_id: &str) -> String {
    short_hash(&["node", run_id])
}

pub(super) fn planned_cluster(probes: &[Probe], terms: &Terms) -> Cluster {
    let mut members: Vec<String> = opened(probes).map(|(_, opened)| member_id(&opened.info.run_id)).collect();
    members.sort();
    let mut parts = vec!["cluster"];
    parts.extend(members.iter().map(String::as_str));
    let encoded = terms.scopes.encode();
    if !terms.scopes.is_empty() {
        parts.extend(["scopes", &encoded]);
    }
    if terms.purge_age_ms != USUAL_PURGE_AGE_MS {
        parts.extend(["purge age", &terms.purge_age_ms]);
    }
    let id = short_hash(&parts);
    let members = members.into_iter().map(|id| Member { id, address: None }).collect();
    let configuration = Configuration { members, ..Configuration::default() };
    Cluster { id, configuration, terms: terms.clone() }
}

/// Claims every node, then starts every node: no node votes before all are claimed. The order is that of the nodes' ids, so that of two
/// clients that would make different clusters of the same nodes, whatever the order of their lists, one gets all.
async fn initialise(
    surroundings: &dyn Surroundings,
    probes: &mut [Probe],
    terms: &Terms,
) -> Result<Cluster, ConnectError> {
    let cluster = planned_cluster(probes, terms);
    let (members, encoded) = (cluster.configuration.members_text(), terms.scopes.encode());
    let mut in_order: Vec<(String, &Probe)> =
        opened(probes).map(|(probe, opened)| (member_id(&opened.info.run_id), probe)).collect();
    in_order.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (id, probe) in in_order {
        let Ok(opened) = &probe.found else { continue };
        let run_id = opened.info.run_id.clone();
        let args = ["claim", &cluster.id, &id, &members, &run_id, &encoded, &terms.purge_age_ms];
        let answer = admit_call(&opened.connection, &args).await;
        let refusal = match answer {
            Ok((status, _)) if status == "OK" => continue,
            Ok((status, words)) if status == "CLAIMED" => Refusal::Claimed { members: words.concat() },
            Ok((status, words)) if status == "NOT_EMPTY" => {
                Refusal::HoldsData { keys: words.concat().parse().unwrap_or_default() }
            }
            Ok((status, words)) => Refusal::Forbidden(format!("{status} {}", words.join(" "))),
            Err(refusal) => refusal,
        };
        return Err(of_node(probe, refusal));
    }
    start(surroundings, probes, &cluster).await?;
    Ok(cluster)
}

async fn start(
    surroundings: &dyn Surroundings,
    probes: &mut [Probe],
    cluster: &Cluster,
) -> Result<(), ConnectError> {
    for probe in probes.iter_mut() {
        let name = probe.name.clone();
        let failed = |refusal| ConnectError::Node { node: name.clone(), refusal };
        let Ok(opened) = &mut probe.found else { continue };
        let fence = new_fence(surroundings, Epoch(1));
        let (status, words) =
            admit_call(&opened.connection, &["start", &cluster.id, &fence]).await.map_err(failed)?;
        if status != "OK" {
            return Err(failed(Refusal::Forbidden(format!("{status} {}", words.join(" ")))));
        }
    }
    Ok(())
}

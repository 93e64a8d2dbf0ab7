//! Takes servers for a cluster of which one holds data already, and the others nothing.
//!
//! The one that holds data is the only node with the role `adopting`, from the first step to the last: whoever runs the adoption again
//! finds by it what to go on with, and nobody else starts or recovers the cluster meanwhile.

use super::admission::{Cluster, Terms, admit_call, new_fence};
use super::error::{ConnectError, Refusal};
use super::formation::{Probe, check_list, of_node, planned_cluster};
use super::session::Opened;
use crate::config::Config;
use crate::protocol::Epoch;
use crate::surroundings::Surroundings;

/// The server whose data is adopted, and the cluster that it and the others become.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its place in the list.
    pub place: usize,
    /// What they become.
    pub cluster: Cluster,
    /// Whether an adoption had begun already.
    pub begun: bool,
}

/// Finds the one server that holds data; refuses whatever is not one such server and empty ones. Changes nothing.
pub fn find_source(probes: &[Probe], config: &Config) -> Result<Source, ConnectError> {
    check_list(probes)?;
    let mut all = Vec::new();
    for probe in probes {
        all.push((probe, probe.found.as_ref().map_err(|refusal| of_node(probe, refusal.clone()))?));
    }
    if all.len() < 2 {
        return Err(list(
            "name the server that holds the data and, with it, the empty ones: three nodes in all are the fewest that outlive the loss of one",
        ));
    }
    let source = match all.iter().position(|(_, opened)| opened.look.is_adopting()) {
        Some(place) => begun(&all, place)?,
        None => fresh(probes, &all, config)?,
    };
    let (probe, opened) = all[source.place];
    check_source(probe, opened)?;
    Ok(source)
}

fn list(text: impl Into<String>) -> ConnectError {
    ConnectError::List(text.into())
}

/// An adoption that was interrupted: the source says of which cluster, and the others are of it or empty.
fn begun(all: &[(&Probe, &Opened)], place: usize) -> Result<Source, ConnectError> {
    let (source, opened) = all[place];
    let look = &opened.look;
    if look.members.len() != all.len() {
        let text = format!(
            "{}: the adoption of its data began with {} servers, not with {}; name as many, and {} among them",
            source.name,
            look.members.len(),
            all.len(),
            source.name
        );
        return Err(list(text));
    }
    for (probe, other) in all.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, pair)| pair) {
        let theirs = &other.look;
        if theirs.is_unknown() && theirs.keys > 0 {
            return Err(of_node(probe, Refusal::HoldsData { keys: theirs.keys }));
        }
        if !theirs.is_unknown() && theirs.cluster != look.cluster {
            let (found, expected) = (theirs.cluster.clone(), look.cluster.clone());
            return Err(of_node(probe, Refusal::OtherCluster { found, expected }));
        }
    }
    let cluster =
        Cluster { id: look.cluster.clone(), configuration: look.configuration(), terms: look.terms() };
    Ok(Source { place, cluster, begun: true })
}

fn fresh(probes: &[Probe], all: &[(&Probe, &Opened)], config: &Config) -> Result<Source, ConnectError> {
    for (probe, opened) in all {
        if opened.look.is_claimed() {
            let members = opened.look.configuration().members_text();
            return Err(of_node(probe, Refusal::Claimed { members }));
        }
        if !opened.look.is_unknown() {
            let text = format!(
                "{}: it is a node of a cluster already, so nothing can be adopted into it. Keys that were written to it behind the cluster's back: `anarcho-heal verify --adopt`; a node that was emptied or restored: `anarcho-heal --once`; another server for the cluster: empty, with `anarcho-heal node add`",
                probe.name
            );
            return Err(list(text));
        }
    }
    let mut with_data = all.iter().enumerate().filter(|(_, (_, opened))| opened.look.keys > 0);
    let Some((place, (probe, opened))) = with_data.next() else {
        return Err(list(
            "none of these servers holds any data: there is nothing to adopt; start the cluster with `anarcho-heal init`",
        ));
    };
    if let Some((_, (other, second))) = with_data.next() {
        let text = format!(
            "{} holds {} keys and {} holds {}: of two servers with data nobody can tell which one is right; decide for one, empty the other (FLUSHALL) or move its keys, and run it again",
            probe.name, opened.look.keys, other.name, second.look.keys
        );
        return Err(list(text));
    }
    let scopes = config.scopes.clone().unwrap_or_default();
    let terms = Terms { scopes, purge_age_ms: config.purge_age.as_millis().to_string() };
    Ok(Source { place, cluster: planned_cluster(probes, &terms), begun: false })
}

/// What would be lost without anybody noticing.
fn check_source(probe: &Probe, opened: &Opened) -> Result<(), ConnectError> {
    let ours = probe.client.get_connection_info().redis_settings().db();
    let others = opened.info.databases.iter().filter(|(number, _)| *number != ours);
    let others: Vec<String> = others.map(|(number, _)| number.to_string()).collect();
    if !others.is_empty() {
        let text = format!(
            "{}: it has keys in database {} too; a node is one database, and what is in others would stay behind: move or delete it first",
            probe.name,
            others.join(", ")
        );
        return Err(list(text));
    }
    let text = opened.info.databases.iter().find(|(number, _)| *number == ours).map_or("", |(_, text)| text);
    let expiring = ["subexpiry=", "keys_with_volatile_items="];
    let fields = text.split(',').find_map(|part| expiring.iter().find_map(|name| part.strip_prefix(name)));
    match fields.and_then(|number| number.parse::<u64>().ok()) {
        Some(number) if number > 0 => Err(list(format!(
            "{}: {number} of its hashes have fields that expire by themselves, which is not replicated: HPERSIST these fields first",
            probe.name
        ))),
        _ => Ok(()),
    }
}

/// Takes all of them: first the one with the data, under a new token, then the others, empty as they are.
pub async fn take(
    surroundings: &dyn Surroundings,
    probes: &[Probe],
    source: &Source,
) -> Result<(), ConnectError> {
    let Cluster { id, configuration, terms } = &source.cluster;
    let (members, scopes) = (configuration.members_text(), terms.scopes.encode());
    let mut free: Vec<&str> = configuration.members.iter().map(|member| member.id.as_str()).collect();
    let known = |probe: &Probe| match &probe.found {
        Ok(opened) if opened.look.cluster == *id => Some(opened.look.node.clone()),
        Ok(opened) if !source.begun => Some(super::member_id(&opened.info.run_id)),
        _ => None,
    };
    let ids: Vec<Option<String>> = probes.iter().map(known).collect();
    free.retain(|member| !ids.iter().flatten().any(|id| id == member));
    let mut order: Vec<usize> = (0..probes.len()).collect();
    order.sort_by_key(|place| *place != source.place);
    for place in order {
        let probe = &probes[place];
        let Ok(opened) = &probe.found else { continue };
        // A server that was emptied or exchanged since the adoption began takes a place that is free.
        let node = match &ids[place] {
            Some(id) => id.clone(),
            None => free.pop().unwrap_or_default().to_owned(),
        };
        let epoch = opened.look.epoch.max(Epoch(1));
        let (run_id, number) = (&opened.info.run_id, epoch.0.to_string());
        let fence = new_fence(surroundings, epoch);
        let (status, words) = if place == source.place {
            let args = ["adopt", id, &node, &members, run_id, &fence, &number, &scopes, &terms.purge_age_ms];
            admit_call(&opened.connection, &args).await
        } else {
            let args = ["claim", id, &node, &members, run_id, &scopes, &terms.purge_age_ms];
            admit_call(&opened.connection, &args).await
        }
        .map_err(|refusal| of_node(probe, refusal))?;
        let refusal = match status.as_str() {
            "OK" => continue,
            "NOT_EMPTY" => Refusal::HoldsData { keys: words.concat().parse().unwrap_or_default() },
            "CLAIMED" => Refusal::Claimed { members: words.concat() },
            _ => Refusal::HealedByAnother(format!("{status} {}", words.join(" "))),
        };
        return Err(of_node(probe, refusal));
    }
    Ok(())
}

//! Which of the listed servers are members of the cluster, and where those members are that the list does not name.

use super::address::{address_of, client_at};
use super::configuration::{Configuration, Member};
use super::error::ConnectError;
use super::formation::Probe;
use super::session;
use crate::config::Config;

/// The probes of the members, in the order of the list, those behind it that only the configuration names. What the list names
/// beyond them is left out: a node that was removed.
pub async fn seat(
    probes: Vec<Probe>,
    configuration: &Configuration,
    config: &Config,
) -> Result<Vec<Probe>, ConnectError> {
    let named = probes.len();
    let wrong = || ConnectError::Members { members: configuration.members.len(), named };
    let (mut seated, rest): (Vec<_>, Vec<_>) =
        probes.into_iter().enumerate().partition(|(_, probe)| is_member(probe, configuration));
    let mut missing: Vec<&Member> = configuration.members.iter().collect();
    missing.retain(|member| !seated.iter().any(|(_, probe)| id_of(probe) == Some(member.id.as_str())));
    // Who does not say who it is may still be the one that is known to be there.
    let mut unknown = Vec::new();
    for (place, probe) in rest {
        let is_there = |member: &&Member| member.address.as_deref() == Some(probe.name.as_str());
        if let Some(at) = missing.iter().position(|member| is_there(member)) {
            missing.remove(at);
            seated.push((place, probe));
        } else if id_of(&probe).is_none() {
            unknown.push((place, probe));
        } else {
            tracing::warn!(node = %probe.name, "is not a member of the cluster any more");
        }
    }
    let (elsewhere, unplaced): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|member| member.address.is_some());
    if unplaced.len() > unknown.len() || (configuration.generation == 0 && unplaced.len() < unknown.len()) {
        return Err(wrong());
    }
    seated.extend(unknown.into_iter().take(unplaced.len()));
    seated.sort_by_key(|(place, _)| *place);
    let mut seated: Vec<Probe> = seated.into_iter().map(|(_, probe)| probe).collect();
    for member in elsewhere {
        let like = seated.first().map(|probe| probe.client.clone()).ok_or_else(wrong)?;
        seated.push(probe_member(member, &like, config).await?);
    }
    Ok(seated)
}

/// The id that the server itself says it has.
fn id_of(probe: &Probe) -> Option<&str> {
    let opened = probe.found.as_ref().ok()?;
    (!opened.look.is_unknown()).then_some(opened.look.node.as_str())
}

fn is_member(probe: &Probe, configuration: &Configuration) -> bool {
    id_of(probe).is_some_and(|id| configuration.contains(id))
}

async fn probe_member(member: &Member, like: &redis::Client, config: &Config) -> Result<Probe, ConnectError> {
    let address = member.address.as_deref().unwrap_or_default();
    let client = client_at(address, like, config)
        .map_err(|error| ConnectError::List(format!("the member at {address} cannot be reached: {error}")))?;
    let found = session::open(&client, config).await;
    Ok(Probe { name: address_of(&client), client, found })
}

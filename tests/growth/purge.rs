//! The purge of tombstones.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Epoch, Position};

use super::client::Client;
use super::control::Control;
use super::members::Members;
use super::node::{Record, Register, Times};
use super::reads::majority;
use super::weather::DEADLINE;
use super::world::Server;

/// The tombstone that a purge is about: the call drops exactly this one.
type Tombstone = (Position, Option<Ballot>);

/// What a node says of the register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    MayGo(Tombstone),
    Stays,
}

impl Client {
    /// One round of the purger; what is a tombstone, but not settled alike on all nodes, is mended for a later round.
    pub async fn purge(self: &Rc<Self>) {
        self.refresh((0..self.nodes()).collect()).await;
        if self.world.percent(self.world.weather.mends) {
            self.mend().await;
            self.world.sim.sleep(self.world.times.purge_age + 2).await;
            self.reconnect().await;
        }
        self.try_purge().await;
    }

    async fn try_purge(self: &Rc<Self>) -> Option<()> {
        let (there, epoch) = self.who_purges().await?;
        let mut held = Vec::new();
        for node in &there {
            held.push((*node, self.tombstone(*node, epoch).await?));
        }
        let tombstone = held.iter().find_map(|(_, found)| match found {
            Found::MayGo(tombstone) => Some(*tombstone),
            _ => None,
        })?;
        let agrees = |found: &Found| [Found::MayGo(tombstone), Found::Nothing].contains(found);
        let agreeing: Vec<usize> =
            held.iter().filter(|(_, found)| agrees(found)).map(|(node, _)| *node).collect();
        let by_majority = self.world.control == Control::PurgeByMajority;
        let needed = if by_majority { majority(self.nodes()) } else { there.len() };
        if agreeing.len() < needed {
            return None;
        }
        for node in agreeing {
            if self.world.percent(10) {
                return None;
            }
            self.drop_record(node, epoch, tombstone).await;
        }
        Some(())
    }

    /// All N, voting under one epoch. The controls make do with less.
    async fn who_purges(self: &Rc<Self>) -> Option<(Vec<usize>, Epoch)> {
        let voters = self.voters();
        let (there, mut epoch) = (voters.together, voters.epoch);
        let control = self.world.control;
        let needed = match control {
            Control::PurgeByMajority | Control::AwayVotes | Control::FencesTheAway => majority(self.nodes()),
            _ => self.nodes(),
        };
        if there.len() < needed {
            return None;
        }
        if control == Control::FencesTheAway && there.len() < self.nodes() {
            epoch = self.fence_the_away(&there, epoch).await?;
        }
        Some((there, epoch))
    }

    /// The control leaves the nodes that are away behind in an older epoch.
    async fn fence_the_away(self: &Rc<Self>, there: &[usize], newest: Epoch) -> Option<Epoch> {
        self.move_voters(there, Epoch(newest.0 + 1), Members::first(self.nodes())).await?;
        self.refresh(there.to_vec()).await;
        let voters = self.voters();
        (voters.together == there && voters.epoch > newest).then_some(voters.epoch)
    }

    async fn tombstone(self: &Rc<Self>, node: usize, epoch: Epoch) -> Option<Found> {
        let session = self.session(node, Some(epoch))?;
        let times = self.world.times;
        let work = move |server: &mut Server, now: u64| match &mut server.durable.of(Register::Data).record {
            None => Found::Nothing,
            Some(record) => may_go(record, now, &times).map_or(Found::Stays, Found::MayGo),
        };
        self.world.call(node, session, DEADLINE, false, work).await.ok()
    }

    async fn drop_record(self: &Rc<Self>, node: usize, epoch: Epoch, tombstone: Tombstone) -> Option<()> {
        let session = self.session(node, Some(epoch))?;
        let (world, times) = (Rc::clone(&self.world), self.world.times);
        let work = move |server: &mut Server, now: u64| {
            let drops = |record: &mut Record| may_go(record, now, &times) == Some(tombstone);
            if server.durable.of(Register::Data).record.as_mut().is_some_and(drops) {
                server.durable.of(Register::Data).record = None;
                world.purged.set(world.purged.get() + 1);
                world.log(|| format!("purged at {node}"));
            }
        };
        self.world.call(node, session, DEADLINE, false, work).await.ok()
    }
}

/// The node's own part of the rule: no value, all of it settled, no promise beyond that, and so old that every ballot which
/// the promise turns away is turned away by age.
fn may_go(record: &mut Record, now: u64, times: &Times) -> Option<Tombstone> {
    record.expire(now);
    let value = record.state.value();
    let is_empty = record.gone || !value.exists();
    let at_rest = record.standing().is_settled() && record.accepted == Some(record.promised);
    let newest = record.promised.time_ms().max(value.expiry.unwrap_or(0));
    let is_old = newest + times.purge_age < now || times.control == Control::PurgeWithoutAge;
    (is_empty && at_rest && is_old).then(|| (record.state.position(), record.accepted))
}

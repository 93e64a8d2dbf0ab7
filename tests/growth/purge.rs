//! The purge of tombstones.

use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Position, Role};

use super::client::Client;
use super::control::Control;
use super::node::Record;
use super::reads::majority;
use super::weather::DEADLINE;
use super::world::{Seat, Server};

impl Client {
    /// One purge of the register, if it may be purged.
    pub async fn purge(self: &Rc<Self>) {
        self.refresh((0..self.nodes()).collect()).await;
        self.try_purge().await;
    }

    async fn try_purge(self: &Rc<Self>) -> Option<()> {
        let seats = self.seats.borrow().clone();
        let votes = |seat: &Seat| matches!(seat, Seat::Up(session) if session.role == Role::Voter);
        let there: Vec<usize> = (0..seats.len()).filter(|node| votes(&seats[*node])).collect();
        let relaxed = matches!(self.world.control, Control::PurgeByMajority | Control::AwayVotes);
        if there.len() < majority(self.nodes()) {
            return None;
        }
        if there.len() < self.nodes() && !relaxed {
            self.fence_the_absent(&there).await?;
        }
        let epoch = self.voters().epoch;
        let mut held = Vec::new();
        for node in &there {
            held.push((*node, self.tombstone(*node, epoch).await?));
        }
        let found = held.iter().filter_map(|(_, found)| found.ok()).flatten().next()?;
        let agrees = |(_, held): &&(usize, Result<Option<Position>, ()>)| match held {
            Ok(Some(other)) => *other == found,
            Ok(None) => true,
            Err(()) => false,
        };
        let agreeing: Vec<usize> = held.iter().filter(agrees).map(|(node, _)| *node).collect();
        let by_majority = self.world.control == Control::PurgeByMajority;
        let needed = if by_majority { majority(self.nodes()) } else { there.len() };
        if agreeing.len() < needed {
            return None;
        }
        for node in agreeing {
            self.drop_record(node, epoch, found).await;
        }
        Some(())
    }

    /// Nodes that are away must not vote when they are back: the others leave them behind in an older epoch.
    async fn fence_the_absent(self: &Rc<Self>, there: &[usize]) -> Option<()> {
        let newest = self.voters().epoch;
        self.move_voters(there, Epoch(newest.0 + 1)).await?;
        self.refresh(there.to_vec()).await;
        let voters = self.voters();
        (voters.together == there && voters.epoch > newest).then_some(())
    }

    /// `Ok(None)`: no record. `Err`: a record that may not be purged.
    async fn tombstone(self: &Rc<Self>, node: usize, epoch: Epoch) -> Option<Result<Option<Position>, ()>> {
        let session = self.session(node, Some(epoch))?;
        let times = self.world.times;
        let work = move |server: &mut Server, now: u64| match &mut server.durable.record {
            None => Ok(None),
            Some(record) => may_go(record, now, &times).then(|| Some(record.state.position())).ok_or(()),
        };
        self.world.call(node, session, DEADLINE, false, work).await.ok()
    }

    async fn drop_record(self: &Rc<Self>, node: usize, epoch: Epoch, position: Position) -> Option<()> {
        let session = self.session(node, Some(epoch))?;
        let (world, times) = (Rc::clone(&self.world), self.world.times);
        let work = move |server: &mut Server, now: u64| {
            let drops =
                |record: &mut Record| record.state.position() == position && may_go(record, now, &times);
            if server.durable.record.as_mut().is_some_and(drops) {
                server.durable.record = None;
                world.log(|| format!("purged at {node}"));
            }
        };
        self.world.call(node, session, DEADLINE, false, work).await.ok()
    }
}

/// The node's own part of the rule: no value, all of it settled, and so old that every ballot that its promise turns away is
/// turned away by age.
fn may_go(record: &mut Record, now: u64, times: &super::node::Times) -> bool {
    record.expire(now);
    let value = record.state.value();
    let is_empty = record.gone || !value.exists();
    let newest = record.promised.time_us().max(value.expiry.unwrap_or(0));
    let is_old = newest + times.purge_age < now || times.control == Control::PurgeWithoutAge;
    is_empty && record.standing().is_settled() && is_old
}

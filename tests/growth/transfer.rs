//! The second half of W2, and how a state gets from one node to another.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Epoch, Position, RepairNeed, SettleAnswer, SettlePlan};

use super::client::{Client, Letter};
use super::control::Topic;
use super::node::{Settle, Snapshot};
use super::sessions::Voters;
use super::sim::Mailbox;
use super::weather::DEADLINE;
use super::world::Server;

/// What a node is to hold in the end.
#[derive(Clone, Copy)]
pub struct Goal {
    pub ballot: Ballot,
    pub position: Position,
    pub source: usize,
    /// None: a repair, whose answer counts for nothing.
    pub epoch: Option<Epoch>,
}

impl Client {
    /// W2, second half.
    pub fn settle(
        self: &Rc<Self>,
        plan: &SettlePlan,
        voters: &Voters,
        deadline: u64,
        mail: &Mailbox<Letter>,
    ) {
        let (source, epoch) = (voters.members[plan.winner.0], Some(voters.epoch));
        let goal = Goal { ballot: plan.ballot, position: plan.position, source, epoch };
        for (place, need) in plan.sends.iter().copied() {
            let node = voters.members[place.0];
            let (client, mail) = (Rc::clone(self), mail.clone());
            self.world.sim.spawn(async move {
                let answer = client.bring(goal, node, need, deadline).await;
                mail.push(Letter::Settled(place.0, answer));
            });
        }
    }

    /// Settles the goal on a node, with the state where it needs one.
    pub async fn bring(
        self: &Rc<Self>,
        goal: Goal,
        node: usize,
        need: RepairNeed,
        deadline: u64,
    ) -> SettleAnswer {
        let snapshot = match need {
            RepairNeed::Confirm => None,
            RepairNeed::State => match self.fetch(goal, deadline).await {
                Some(snapshot) => {
                    if !self.world.calm.get()
                        && (goal.epoch.is_none() || self.world.weather.topic == Topic::Fences)
                    {
                        self.stage().await;
                    }
                    Some(snapshot)
                }
                None => return SettleAnswer::NoVote,
            },
        };
        let call = Settle { ballot: goal.ballot, position: goal.position, snapshot };
        let Some(session) = self.session(node, goal.epoch) else { return SettleAnswer::NoVote };
        let world = Rc::clone(&self.world);
        // A repair's call has as long as any call, whenever it is sent.
        let deadline = if goal.epoch.is_none() { world.now() + DEADLINE } else { deadline };
        let (left, register) = (deadline.saturating_sub(world.now()), self.register);
        let work = {
            let world = Rc::clone(&world);
            move |server: &mut Server, now: u64| world.on_settle((node, register), server, &call, now)
        };
        world.call(node, session, left, true, work).await.unwrap_or_else(|failure| {
            self.note(node, session, failure);
            SettleAnswer::NoVote
        })
    }

    /// Large keys move in slices before the settle that makes them visible, and a machine may stand still meanwhile.
    async fn stage(&self) {
        let ticks = self.world.below(self.world.weather.stage);
        self.world.sim.sleep(ticks).await;
    }

    async fn fetch(self: &Rc<Self>, goal: Goal, deadline: u64) -> Option<Snapshot> {
        let session = self.session(goal.source, None)?;
        let left = deadline.saturating_sub(self.world.now());
        let register = self.register;
        let work =
            move |server: &mut Server, now: u64| server.durable.of(register).snapshot(goal.position, now);
        let found = self.world.call(goal.source, session, left, false, work).await;
        found.map_err(|failure| self.note(goal.source, session, failure)).ok()?
    }
}

//! Changes of membership: one server is added or removed at a time.

use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Role, Rule, SettleAnswer};

use super::admission::Seat;
use super::client::Client;
use super::control::Control;
use super::heal::Joiner;
use super::history::{Command, Reply};
use super::members::{Members, first_epoch, generation};
use super::node::Admin;
use super::sessions::Voters;
use super::transfer::Goal;
use super::world::Server;

/// How often a round that fills a new node is repeated.
const TRIES: u64 = 5;

impl Client {
    /// Carries one change through, from the choice to the last move; it may stop between any two calls.
    pub async fn change(self: &Rc<Self>) -> Option<()> {
        self.refresh((0..self.nodes()).collect()).await;
        self.finish_change().await;
        let voters = self.voters();
        let (here, members) = (generation(voters.epoch), voters.configuration);
        let (proposed, new) = self.choose(members);
        let stays = |node: &usize| members.contains(*node);
        if !proposed.list().iter().filter(|node| stays(node)).all(|node| voters.together.contains(node)) {
            return None;
        }
        let joiner = match new {
            Some(node) => Some(self.enter_new(node, &voters).await?),
            None => None,
        };
        self.world.log(|| format!("change: from {here}, {:?} to {:?}", members.list(), proposed.list()));
        self.refresh((0..self.nodes()).collect()).await;
        if self.sweeps(new) {
            self.establish(here, new).await?;
            self.at_configuration().establish(here, new).await?;
        }
        let command = Command::Change(here, proposed.to_item());
        let committed = self.at_configuration().decide(command, true).await.ok()?;
        if committed.reply != Reply::Count(1) {
            return None;
        }
        self.move_to(here + 1, proposed, joiner.as_ref()).await?;
        self.world.changed.set(self.world.changed.get() + 1);
        Some(())
    }

    /// What another healer decided and did not carry through.
    pub async fn finish_change(self: &Rc<Self>) -> Option<()> {
        let newest = self.newest_seen()?;
        self.move_to(generation(newest.0), newest.1, None).await?;
        self.refresh((0..self.nodes()).collect()).await;
        let voters = self.voters();
        if !Self::can_decide(&voters) {
            return None;
        }
        let here = generation(voters.epoch);
        let committed = self.at_configuration().decide(Command::Read, true).await.ok()?;
        let Reply::Values(changes) = committed.reply else { return None };
        let members = changes.get(here).copied().map(Members::from_item)?;
        self.world.log(|| format!("change: {here} is followed by {:?}", members.list()));
        self.move_to(here + 1, members, None).await?;
        self.refresh((0..self.nodes()).collect()).await;
        Some(())
    }

    /// Every change rests on a sweep of its own; the controls leave it out.
    fn sweeps(&self, new: Option<usize>) -> bool {
        match self.world.control {
            Control::ChangesUnswept => false,
            Control::RemovesUnswept => new.is_some(),
            _ => true,
        }
    }

    /// A server more, or one less; never fewer than three.
    fn choose(&self, members: Members) -> (Members, Option<usize>) {
        let outside: Vec<usize> = (0..self.nodes()).filter(|node| !members.contains(*node)).collect();
        let one_of = |nodes: &[usize]| nodes[self.world.below(nodes.len() as u64) as usize];
        let adds = members.len() < 4 || (!outside.is_empty() && self.world.percent(50));
        if !adds {
            return (members.without(one_of(&members.list())), None);
        }
        let new = one_of(&outside);
        let grown = members.with(new);
        if self.world.control == Control::TwoAtOnce {
            return (grown.without(one_of(&members.list())), Some(new));
        }
        (grown, Some(new))
    }

    /// The new server belongs to nobody's majority while it is filled.
    async fn enter_new(self: &Rc<Self>, node: usize, voters: &Voters) -> Option<Joiner> {
        let fence = self.world.token();
        let admin =
            Admin { epoch: voters.epoch, members: voters.configuration, role: Role::Joining, run: 0, fence };
        let work = |server: &mut Server| {
            let is_newer = |held: Admin| generation(held.epoch) > generation(admin.epoch);
            if server.durable.admin.is_some_and(is_newer) {
                return None;
            }
            server.durable.admin = Some(Admin { run: server.run, ..admin });
            server.copy = server.durable.clone();
            Some(server.run)
        };
        let run = self.world.admin(node, work).await??;
        Some(Joiner { node, run, fence })
    }

    /// Decides what the register is under this generation, so that a majority of its members hold it, and gives it to the new
    /// server.
    async fn establish(self: &Rc<Self>, here: usize, new: Option<usize>) -> Option<()> {
        for _ in 0..TRIES {
            let committed = self.decide(Command::Read, true).await.ok()?;
            if generation(committed.voters.epoch) != here {
                return None;
            }
            let Some(new) = new else { return Some(()) };
            let epoch = Some(committed.voters.epoch);
            let goal = Goal {
                ballot: committed.ballot,
                position: committed.position?,
                source: committed.source,
                epoch,
            };
            let is_settled = committed.rule == Rule::W2 || self.world.control == Control::FillsAlone;
            if !is_settled && !self.settle_members(goal, &committed.voters).await {
                continue;
            }
            match self.transfer(Goal { epoch: None, ..goal }, new).await {
                SettleAnswer::Accepted => return Some(()),
                SettleAnswer::Nack { promised } => self.observe(promised),
                _ => {}
            }
        }
        None
    }

    /// What W1 decided is accepted nowhere: a new server that has accepted it would outrank what follows it.
    async fn settle_members(self: &Rc<Self>, goal: Goal, voters: &Voters) -> bool {
        let mut accepted = 0;
        for node in &voters.members {
            accepted += usize::from(self.transfer(goal, *node).await == SettleAnswer::Accepted);
        }
        accepted >= voters.configuration.majority()
    }

    /// Moves all members to their generation, the new one as a voter where it was filled and has not restarted since.
    async fn move_to(self: &Rc<Self>, to: usize, members: Members, joiner: Option<&Joiner>) -> Option<()> {
        let epoch = first_epoch(to);
        let mut order = members.list();
        let first = self.world.below(order.len() as u64) as usize;
        order.rotate_left(first);
        for node in order {
            if self.stops() {
                return None;
            }
            let token = self.world.token();
            let world = Rc::clone(&self.world);
            let work = |server: &mut Server| {
                let run = server.run;
                let Some(admin) = &mut server.durable.admin else { return };
                if generation(admin.epoch) >= to {
                    return;
                }
                let is_new = |joiner: &&Joiner| {
                    joiner.node == node
                        && (joiner.run, joiner.fence) == (run, admin.fence)
                        && admin.run == run
                };
                if joiner.filter(is_new).is_some() {
                    admin.role = Role::Voter;
                    server.forgot = false;
                }
                *admin = Admin { epoch, members, fence: token, ..*admin };
                world.log(|| format!("change: {node} is {:?} of generation {to}", admin.role));
            };
            self.world.admin(node, work).await;
        }
        Some(())
    }

    fn newest_seen(&self) -> Option<(Epoch, Members)> {
        let seats = self.seats.borrow();
        let seen = seats.iter().filter_map(|seat| match seat {
            Seat::Up(session) => Some((session.epoch, session.members)),
            _ => None,
        });
        seen.max_by_key(|(epoch, _)| *epoch)
    }
}

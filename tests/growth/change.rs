//! Changes of membership: one server is added or removed at a time.

use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Role, SettleAnswer};

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
        let mut staying = proposed.list().into_iter().filter(|node| members.contains(*node));
        if !staying.all(|node| voters.together.contains(&node)) {
            return None;
        }
        self.world.log(|| format!("change: from {here}, {:?} to {:?}", members.list(), proposed.list()));
        let joiner = self.prepare_change(here, new, &voters).await?;
        let command = Command::Change(here, proposed.to_item());
        let committed = self.at_configuration().decide(command, true).await.ok()?;
        if committed.reply != Reply::Count(1) {
            return None;
        }
        self.move_to(here + 1, proposed, joiner.as_ref()).await?;
        self.world.changed.set(self.world.changed.get() + 1);
        self.heal().await;
        Some(())
    }

    /// Every change rests on a sweep of its own.
    async fn prepare_change(
        self: &Rc<Self>,
        here: usize,
        new: Option<usize>,
        voters: &Voters,
    ) -> Option<Option<Joiner>> {
        let is_filled_before = self.world.control == Control::FilledBefore;
        let joiner = match new.filter(|_| is_filled_before) {
            Some(node) => Some(self.enter_new(node, voters).await?),
            None => None,
        };
        self.refresh((0..self.nodes()).collect()).await;
        if self.world.control != Control::ChangesUnswept {
            let filled = joiner.as_ref().map(|joiner| joiner.node);
            self.establish(here, filled).await?;
            self.at_configuration().establish(here, filled).await?;
        }
        Some(joiner)
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

    /// A server more, or one less; never fewer than three.
    fn choose(&self, members: Members) -> (Members, Option<usize>) {
        let outside: Vec<usize> = (0..self.nodes()).filter(|node| !members.contains(*node)).collect();
        let one_of = |nodes: &[usize]| nodes[self.world.below(nodes.len() as u64) as usize];
        if members.len() < 4 || (!outside.is_empty() && self.world.percent(50)) {
            let new = one_of(&outside);
            return (members.with(new), Some(new));
        }
        let fewer = members.without(one_of(&members.list()));
        if self.world.control == Control::TwoAtOnce && fewer.len() > 3 {
            return (fewer.without(one_of(&fewer.list())), None);
        }
        (fewer, None)
    }

    /// The control: the new server is filled by the old configuration, and votes from the first moment of the new one.
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

    /// Decides what the register is under this generation, so that a majority of its members hold it. The control gives it to
    /// the new server as well.
    async fn establish(self: &Rc<Self>, here: usize, new: Option<usize>) -> Option<()> {
        for _ in 0..TRIES {
            let committed = self.decide(Command::Read, true).await.ok()?;
            if generation(committed.voters.epoch) != here {
                return None;
            }
            let Some(new) = new else { return Some(()) };
            let (ballot, position, source) = (committed.ballot, committed.position?, committed.source);
            let goal = Goal { ballot, position, source, epoch: None };
            match self.transfer(goal, new).await {
                SettleAnswer::Accepted => return Some(()),
                SettleAnswer::Nack { promised } => self.observe(promised),
                _ => {}
            }
        }
        None
    }

    /// Moves all members to their generation. Who voted in the one before votes on; whoever comes from elsewhere joins.
    async fn move_to(self: &Rc<Self>, to: usize, members: Members, joiner: Option<&Joiner>) -> Option<()> {
        let mut order = members.list();
        let first = self.world.below(order.len() as u64) as usize;
        order.rotate_left(first);
        for node in order {
            if self.stops() {
                return None;
            }
            let (fence, world) = (self.world.token(), Rc::clone(&self.world));
            let joiner = joiner.filter(|joiner| joiner.node == node);
            let work = |server: &mut Server| {
                let held = server.durable.admin;
                if held.is_some_and(|admin| generation(admin.epoch) >= to) {
                    return;
                }
                let role = role_after_move(held, to, joiner, server.run, world.control);
                let run = match held {
                    Some(admin) if role == Role::Voter => admin.run,
                    _ => server.run,
                };
                server.forgot &= held.is_some_and(|admin| admin.role == Role::Voter) || role != Role::Voter;
                server.durable.admin = Some(Admin { epoch: first_epoch(to), members, role, run, fence });
                world.log(|| format!("change: {node} is {role:?} of generation {to}"));
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

/// A voter of an older generation than the one before may have been removed since.
fn role_after_move(
    held: Option<Admin>,
    to: usize,
    joiner: Option<&Joiner>,
    run: u64,
    control: Control,
) -> Role {
    let votes_on = |admin: Admin| admin.role == Role::Voter && generation(admin.epoch) + 1 == to;
    let is_filled =
        |admin: Admin| joiner.is_some_and(|joiner| (joiner.run, joiner.fence) == (run, admin.fence));
    let is_voter = held.is_some_and(|admin| votes_on(admin) || is_filled(admin));
    if is_voter || control == Control::VotesUnfilled { Role::Voter } else { Role::Joining }
}

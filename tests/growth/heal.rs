//! The pass that brings a node back, step by step as `src/heal` does it; it may stop between any two calls.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Epoch, Position, Role};

use super::admission::{Seat, Session};
use super::client::Client;
use super::control::{Control, Topic};
use super::members::{Members, generation};
use super::node::{Admin, Record};
use super::weather::DEADLINE;
use super::world::Server;

/// What a digest page says of the register on one node.
pub type Listed = Option<(Position, Option<Ballot>, Ballot)>;

/// A node that is being filled, in this run and under this token.
pub struct Joiner {
    pub node: usize,
    pub run: u64,
    pub fence: u64,
}

/// Who moves to a new epoch, and who is filled.
struct Plan {
    voters: Vec<usize>,
    joining: Vec<usize>,
    newest: Epoch,
    members: Members,
}

impl Client {
    /// One pass; says whether it came to its end.
    pub async fn heal(self: &Rc<Self>) -> bool {
        self.refresh((0..self.nodes()).collect()).await;
        if self.world.weather.topic == Topic::Members {
            self.finish_change().await;
        }
        self.pass().await.is_some()
    }

    async fn pass(self: &Rc<Self>) -> Option<()> {
        let Plan { voters, joining, newest, members } = self.sort_out()?;
        let epoch = self.next_epoch(&joining, newest).await?;
        let world = Rc::clone(&self.world);
        world.log(|| format!("heal: {voters:?} to epoch {}, {joining:?} join", epoch.0));
        let keeps_epoch = world.control == Control::PlainCopies;
        let epoch = if keeps_epoch { newest } else { epoch };
        if !keeps_epoch {
            self.move_voters(&voters, epoch, members).await?;
        }
        let mut joiners = Vec::new();
        for node in joining {
            joiners.extend(self.enter(node, newest, epoch, members).await?);
        }
        self.refresh((0..self.nodes()).collect()).await;
        for joiner in joiners.iter().filter(|_| world.percent(30)) {
            // It does not answer for one moment, and does again before the pass is over.
            self.seats.borrow_mut()[joiner.node] = Seat::Away;
        }
        if world.control == Control::Sound && world.percent(50) {
            self.copy_in_bulk(&joiners).await;
        }
        let swept = self.sweep().await?;
        if world.control != Control::CountsAwayAsFilled {
            joiners.retain(|joiner| swept.contains(&joiner.node));
        }
        for joiner in joiners {
            if self.world.percent(40) {
                self.world.crash(joiner.node, 3).await;
            }
            self.promote(&joiner, epoch).await;
        }
        Some(())
    }

    /// None where all vote under one epoch already, or too few do.
    fn sort_out(&self) -> Option<Plan> {
        let seats = self.seats.borrow();
        let newest_voter = seats.iter().filter_map(voting).max_by_key(|session| session.epoch)?;
        let (newest, members) = (newest_voter.epoch, newest_voter.members);
        let (mut voters, mut joining) = (Vec::new(), Vec::new());
        for node in members.list() {
            match &seats[node] {
                Seat::Up(session) if session.role == Role::Voter => voters.push((node, session.epoch)),
                Seat::Up(_) | Seat::Emptied => joining.push(node),
                Seat::Away => {}
            }
        }
        let holders = voters.iter().filter(|(_, epoch)| *epoch == newest).count();
        if joining.is_empty() && holders == voters.len() {
            return None;
        }
        if holders >= members.majority() {
            joining.extend(voters.iter().filter(|(_, epoch)| *epoch != newest).map(|(node, _)| *node));
            voters.retain(|(_, epoch)| *epoch == newest);
        }
        let voters: Vec<usize> = voters.into_iter().map(|(node, _)| node).collect();
        (voters.len() >= members.majority()).then_some(Plan { voters, joining, newest, members })
    }

    /// None where a node shows a newer generation: the change comes first.
    async fn next_epoch(self: &Rc<Self>, joining: &[usize], newest: Epoch) -> Option<Epoch> {
        let mut highest = newest;
        for node in joining {
            let found = self.world.admin(*node, |server| server.durable.admin.map(|admin| admin.epoch)).await;
            highest = highest.max(found.flatten().unwrap_or_default());
        }
        (generation(highest) == generation(newest)).then_some(Epoch(highest.0 + 1))
    }

    /// Moves what can be moved; below a majority the pass ends.
    pub async fn move_voters(
        self: &Rc<Self>,
        voters: &[usize],
        epoch: Epoch,
        members: Members,
    ) -> Option<()> {
        let mut moved = 0;
        for node in voters {
            if self.stops() {
                return None;
            }
            let token = self.world.token();
            let work = |server: &mut Server| match &mut server.durable.admin {
                Some(admin) if admin.epoch < epoch => {
                    *admin = Admin { epoch, members, fence: token, ..*admin };
                    true
                }
                _ => false,
            };
            moved += usize::from(self.world.admin(*node, work).await == Some(true));
        }
        (moved >= members.majority()).then_some(())
    }

    /// Whether the healer is killed here.
    pub fn stops(&self) -> bool {
        self.world.percent(3)
    }

    /// A node that votes under no older epoch was promoted by another pass since it was listed: it is left alone.
    async fn enter(
        self: &Rc<Self>,
        node: usize,
        newest: Epoch,
        epoch: Epoch,
        members: Members,
    ) -> Option<Option<Joiner>> {
        if self.stops() {
            return None;
        }
        let fence = self.world.token();
        let work = |server: &mut Server| {
            let run = server.run;
            let votes = |admin: Admin| admin.role == Role::Voter && admin.epoch >= newest;
            if server.durable.admin.is_some_and(votes) {
                return None;
            }
            server.durable.admin = Some(Admin { epoch, members, role: Role::Joining, run, fence });
            server.copy = server.durable.clone();
            Some(run)
        };
        let run = self.world.admin(node, work).await?;
        Some(run.map(|run| Joiner { node, run, fence }))
    }

    /// Compares every register on all members that are there, and mends it: those nodes; none where that failed.
    pub async fn sweep(self: &Rc<Self>) -> Option<Vec<usize>> {
        let mut swept = self.sweep_register().await?;
        if self.world.weather.topic == Topic::Members {
            let also = self.at_configuration().sweep_register().await?;
            swept.retain(|node| also.contains(node));
        }
        Some(swept)
    }

    async fn sweep_register(self: &Rc<Self>) -> Option<Vec<usize>> {
        let (seats, members) = (self.seats.borrow().clone(), self.voters().configuration);
        let is_voter = |seat: &Seat| voting(seat).is_some();
        let there: Vec<usize> =
            members.list().into_iter().filter(|node| matches!(seats[*node], Seat::Up(_))).collect();
        if there.iter().filter(|node| is_voter(&seats[**node])).count() < members.majority() {
            return None;
        }
        let mut held: Vec<(bool, Listed)> = Vec::new();
        for node in &there {
            held.push((is_voter(&seats[*node]), self.held(*node).await?));
        }
        if held.iter().all(|(_, held)| held.is_none()) || self.is_identical(&held) {
            return Some(there);
        }
        if self.world.control == Control::PlainCopies {
            return self.copy(&there, &seats).await.map(|()| there);
        }
        if held.iter().all(|(votes, held)| !votes || held.is_none()) {
            if self.world.control == Control::KeepsPurged {
                return Some(there);
            }
            return self.forget(&there, &held).await.map(|()| there);
        }
        let missing = self.mend().await?;
        let complete = match self.world.control {
            Control::CountsAwayAsFilled => missing.is_empty() || there.len() < self.nodes(),
            _ => !there.iter().any(|node| missing.contains(node)),
        };
        complete.then_some(there)
    }

    pub async fn held(self: &Rc<Self>, node: usize) -> Option<Listed> {
        let (session, register) = (self.session(node, None)?, self.register);
        let work = move |server: &mut Server, _: u64| {
            let held = |record: &Record| (record.state.position(), record.accepted, record.promised);
            server.durable.of(register).record.as_ref().map(held)
        };
        let found = self.world.call(node, session, DEADLINE, false, work).await;
        found.map_err(|failure| self.note(node, session, failure)).ok()
    }

    fn is_identical(&self, held: &[(bool, Listed)]) -> bool {
        let equal = held.windows(2).all(|pair| pair[0].1.map(|h| h.0) == pair[1].1.map(|h| h.0));
        let newest = held.iter().filter_map(|(_, held)| held.map(|h| h.1)).max().flatten();
        let highest = held.iter().filter_map(|(_, held)| held.map(|h| h.2)).max();
        let keeps = |h: &(Position, Option<Ballot>, Ballot)| h.1 == newest && Some(h.2) == highest;
        equal && held.iter().filter(|(votes, _)| !votes).all(|(_, held)| held.as_ref().is_some_and(keeps))
    }

    /// What no voter has, a joining node must not bring back.
    async fn forget(self: &Rc<Self>, there: &[usize], held: &[(bool, Listed)]) -> Option<()> {
        for (node, _) in there.iter().zip(held).filter(|(_, (_, held))| held.is_some()) {
            let (session, register) = (self.session(*node, None)?, self.register);
            let work = move |server: &mut Server, _: u64| {
                let joins = server.durable.admin.is_some_and(|admin| admin.role == Role::Joining);
                let record = &mut server.durable.of(register).record;
                *record = record.take().filter(|_| !joins);
                joins
            };
            let forgotten = self.world.call(*node, session, DEADLINE, false, work).await.ok()?;
            forgotten.then_some(())?;
        }
        Some(())
    }

    /// The control: the highest record of the voters, as plain reads find it, at its own accepted ballot.
    async fn copy(self: &Rc<Self>, there: &[usize], seats: &[Seat]) -> Option<()> {
        let mut best: Option<Record> = None;
        for node in there.iter().filter(|node| matches!(seats[**node], Seat::Up(s) if s.role == Role::Voter))
        {
            let (session, register) = (self.session(*node, None)?, self.register);
            let work = move |server: &mut Server, _: u64| server.durable.of(register).record.clone();
            let record = self.world.call(*node, session, DEADLINE, false, work).await.ok()?;
            let rank = |record: &Option<Record>| record.as_ref().map(|record| record.standing().rank());
            best = if rank(&record) > rank(&best) { record } else { best };
        }
        let best = best?;
        for node in
            there.iter().filter(|node| matches!(seats[**node], Seat::Up(s) if s.role == Role::Joining))
        {
            let (session, register) = (self.session(*node, None)?, self.register);
            let copied = best.clone();
            let work = move |server: &mut Server, _: u64| server.durable.of(register).record = Some(copied);
            self.world.call(*node, session, DEADLINE, false, work).await.ok()?;
        }
        Some(())
    }

    /// What one voter holds goes to the joining nodes as it is, before anything is compared; nobody waits for a copy that is late.
    async fn copy_in_bulk(self: &Rc<Self>, joiners: &[Joiner]) -> Option<()> {
        let voters: Vec<usize> = {
            let seats = self.seats.borrow();
            (0..seats.len()).filter(|node| voting(&seats[*node]).is_some()).collect()
        };
        let source = *voters.get(self.world.below(voters.len().max(1) as u64) as usize)?;
        let (session, register) = (self.session(source, None)?, self.register);
        let work = move |server: &mut Server, _: u64| server.durable.of(register).record.clone();
        let record = self.world.call(source, session, DEADLINE, false, work).await.ok()??;
        for joiner in joiners {
            let Some(mut session) = self.session(joiner.node, None) else { continue };
            session.fence = joiner.fence;
            let (world, copied, node) = (Rc::clone(&self.world), record.clone(), joiner.node);
            let giving = async move {
                let work = move |server: &mut Server, _: u64| {
                    let joins = server.durable.admin.is_some_and(|admin| admin.role == Role::Joining);
                    let held = &mut server.durable.of(register).record;
                    let newer = held.as_ref().is_some_and(|held| {
                        held.promised > copied.promised || held.accepted > copied.accepted
                    });
                    if joins && !newer {
                        *held = Some(copied);
                    }
                };
                let _ = world.call(node, session, DEADLINE, false, work).await;
            };
            if self.world.percent(50) {
                self.world.sim.spawn(giving);
            } else {
                giving.await;
            }
        }
        Some(())
    }

    pub async fn promote(self: &Rc<Self>, joiner: &Joiner, epoch: Epoch) -> bool {
        if self.stops() {
            return false;
        }
        let token = self.world.token();
        let work = |server: &mut Server| {
            let run = server.run;
            let Some(admin) = &mut server.durable.admin else { return false };
            let entered =
                Admin { epoch, role: Role::Joining, run: joiner.run, fence: joiner.fence, ..*admin };
            if *admin != entered || run != joiner.run {
                return false;
            }
            *admin = Admin { role: Role::Voter, fence: token, ..*admin };
            server.forgot = false;
            true
        };
        self.world.admin(joiner.node, work).await == Some(true)
    }
}

fn voting(seat: &Seat) -> Option<&Session> {
    match seat {
        Seat::Up(session) if session.role == Role::Voter => Some(session),
        _ => None,
    }
}

//! The pass that brings a node back, step by step as `src/heal` does it; it may stop between any two calls.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Epoch, Position, Role};

use super::client::Client;
use super::control::Control;
use super::node::{Admin, Record};
use super::reads::majority;
use super::weather::DEADLINE;
use super::world::{Seat, Server};

/// What a digest page says of the register on one node.
pub type Held = Option<(Position, Option<Ballot>, Ballot)>;

struct Joiner {
    node: usize,
    run: u64,
    fence: u64,
}

impl Client {
    /// One pass; says whether it came to its end.
    pub async fn heal(self: &Rc<Self>) -> bool {
        self.refresh((0..self.nodes()).collect()).await;
        self.pass().await.is_some()
    }

    async fn pass(self: &Rc<Self>) -> Option<()> {
        let (voters, joining, newest) = self.sort_out()?;
        let epoch = self.next_epoch(&joining, newest).await;
        let world = Rc::clone(&self.world);
        world.log(|| format!("heal: {voters:?} to epoch {}, {joining:?} join", epoch.0));
        let keeps_epoch = world.control == Control::PlainCopies;
        let epoch = if keeps_epoch { newest } else { epoch };
        if !keeps_epoch {
            self.move_voters(&voters, epoch).await?;
        }
        let mut joiners = Vec::new();
        for node in joining {
            joiners.extend(self.enter(node, newest, epoch).await?);
        }
        self.refresh((0..self.nodes()).collect()).await;
        for joiner in joiners.iter().filter(|_| world.percent(30)) {
            // It does not answer for one moment, and does again before the pass is over.
            self.seats.borrow_mut()[joiner.node] = Seat::Away;
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

    /// Who moves to a new epoch, and who is filled; none where all vote under one epoch already, or too few do.
    fn sort_out(&self) -> Option<(Vec<usize>, Vec<usize>, Epoch)> {
        let (mut voters, mut joining) = (Vec::new(), Vec::new());
        for (node, seat) in self.seats.borrow().iter().enumerate() {
            match seat {
                Seat::Up(session) if session.role == Role::Voter => voters.push((node, session.epoch)),
                Seat::Up(_) | Seat::Emptied => joining.push(node),
                Seat::Away => {}
            }
        }
        let newest = voters.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default();
        let holders = voters.iter().filter(|(_, epoch)| *epoch == newest).count();
        if joining.is_empty() && holders == voters.len() {
            return None;
        }
        if holders >= majority(self.nodes()) {
            joining.extend(voters.iter().filter(|(_, epoch)| *epoch != newest).map(|(node, _)| *node));
            voters.retain(|(_, epoch)| *epoch == newest);
        }
        let voters: Vec<usize> = voters.into_iter().map(|(node, _)| node).collect();
        (voters.len() >= majority(self.nodes())).then_some((voters, joining, newest))
    }

    async fn next_epoch(self: &Rc<Self>, joining: &[usize], newest: Epoch) -> Epoch {
        let mut highest = newest;
        for node in joining {
            let found = self.world.admin(*node, |server| server.durable.admin.map(|admin| admin.epoch)).await;
            highest = highest.max(found.flatten().unwrap_or_default());
        }
        Epoch(highest.0 + 1)
    }

    /// Moves what can be moved; below a majority the pass ends.
    pub async fn move_voters(self: &Rc<Self>, voters: &[usize], epoch: Epoch) -> Option<()> {
        let mut moved = 0;
        for node in voters {
            if self.stops() {
                return None;
            }
            let token = self.world.token();
            let work = |server: &mut Server| match &mut server.durable.admin {
                Some(admin) if admin.epoch < epoch => {
                    *admin = Admin { epoch, fence: token, ..*admin };
                    true
                }
                _ => false,
            };
            moved += usize::from(self.world.admin(*node, work).await == Some(true));
        }
        (moved >= majority(self.nodes())).then_some(())
    }

    /// Whether the healer is killed here.
    fn stops(&self) -> bool {
        self.world.percent(3)
    }

    /// A node that votes under no older epoch was promoted by another pass since it was listed: it is left alone.
    async fn enter(self: &Rc<Self>, node: usize, newest: Epoch, epoch: Epoch) -> Option<Option<Joiner>> {
        if self.stops() {
            return None;
        }
        let (fence, demotes) = (self.world.token(), self.world.control == Control::DemotesPromoted);
        let work = |server: &mut Server| {
            let run = server.run;
            let votes = |admin: Admin| admin.role == Role::Voter && admin.epoch >= newest;
            if server.durable.admin.is_some_and(votes) && !demotes {
                return None;
            }
            server.durable.admin = Some(Admin { epoch, role: Role::Joining, run, fence });
            server.copy = server.durable.clone();
            Some(run)
        };
        let run = self.world.admin(node, work).await?;
        Some(run.map(|run| Joiner { node, run, fence }))
    }

    /// Compares the register on all nodes that are there, and mends it: those nodes; none where that failed.
    pub async fn sweep(self: &Rc<Self>) -> Option<Vec<usize>> {
        let seats = self.seats.borrow().clone();
        let is_voter = |seat: &Seat| matches!(seat, Seat::Up(session) if session.role == Role::Voter);
        let there: Vec<usize> = (0..seats.len()).filter(|node| matches!(seats[*node], Seat::Up(_))).collect();
        if seats.iter().filter(|seat| is_voter(seat)).count() < majority(self.nodes()) {
            return None;
        }
        let mut held: Vec<(bool, Held)> = Vec::new();
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

    pub async fn held(self: &Rc<Self>, node: usize) -> Option<Held> {
        let session = self.session(node, None)?;
        let work = |server: &mut Server, _: u64| {
            let held = |record: &Record| (record.state.position(), record.accepted, record.promised);
            server.durable.record.as_ref().map(held)
        };
        let found = self.world.call(node, session, DEADLINE, false, work).await;
        found.map_err(|failure| self.note(node, session, failure)).ok()
    }

    fn is_identical(&self, held: &[(bool, Held)]) -> bool {
        let equal = held.windows(2).all(|pair| pair[0].1.map(|h| h.0) == pair[1].1.map(|h| h.0));
        let newest = held.iter().filter_map(|(_, held)| held.map(|h| h.1)).max().flatten();
        let highest = held.iter().filter_map(|(_, held)| held.map(|h| h.2)).max();
        let keeps = |h: &(Position, Option<Ballot>, Ballot)| {
            self.world.control == Control::PromiseNotHealed || (h.1 == newest && Some(h.2) == highest)
        };
        equal && held.iter().filter(|(votes, _)| !votes).all(|(_, held)| held.as_ref().is_some_and(keeps))
    }

    /// What no voter has, a joining node must not bring back.
    async fn forget(self: &Rc<Self>, there: &[usize], held: &[(bool, Held)]) -> Option<()> {
        for (node, _) in there.iter().zip(held).filter(|(_, (_, held))| held.is_some()) {
            let session = self.session(*node, None)?;
            let work = |server: &mut Server, _: u64| {
                let joins = server.durable.admin.is_some_and(|admin| admin.role == Role::Joining);
                server.durable.record = server.durable.record.take().filter(|_| !joins);
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
            let session = self.session(*node, None)?;
            let work = |server: &mut Server, _: u64| server.durable.record.clone();
            let record = self.world.call(*node, session, DEADLINE, false, work).await.ok()?;
            let rank = |record: &Option<Record>| record.as_ref().map(|record| record.standing().rank());
            best = if rank(&record) > rank(&best) { record } else { best };
        }
        let best = best?;
        for node in
            there.iter().filter(|node| matches!(seats[**node], Seat::Up(s) if s.role == Role::Joining))
        {
            let session = self.session(*node, None)?;
            let copied = best.clone();
            let work = move |server: &mut Server, _: u64| server.durable.record = Some(copied);
            self.world.call(*node, session, DEADLINE, false, work).await.ok()?;
        }
        Some(())
    }

    async fn promote(self: &Rc<Self>, joiner: &Joiner, epoch: Epoch) -> bool {
        if self.stops() {
            return false;
        }
        let (token, control) = (self.world.token(), self.world.control);
        let work = |server: &mut Server| {
            let run = server.run;
            let Some(admin) = &mut server.durable.admin else { return false };
            let same = *admin == Admin { epoch, role: Role::Joining, run: joiner.run, fence: joiner.fence };
            let same = same && run == joiner.run;
            if same || (control == Control::PromoteAfterRestart && admin.role == Role::Joining) {
                *admin = Admin { epoch, role: Role::Voter, run, fence: token };
                server.forgot = false;
                return true;
            }
            false
        };
        self.world.admin(joiner.node, work).await == Some(true)
    }
}

//! The recovery of a cluster that no majority remembers, step by step as `src/heal/recover.rs` does it; it may stop between any two calls.
//!
//! All servers end at once and come back with all that they answered, but for at most N-M that come back empty. None of them can prove
//! it, so none votes; what was acknowledged must be there all the same.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Epoch, Position, Role, SettleAnswer};

use super::admission::{Seat, Session};
use super::client::Client;
use super::control::Control;
use super::heal::Joiner;
use super::members::Members;
use super::node::{Admin, Record, Settle};
use super::weather::DEADLINE;
use super::world::{Server, World};

/// How often all nodes are compared before it is given up.
const SWEEPS: usize = 3;

/// A record as a node lists it.
type Held = Option<(Position, Option<Ballot>, Ballot)>;

impl World {
    /// All servers end, and come back.
    pub async fn outage(self: &Rc<Self>) {
        let empties = self.percent(40).then(|| self.below(self.nodes() as u64) as usize);
        for node in 0..self.nodes() {
            let server = &mut self.servers.borrow_mut()[node];
            server.is_up = false;
            if Some(node) == empties {
                server.durable = Default::default();
            }
            server.copy = server.durable.clone();
        }
        self.log(|| format!("all end; {empties:?} forgets all"));
        let mut order: Vec<usize> = (0..self.nodes()).collect();
        let first = self.below(self.nodes() as u64) as usize;
        order.rotate_left(first);
        for node in order {
            self.sim.sleep(1 + self.below(60)).await;
            let server = &mut self.servers.borrow_mut()[node];
            server.run += 1;
            server.is_up = true;
        }
    }
}

impl Client {
    /// What a daemon does: it heals where a majority votes, and recovers where none does.
    pub async fn heal_or_recover(self: &Rc<Self>) {
        self.refresh((0..self.nodes()).collect()).await;
        if self.votes() >= Members::first(self.nodes()).majority() {
            self.heal().await;
        } else {
            self.recover().await;
        }
    }

    fn votes(&self) -> usize {
        let votes = |seat: &&Seat| matches!(seat, Seat::Up(session) if session.role == Role::Voter);
        self.seats.borrow().iter().filter(votes).count()
    }

    fn all_answer(&self) -> bool {
        let missing = self.seats.borrow().iter().filter(|seat| **seat == Seat::Away).count();
        let control = self.world.control == Control::RecoversFromSome;
        missing == 0 || control && missing < self.nodes() - 1
    }

    async fn recover(self: &Rc<Self>) -> Option<()> {
        if !self.all_answer() {
            return None;
        }
        let epoch = self.epoch_above_all().await?;
        let mut joiners = Vec::new();
        for node in 0..self.nodes() {
            if self.seats.borrow()[node] != Seat::Away {
                joiners.push(self.enter_recovery(node, epoch).await?);
            }
        }
        self.refresh((0..self.nodes()).collect()).await;
        if !self.all_answer() || self.votes() >= Members::first(self.nodes()).majority() {
            return None;
        }
        self.world.log(|| format!("recovery under epoch {}", epoch.0));
        let mut same = false;
        for _ in 0..SWEEPS {
            same = self.sweep_all(&joiners).await?;
            if same {
                break;
            }
        }
        for joiner in joiners.iter().filter(|joiner| same && joiner.votes_not) {
            self.promote(&joiner.joiner, epoch).await;
        }
        Some(())
    }

    async fn epoch_above_all(self: &Rc<Self>) -> Option<Epoch> {
        let mut highest = Epoch::default();
        for node in 0..self.nodes() {
            let found = self.world.admin(node, |server| server.durable.admin.map(|admin| admin.epoch)).await;
            highest = highest.max(found.flatten().unwrap_or_default());
        }
        Some(Epoch(highest.0 + 1))
    }

    async fn enter_recovery(self: &Rc<Self>, node: usize, epoch: Epoch) -> Option<Entered> {
        if self.stops() {
            return None;
        }
        let (fence, members) = (self.world.token(), Members::first(self.nodes()));
        let work = |server: &mut Server| {
            let run = server.run;
            let before = server.durable.admin;
            if before.is_some_and(|admin| admin.epoch >= epoch) {
                return None;
            }
            let votes = before.is_some_and(|admin| admin.role == Role::Voter && admin.run == run);
            let role = if votes { Role::Voter } else { Role::Joining };
            let recorded = before.filter(|_| votes).map_or(run, |admin| admin.run);
            server.durable.admin = Some(Admin { epoch, members, role, run: recorded, fence });
            Some((run, votes))
        };
        let (run, votes) = self.world.admin(node, work).await??;
        let session = Session { run, fence, epoch, members, role: Role::Joining };
        Some(Entered { joiner: Joiner { node, run, fence }, session, votes_not: !votes })
    }

    /// Whether all held the same, and all of it.
    async fn sweep_all(self: &Rc<Self>, entered: &[Entered]) -> Option<bool> {
        let mut held: Vec<Held> = Vec::new();
        for node in entered {
            held.push(self.held_under(node).await?);
        }
        let newest = held.iter().flatten().map(|held| held.1).max().flatten();
        let highest = held.iter().flatten().map(|held| held.2).max();
        let keeps = |held: &Held| held.is_some_and(|held| held.1 == newest && Some(held.2) == highest);
        let equal = held.windows(2).all(|pair| pair[0].map(|held| held.0) == pair[1].map(|held| held.0));
        if held.iter().all(Option::is_none) || equal && held.iter().all(keeps) {
            return Some(true);
        }
        held.iter().flatten().for_each(|held| self.observe(held.2));
        let by_version = self.world.control == Control::RecoversByVersion;
        let rank = |held: &(Position, Option<Ballot>, Ballot)| {
            let accepted = if by_version { None } else { held.1 };
            (accepted, held.0.version, held.0.digest)
        };
        let ranked = held.iter().enumerate().filter_map(|(at, held)| Some((rank(held.as_ref()?), at)));
        let (_, source) = ranked.max()?;
        let position = held[source]?.0;
        let ballot = self.next_ballot();
        let mut order: Vec<usize> = (0..entered.len()).collect();
        order.sort_by_key(|at| held[*at].map(|held| held.0) != Some(position));
        for at in order {
            if self.stops() {
                return None;
            }
            if self.world.percent(20) {
                // The machine stands still for a while between what was read and what is settled.
                self.world.sim.sleep(self.world.below(400)).await;
                // Nodes that do not vote are looked at again and again.
                self.refresh((0..self.nodes()).collect()).await;
            }
            let has = held[at].map(|held| held.0) == Some(position);
            self.settle_under(&entered[at], &entered[source], (ballot, position, has)).await;
        }
        Some(false)
    }

    async fn held_under(self: &Rc<Self>, entered: &Entered) -> Option<Held> {
        let (session, register) = (entered.session, self.register);
        let work = move |server: &mut Server, _: u64| {
            let held = |record: &Record| (record.state.position(), record.accepted, record.promised);
            server.durable.of(register).record.as_ref().map(held)
        };
        let found = self.world.call(entered.joiner.node, session, DEADLINE, false, work).await;
        found.map_err(|failure| self.note(entered.joiner.node, session, failure)).ok()
    }

    async fn settle_under(
        self: &Rc<Self>,
        to: &Entered,
        from: &Entered,
        (ballot, position, has): (Ballot, Position, bool),
    ) -> Option<SettleAnswer> {
        let register = self.register;
        let snapshot = if has {
            None
        } else {
            let session = from.session;
            let work =
                move |server: &mut Server, now: u64| server.durable.of(register).snapshot(position, now);
            Some(self.world.call(from.joiner.node, session, DEADLINE, false, work).await.ok()??)
        };
        let (call, session, node) = (Settle { ballot, position, snapshot }, to.session, to.joiner.node);
        let world = Rc::clone(&self.world);
        let work = move |server: &mut Server, now: u64| world.on_settle((node, register), server, &call, now);
        let answer = self.world.call(node, session, DEADLINE, true, work).await;
        answer.map_err(|failure| self.note(node, session, failure)).ok()
    }
}

/// A node that has entered the recovery.
struct Entered {
    joiner: Joiner,
    session: Session,
    votes_not: bool,
}

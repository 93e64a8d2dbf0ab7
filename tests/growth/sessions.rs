//! What a coordinator knows of the nodes, and who counts.

use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Role};

use super::admission::{Seat, Session};
use super::client::Client;
use super::control::{Control, Topic};
use super::members::Members;
use super::reads::majority;
use super::sim::Mailbox;
use super::world::Failure;

/// The nodes whose answers count together.
#[derive(Debug, Clone)]
pub struct Voters {
    pub epoch: Epoch,
    /// The members of that epoch.
    pub configuration: Members,
    /// Those who are counted; a place in a round is a place in this list.
    pub members: Vec<usize>,
    pub together: Vec<usize>,
}

impl Client {
    /// Learns the admission of these nodes, all at once.
    pub async fn refresh(self: &Rc<Self>, nodes: Vec<usize>) {
        let mail = Mailbox::new();
        for node in &nodes {
            let (client, node, mail) = (Rc::clone(self), *node, mail.clone());
            self.world.sim.spawn(async move {
                let seat = client.world.look(node).await;
                client.seats.borrow_mut()[node] = seat;
                mail.push(());
            });
        }
        for _ in nodes {
            mail.next().await;
        }
    }

    /// The newest configuration of which a majority votes; where there is none, the newest.
    pub fn voters(&self) -> Voters {
        let seats = self.seats.borrow();
        let session_of = |seat: &Seat| match seat {
            Seat::Up(session) if session.role == Role::Voter => Some((session.epoch, session.members)),
            _ => None,
        };
        let sessions: Vec<Option<(Epoch, Members)>> = seats.iter().map(session_of).collect();
        let mut seen: Vec<(Epoch, Members)> = sessions.iter().flatten().copied().collect();
        seen.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
        let holders = |epoch: Epoch| -> Vec<usize> {
            (0..seats.len()).filter(|node| sessions[*node].is_some_and(|(held, _)| held == epoch)).collect()
        };
        let decides = |(epoch, members): &&(Epoch, Members)| {
            self.world.weather.topic != Topic::Members || holders(*epoch).len() >= members.majority()
        };
        let none = (Epoch(0), Members::first(self.nodes()));
        let (epoch, configuration) = seen.iter().find(decides).or(seen.first()).copied().unwrap_or(none);
        self.as_counted(Voters {
            epoch,
            configuration,
            members: configuration.list(),
            together: holders(epoch),
        })
    }

    /// The control counts as before the configuration grew.
    fn as_counted(&self, mut voters: Voters) -> Voters {
        if self.world.control == Control::OldMajority && voters.members.len() == self.nodes() {
            let missing = voters.members.iter().copied().find(|node| !voters.together.contains(node));
            let left_out = missing.unwrap_or_else(|| self.world.below(self.nodes() as u64) as usize);
            voters.members.retain(|node| *node != left_out);
            voters.together.retain(|node| *node != left_out);
        }
        voters
    }

    /// Whether enough of them are there to decide anything.
    pub fn can_decide(voters: &Voters) -> bool {
        voters.together.len() >= majority(voters.members.len())
    }

    /// The session for a call that counts under an epoch, or that counts for nothing.
    pub fn session(&self, node: usize, epoch: Option<Epoch>) -> Option<Session> {
        let Seat::Up(session) = self.seats.borrow()[node] else { return None };
        let counts = |epoch| session.role == Role::Voter && session.epoch == epoch;
        epoch.is_none_or(counts).then_some(session)
    }

    /// A failed call tells that the admission must be learnt again.
    pub fn note(self: &Rc<Self>, node: usize, session: Session, failure: Failure) {
        if !matches!(failure, Failure::Broken | Failure::Fenced) {
            return;
        }
        let seat = &mut self.seats.borrow_mut()[node];
        if *seat == Seat::Up(session) {
            *seat = Seat::Away;
            let client = Rc::clone(self);
            self.world.sim.spawn(async move { client.refresh(vec![node]).await });
        }
    }

    /// Those that are away are looked at before they are given up.
    pub async fn reconnect(self: &Rc<Self>) {
        let up = |seat: &Seat| matches!(seat, Seat::Up(session) if session.role == Role::Voter);
        let away: Vec<usize> = (0..self.nodes()).filter(|node| !up(&self.seats.borrow()[*node])).collect();
        self.refresh(away).await;
    }
}

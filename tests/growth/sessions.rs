//! What a coordinator knows of the nodes, and who counts.

use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Role, count_together};

use super::client::Client;
use super::control::Control;
use super::sim::Mailbox;
use super::world::{Failure, Seat, Session};

/// The nodes whose answers count together.
#[derive(Debug, Clone)]
pub struct Voters {
    pub epoch: Epoch,
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

    pub fn voters(&self) -> Voters {
        let seats = self.seats.borrow();
        let epoch_of = |seat: &Seat| match seat {
            Seat::Up(session) if session.role == Role::Voter => Some(session.epoch),
            _ => None,
        };
        let epochs: Vec<Option<Epoch>> = seats.iter().map(epoch_of).collect();
        let epoch = epochs.iter().flatten().max().copied().unwrap_or_default();
        let mut together: Vec<usize> = count_together(&epochs).into_iter().map(|node| node.0).collect();
        if self.world.control == Control::OlderEpochCounts {
            together = (0..seats.len()).filter(|node| epochs[*node].is_some()).collect();
        }
        Voters { epoch, together }
    }

    /// The session for a call that counts under an epoch, or that counts for nothing.
    pub fn session(&self, node: usize, epoch: Option<Epoch>) -> Option<Session> {
        let Seat::Up(session) = self.seats.borrow()[node] else { return None };
        let any = self.world.control == Control::OlderEpochCounts;
        let counts = |epoch| session.role == Role::Voter && (any || session.epoch == epoch);
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

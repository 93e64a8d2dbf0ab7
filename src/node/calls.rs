//! A remote node as a coordinator sees it: what it counts as, and calls to it.

use super::remote::{MISSES, RemoteNode, State};
use super::session::Session;
use super::{Calling, Encode, Node, Seat, outbox};
use crate::protocol::{Epoch, Role};
use crate::script::{Part, ReadCall, Ticket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NO_VOTE: &str = "it does not vote under the round's epoch";
const STRANGER: &str = "it is in another configuration of this generation, or no member of it";

/// Calls own their node, so that a round that has decided can leave them behind.
impl Node for Arc<RemoteNode> {
    fn name(&self) -> &str {
        &self.name
    }

    fn seat(&self) -> Seat {
        match &*self.lock() {
            State::Away(refusal) => Seat::Away(refusal.to_string()),
            State::Up(_) if self.is_stranger() => Seat::Away(STRANGER.into()),
            State::Up(_) if self.hangs() => Seat::Away("it has stopped answering".into()),
            State::Up(session) if session.role == Role::Voter => Seat::Voter(session.epoch),
            State::Up(_) => Seat::Joining,
        }
    }

    fn send_as(&self, epoch: Epoch, encode: Encode<'_>, time_left: Duration) -> Calling {
        match self.voting_in(epoch) {
            Some(session) => self.send_over(session, encode, time_left),
            None => Calling::not_sent(NO_VOTE.into()),
        }
    }

    fn send_in(&self, generation: u64, encode: Encode<'_>, time_left: Duration) -> Calling {
        let is_in = |session: &Arc<Session>| session.epoch.generation() == generation;
        match self.session().filter(is_in).filter(|_| !self.is_stranger()) {
            Some(session) => self.send_over(session, encode, time_left),
            None => Calling::not_sent("it belongs to another generation of the cluster".into()),
        }
    }

    fn send(&self, encode: Encode<'_>, time_left: Duration) -> Calling {
        match self.session() {
            Some(session) => self.send_over(session, encode, time_left),
            None => Calling::not_sent(self.refusal().map(|refusal| refusal.to_string()).unwrap_or_default()),
        }
    }

    fn send_read(
        &self,
        epoch: Epoch,
        call: &ReadCall<'_>,
        part: Option<&Arc<Part>>,
        time_left: Duration,
    ) -> Calling {
        let Some(session) = self.voting_in(epoch) else {
            return Calling::not_sent(NO_VOTE.into());
        };
        let is_native = self.speaks_resp2() && session.reads_natively();
        let native = || is_native.then(|| call.native()).flatten();
        let Some(part) = part else {
            let encode = |ticket: &Ticket<'_>| call.encode(ticket);
            return match native() {
                Some(read) => self.read_over(session, read, &encode, time_left),
                None => self.send_over(session, &encode, time_left),
            };
        };
        outbox::send(self, session, Arc::clone(part), time_left, native)
    }

    fn send_part(&self, epoch: Epoch, part: &Arc<Part>, time_left: Duration) -> Calling {
        match self.voting_in(epoch) {
            Some(session) => outbox::send(self, session, Arc::clone(part), time_left, || None),
            None => Calling::not_sent(NO_VOTE.into()),
        }
    }

    fn fenced(&self) {
        self.wake.notify_one();
    }

    fn missed(&self) {
        let misses = self.misses.fetch_add(1, Ordering::Relaxed) + 1;
        if misses >= MISSES && self.is_quiet() && !self.told_hanging.swap(true, Ordering::Relaxed) {
            tracing::warn!(node = %self.name, "hangs: not asked until it answers a probe");
            self.wake.notify_one();
        }
    }

    fn is_silent(&self, at_least: Duration) -> bool {
        self.misses.load(Ordering::Relaxed) > 0 && self.is_quiet_for(at_least)
    }

    fn clock_offset_ms(&self) -> i64 {
        self.session().map_or(0, |session| session.offset_ms)
    }

    fn usual_latency(&self) -> Duration {
        self.latency.usual()
    }
}

impl RemoteNode {
    /// Its connection, where it votes under this epoch.
    fn voting_in(&self, epoch: Epoch) -> Option<Arc<Session>> {
        let votes = |session: &Arc<Session>| session.role == Role::Voter && session.epoch == epoch;
        self.session().filter(votes).filter(|_| !self.is_stranger())
    }
}

//! From a connection's bytes to what is under way, and from what is done to its bytes.

use super::clients::Unblock;
use super::connection::Connection;
use super::dialogue::{Step, name_of};
use super::own;
use super::reply;
use super::request::Request;
use super::shape::{Form, Shape};
use super::slots::Slot;
use super::waiting::give_back;
use crate::client::Delivery;
use redis::Value;
use std::sync::atomic::Ordering;

impl Connection {
    /// Issues what may be issued; whether no further request is there.
    pub(super) fn issue(&mut self) -> bool {
        if std::mem::take(&mut self.paused) {
            self.set_blocked(false);
        }
        while self.may_issue() {
            let request = match self.held.take() {
                Some(request) => request,
                None => match self.parser.next(&mut self.input, &self.dialogue.limits()) {
                    Ok(Some(request)) => request,
                    Ok(None) => {
                        give_back(&mut self.input);
                        return true;
                    }
                    Err(malformed) => {
                        self.refuse(&malformed.to_string());
                        return true;
                    }
                },
            };
            if !self.issue_one(request) {
                return false;
            }
        }
        false
    }

    /// What comes from the client is no request: it is told, and let go.
    fn refuse(&mut self, why: &str) {
        let slot = Slot::new(Request::of::<&[u8]>(&[]), String::new(), Form::One(Shape::Plain));
        let place = self.slots.push(slot);
        self.slots.fill(place, reply::error(why));
        self.dialogue.leaves = true;
    }

    fn issue_one(&mut self, request: Request) -> bool {
        let name = name_of(&request);
        if self.dialogue.turns_away(&name) {
            return false;
        }
        if self.must_pause(&name, &request) {
            (self.held, self.paused) = (Some(request), true);
            self.set_blocked(true);
            return false;
        }
        if self.dialogue.must_wait(&name) && !self.slots.is_empty() {
            self.answer();
            if !self.slots.is_empty() {
                self.held = Some(request);
                return false;
            }
        }
        self.dialogue.hears(&name, &request);
        let before = self.dialogue.wants;
        let waits = self.dialogue.must_wait(&name);
        let (step, form) = self.dialogue.take(&name, &request);
        let mut slot = Slot::new(request, name, form);
        // What is pushed is no reply.
        slot.is_silent = self.dialogue.is_silent(before) && slot.form != Form::Pushes;
        let place = self.slots.push(slot);
        match step {
            Step::Now(value) => self.slots.fill(place, value),
            Step::Lane(access, call) => self.lanes.push(place, access, call),
            Step::Alone(later) => {
                self.alone = Some((place, later));
                self.set_blocked(self.slots.last_blocks());
            }
        }
        if waits {
            self.after_own_command();
        }
        true
    }

    fn after_own_command(&mut self) {
        self.dialogue.note_state();
        if self.dialogue.monitors && self.monitor.is_none() {
            self.monitor = Some(self.dialogue.shared.monitors.subscribe());
        }
        if !self.dialogue.monitors {
            self.monitor = None;
        }
        if let Some(stream) = self.dialogue.new_stream.take() {
            self.stream = Some(stream);
        }
        if self.dialogue.ears.is_none() {
            self.stream = None;
        }
    }

    fn must_pause(&self, name: &str, request: &Request) -> bool {
        let pause = *self.dialogue.shared.pause.borrow();
        pause.is_some_and(|pause| self.dialogue.must_pause(pause, name, request))
    }

    pub(super) fn set_blocked(&mut self, blocked: bool) {
        let before = self.dialogue.peer.blocked.swap(blocked, Ordering::Relaxed);
        let count = &self.dialogue.shared.stats.blocked;
        match (before, blocked) {
            (false, true) => drop(count.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(count.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Writes the replies that are there, as far as all before them are.
    pub(super) fn answer(&mut self) {
        while let Some((slot, value)) = self.slots.pop_ready() {
            self.dialogue.answered(&slot, &value);
            if !slot.is_silent {
                reply::write(&mut self.output, self.dialogue.protocol, &slot.form, &value);
            }
        }
        self.dialogue.peer.unread.store(self.output.len() as u64, Ordering::Relaxed);
        self.dialogue.peer.busy.store(!self.slots.is_empty(), Ordering::Relaxed);
    }

    /// Somebody wants something of this connection; whether it goes on.
    pub(super) fn obey(&mut self) -> bool {
        if let Some(unblock) = self.dialogue.peer.take_unblock()
            && self.slots.last_blocks()
        {
            let reply = match unblock {
                Unblock::Timeout => Value::Nil,
                Unblock::Error => reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            };
            self.end_alone(reply);
        }
        !self.dialogue.peer.is_killed()
    }

    /// A message of a subscription.
    pub(super) fn pushes(&mut self, message: Delivery) {
        let pushed = Value::Array(vec![own::delivered(message)]);
        reply::write(&mut self.output, self.dialogue.protocol, &Form::Pushes, &pushed);
    }

    /// What ran alone has come to this.
    pub(super) fn end_alone(&mut self, value: Value) {
        if let Some((place, _)) = self.alone.take() {
            match self.dialogue.finish(value) {
                Ok(value) => self.slots.fill(place, value),
                Err(later) => self.alone = Some((place, later)),
            }
        }
        self.set_blocked(false);
        self.after_own_command();
    }
}

//! Replies in the order of their requests.

use super::lanes::Place;
use super::request::Request;
use super::shape::Form;
use redis::Value;
use std::collections::VecDeque;
use std::time::Instant;

/// A request whose reply has not left yet.
pub struct Slot {
    /// What was asked.
    pub request: Request,
    /// The command's name, lower case.
    pub name: String,
    /// How the reply is written.
    pub form: Form,
    /// When it was issued.
    pub began: Instant,
    /// The client does not want the reply.
    pub is_silent: bool,
    value: Option<Value>,
}

impl Slot {
    /// One that waits for its reply.
    pub fn new(request: Request, name: String, form: Form) -> Slot {
        Slot { request, name, form, began: Instant::now(), is_silent: false, value: None }
    }

    /// Whether it may take as long as it likes, and takes something away when it ends.
    pub fn blocks(&self) -> bool {
        match self.name.as_str() {
            "blpop" | "brpop" | "blmove" | "brpoplpush" | "blmpop" | "bzpopmin" | "bzpopmax" | "bzmpop"
            | "wait" => true,
            "xread" | "xreadgroup" => {
                self.request.words().iter().any(|word| word.eq_ignore_ascii_case(b"block"))
            }
            _ => false,
        }
    }
}

/// All of one connection.
#[derive(Default)]
pub struct Slots {
    waiting: VecDeque<Slot>,
    /// The place of the first one.
    first: Place,
}

impl Slots {
    /// A place behind all others.
    pub fn push(&mut self, slot: Slot) -> Place {
        self.waiting.push_back(slot);
        self.first + self.waiting.len() as Place - 1
    }

    /// The reply for this place has come.
    pub fn fill(&mut self, place: Place, value: Value) {
        let place = usize::try_from(place - self.first).unwrap_or(usize::MAX);
        if let Some(slot) = self.waiting.get_mut(place) {
            slot.value = Some(value);
        }
    }

    /// The first one, if its reply is there.
    pub fn pop_ready(&mut self) -> Option<(Slot, Value)> {
        let value = self.waiting.front_mut()?.value.take()?;
        self.first += 1;
        self.waiting.pop_front().map(|slot| (slot, value))
    }

    /// Whether the last one is a command that blocks.
    pub fn last_blocks(&self) -> bool {
        self.waiting.back().is_some_and(|slot| slot.value.is_none() && slot.blocks())
    }

    /// Whether the last one subscribes.
    pub fn last_subscribes(&self) -> bool {
        self.waiting.back().is_some_and(|slot| slot.name.ends_with("subscribe"))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

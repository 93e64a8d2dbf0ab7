//! What one connection has under way: replies in the order of their requests, commands in order on each register, registers at
//! the same time.
//!
//! ```text
//!   requests  SET a  SET b  GET a  INCR c  SET a      slots in this order; a reply leaves when all before it have left
//!   lane a    SET ────▶ GET ────▶ SET                 a read waits for the writes before it, a write for the reads before it
//!   lane b    SET ────▶
//!   lane c    INCR ───▶
//! ```
//!
//! Writes of one lane follow each other into the register's queue without waiting, so that they share rounds; reads that stand
//! together become one read.

use crate::client::Client;
use crate::client::steps::reply_or_error;
use crate::command::{Access, Call, Register};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use redis::Value;
use std::collections::{HashMap, VecDeque};

/// Reads that become one have at most so many arguments together.
const TOGETHER: usize = 1_000;

/// The number of a request on its connection.
pub type Place = u64;

/// The lanes of one connection.
#[derive(Default)]
pub struct Lanes {
    lanes: HashMap<Register, Lane>,
    /// Lanes that got something since the last start.
    fresh: Vec<Register>,
    running: FuturesUnordered<BoxFuture<'static, Ran>>,
}

#[derive(Default)]
struct Lane {
    running: usize,
    access: Option<Access>,
    waiting: VecDeque<(Place, Access, Call)>,
}

/// Something that was under way came to its end.
struct Ran {
    register: Register,
    replies: Vec<(Place, Value)>,
}

impl Lanes {
    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Puts a command behind those of its register; it goes when [`start`](Self::start) is called and they let it.
    pub fn push(&mut self, place: Place, access: Access, call: Call) {
        let lane = self.lanes.entry(call.register.clone()).or_default();
        if lane.waiting.is_empty() {
            self.fresh.push(call.register.clone());
        }
        lane.waiting.push_back((place, access, call));
    }

    /// Sends what may go.
    pub fn start(&mut self, client: &Client) {
        for register in std::mem::take(&mut self.fresh) {
            self.start_lane(client, &register);
        }
    }

    /// Waits for the next replies; none if nothing is under way.
    pub async fn next(&mut self, client: &Client) -> Vec<(Place, Value)> {
        let mut replies = Vec::new();
        let mut ran = self.running.next().await;
        // What is ready at the same time leaves in one write.
        while let Some(Ran { register, replies: more }) = ran {
            if let Some(lane) = self.lanes.get_mut(&register) {
                lane.running -= 1;
            }
            self.start_lane(client, &register);
            replies.extend(more);
            ran = self.running.next().now_or_never().flatten();
        }
        replies
    }

    fn start_lane(&mut self, client: &Client, register: &Register) {
        let Some(lane) = self.lanes.get_mut(register) else { return };
        while let Some((_, access, _)) = lane.waiting.front() {
            let access = *access;
            let follows = lane.access == Some(Access::Write) && access == Access::Write;
            if lane.running > 0 && !follows {
                break;
            }
            lane.access = Some(access);
            lane.running += 1;
            self.running.push(match access {
                Access::Write => one_write(lane, client, register),
                Access::Read => some_reads(lane, client, register),
            });
        }
        if lane.running == 0 && lane.waiting.is_empty() {
            self.lanes.remove(register);
        }
    }
}

fn one_write(lane: &mut Lane, client: &Client, register: &Register) -> BoxFuture<'static, Ran> {
    let register = register.clone();
    match lane.waiting.pop_front() {
        Some((place, _, call)) => {
            let result = client.write_now(call);
            Box::pin(async move { Ran { register, replies: vec![(place, reply_or_error(result.await))] } })
        }
        None => Box::pin(std::future::ready(Ran { register, replies: Vec::new() })),
    }
}

fn some_reads(lane: &mut Lane, client: &Client, register: &Register) -> BoxFuture<'static, Ran> {
    let (mut places, mut calls, mut arguments) = (Vec::new(), Vec::new(), 0);
    while let Some((_, Access::Read, call)) = lane.waiting.front() {
        arguments += call.commands.iter().map(Vec::len).sum::<usize>();
        if !calls.is_empty() && arguments > TOGETHER {
            break;
        }
        if let Some((place, _, call)) = lane.waiting.pop_front() {
            places.push(place);
            calls.push(call);
        }
    }
    let (client, register) = (client.clone(), register.clone());
    Box::pin(async move {
        let replies = client.read_together(calls).await.into_iter().map(reply_or_error);
        Ran { register, replies: places.into_iter().zip(replies).collect() }
    })
}

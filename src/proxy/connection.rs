//! One client's socket: bytes into requests, replies into bytes, in order, with bounds on everything that waits.
//!
//! - Requests are issued as they come, as long as fewer than `under_way` are and fewer than `unread` bytes of replies wait.
//!   Beyond that nothing more is read from the client until it reads.
//! - What concerns one register goes to its lane; anything else waits until all before it are done, and runs alone.

use super::dialogue::{Dialogue, Later, Step, name_of};
use super::lanes::{Lanes, Place};
use super::reply;
use super::request::{Parser, Request};
use super::shape::{Form, Shape};
use super::slots::{Slot, Slots};
use super::waiting::{Socket, end_of_pause, give_back, next_line, running, send};
use bytes::{Buf, BytesMut};
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{broadcast, watch};

/// A connection that waits for a request holds so much for it.
const SMALLEST_READ: usize = 1_024;
const LARGEST_READ: usize = 64 * 1024;
/// The most that is read ahead of what may be issued, to notice that the client has gone.
const AHEAD: usize = 64 * 1024;

/// One connection.
pub struct Connection {
    dialogue: Dialogue,
    parser: Parser,
    input: BytesMut,
    output: BytesMut,
    /// Written to the socket, and perhaps not sent by what encrypts it.
    unflushed: bool,
    reads: usize,
    slots: Slots,
    lanes: Lanes,
    alone: Option<(Place, Later)>,
    /// A request that waits for those before it.
    held: Option<Request>,
    /// Nothing more comes from the client.
    ended: bool,
    paused: bool,
    closing: watch::Receiver<bool>,
    monitor: Option<broadcast::Receiver<Arc<str>>>,
}

/// Something happened.
enum Event {
    Killed,
    Replies(Vec<(Place, Value)>),
    Alone(Value),
    Wrote(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    Line(Option<Arc<str>>),
    Other,
}

impl Connection {
    /// A connection that has just begun.
    pub fn new(dialogue: Dialogue) -> Connection {
        let closing = dialogue.shared.closing.subscribe();
        Connection {
            dialogue,
            parser: Parser::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            reads: SMALLEST_READ,
            slots: Slots::default(),
            lanes: Lanes::default(),
            alone: None,
            held: None,
            ended: false,
            paused: false,
            closing,
            monitor: None,
        }
    }

    /// Serves the client until it leaves, is killed, or the proxy ends.
    pub async fn serve(mut self, socket: Box<dyn Socket>) {
        let (mut reader, mut writer) = tokio::io::split(socket);
        loop {
            let starved = self.issue();
            self.lanes.start(self.dialogue.client());
            self.answer();
            if self.is_over(starved) {
                break;
            }
            let event = self.wait(&mut reader, &mut writer).await;
            if !self.take(event) {
                break;
            }
        }
        self.set_blocked(false);
        // The client may be gone already.
        let _ = writer.shutdown().await;
    }

    async fn wait(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Event {
        let may_read = self.may_read();
        if may_read {
            let needs = self.parser.needs(&self.input).min(16 * LARGEST_READ);
            self.input.reserve(self.reads.max(needs));
        }
        let to_write = !self.output.is_empty() || self.unflushed;
        let mut pause = self.paused.then(|| self.dialogue.shared.pause.subscribe());
        tokio::select! {
            biased;
            () = self.dialogue.peer.orders.notified() => Event::Killed,
            replies = self.lanes.next(self.dialogue.client()), if !self.lanes.is_empty() => Event::Replies(replies),
            value = running(&mut self.alone), if self.alone.is_some() && self.lanes.is_empty() => Event::Alone(value),
            wrote = send(writer, &self.output), if to_write => Event::Wrote(wrote),
            read = reader.read_buf(&mut self.input), if may_read => Event::Read(read),
            line = next_line(&mut self.monitor), if self.monitor.is_some() => Event::Line(line),
            _ = self.closing.changed(), if !*self.closing.borrow() => Event::Other,
            () = end_of_pause(&mut pause), if pause.is_some() => Event::Other,
        }
    }

    /// Whether the connection goes on.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Killed => return !self.dialogue.peer.is_killed(),
            Event::Replies(replies) => {
                replies.into_iter().for_each(|(place, value)| self.slots.fill(place, value))
            }
            Event::Alone(value) => self.end_alone(value),
            Event::Wrote(Err(_)) | Event::Read(Err(_)) => return false,
            Event::Wrote(Ok(count)) => {
                self.unflushed = !self.output.is_empty();
                self.output.advance(count.min(self.output.len()));
                self.dialogue.shared.stats.output.fetch_add(count as u64, Ordering::Relaxed);
                give_back(&mut self.output);
            }
            Event::Read(Ok(0)) => {
                self.ended = true;
                // Nobody is left to hear what a command that blocks would take.
                return !self.slots.last_blocks();
            }
            Event::Read(Ok(count)) => {
                self.reads = if count >= self.reads { self.reads * 2 } else { SMALLEST_READ.max(count) };
                self.reads = self.reads.min(LARGEST_READ);
                self.dialogue.shared.stats.input.fetch_add(count as u64, Ordering::Relaxed);
            }
            Event::Line(Some(line)) if self.output.len() < self.dialogue.shared.settings.unread => {
                reply::write(
                    &mut self.output,
                    self.dialogue.protocol,
                    &Form::One(Shape::Plain),
                    &Value::SimpleString(line.to_string()),
                );
            }
            // Where the proxy is about to end, a command that blocks is given up with nothing taken.
            Event::Other if *self.closing.borrow() => return !self.slots.last_blocks(),
            Event::Line(_) | Event::Other => {}
        }
        true
    }

    fn end_alone(&mut self, value: Value) {
        if let Some((place, _)) = self.alone.take() {
            match self.dialogue.finish(value) {
                Ok(value) => self.slots.fill(place, value),
                Err(later) => self.alone = Some((place, later)),
            }
        }
        self.set_blocked(false);
        self.dialogue.note_state();
    }

    fn may_issue(&self) -> bool {
        let settings = &self.dialogue.shared.settings;
        let room = self.slots.len() < settings.under_way && self.output.len() < settings.unread;
        room && self.alone.is_none() && !self.dialogue.leaves && !*self.closing.borrow()
    }

    fn may_read(&self) -> bool {
        let wanted = self.may_issue() && self.held.is_none() && !self.paused;
        !self.ended && !self.dialogue.leaves && (wanted || self.input.len() < AHEAD)
    }

    fn is_over(&self, starved: bool) -> bool {
        let ends = self.dialogue.leaves || *self.closing.borrow() || (self.ended && starved);
        ends && self.slots.is_empty() && self.output.is_empty() && !self.unflushed
    }

    /// Issues what may be issued; whether no further request is there.
    fn issue(&mut self) -> bool {
        self.paused = false;
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
        slot.is_silent = self.dialogue.is_silent(before);
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
    }

    fn must_pause(&self, name: &str, request: &Request) -> bool {
        let pause = *self.dialogue.shared.pause.borrow();
        pause.is_some_and(|pause| self.dialogue.must_pause(pause, name, request))
    }

    fn set_blocked(&mut self, blocked: bool) {
        let before = self.dialogue.peer.blocked.swap(blocked, Ordering::Relaxed);
        let count = &self.dialogue.shared.stats.blocked;
        match (before, blocked) {
            (false, true) => drop(count.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(count.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Writes the replies that are there, as far as all before them are.
    fn answer(&mut self) {
        while let Some((slot, value)) = self.slots.pop_ready() {
            self.dialogue.answered(&slot, &value);
            if !slot.is_silent {
                reply::write(&mut self.output, self.dialogue.protocol, &slot.form, &value);
            }
        }
        self.dialogue.peer.unread.store(self.output.len() as u64, Ordering::Relaxed);
        self.dialogue.peer.busy.store(!self.slots.is_empty(), Ordering::Relaxed);
    }
}

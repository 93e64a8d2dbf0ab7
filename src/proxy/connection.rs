//! One client's socket: bytes into requests, replies into bytes, in order, with bounds on everything that waits.
//!
//! - Requests are issued as they come, as long as fewer than `under_way` are and fewer than `unread` bytes of replies wait.
//!   Beyond that nothing more is read from the client until it reads.
//! - What concerns one register goes to its lane; anything else waits until all before it are done, and runs alone.

use super::dialogue::{Dialogue, Later};
use super::lanes::{Lanes, Place};
use super::reply;
use super::request::{Parser, Request};
use super::shape::{Form, Shape};
use super::slots::Slots;
use super::waiting::{Socket, end_of_pause, give_back, next_line, next_message, running, send};
use crate::client::{Delivery, PubSubStream};
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
    pub(super) dialogue: Dialogue,
    pub(super) parser: Parser,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    /// Written to the socket, and perhaps not sent by what encrypts it.
    pub(super) unflushed: bool,
    pub(super) reads: usize,
    pub(super) slots: Slots,
    pub(super) lanes: Lanes,
    pub(super) alone: Option<(Place, Later)>,
    /// A request that waits for those before it.
    pub(super) held: Option<Request>,
    /// Nothing more comes from the client.
    pub(super) ended: bool,
    pub(super) paused: bool,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) monitor: Option<broadcast::Receiver<Arc<str>>>,
    /// Messages of what the client subscribes to.
    pub(super) stream: Option<PubSubStream>,
}

/// Something happened.
enum Event {
    Ordered,
    Replies(Vec<(Place, Value)>),
    Alone(Value),
    Wrote(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    Line(Option<Arc<str>>),
    Message(Option<Delivery>),
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
            stream: None,
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
        // A message of a channel comes after the word that it is subscribed to, and waits where others do.
        let room = self.output.len() < self.dialogue.shared.settings.unread;
        let hears = self.stream.is_some() && room && !self.slots.last_subscribes();
        let to_write = !self.output.is_empty() || self.unflushed;
        let mut pause = self.paused.then(|| self.dialogue.shared.pause.subscribe());
        tokio::select! {
            biased;
            () = self.dialogue.peer.orders.notified() => Event::Ordered,
            replies = self.lanes.next(self.dialogue.client()), if !self.lanes.is_empty() => Event::Replies(replies),
            value = running(&mut self.alone), if self.alone.is_some() && self.lanes.is_empty() => Event::Alone(value),
            wrote = send(writer, &self.output), if to_write => Event::Wrote(wrote),
            read = reader.read_buf(&mut self.input), if may_read => Event::Read(read),
            message = next_message(&mut self.stream), if hears => Event::Message(message),
            line = next_line(&mut self.monitor), if self.monitor.is_some() => Event::Line(line),
            _ = self.closing.changed(), if !*self.closing.borrow() => Event::Other,
            () = end_of_pause(&mut pause), if pause.is_some() => Event::Other,
        }
    }

    /// Whether the connection goes on.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Ordered => return self.obey(),
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
            // It left so much unread that it was not heard for any longer.
            Event::Message(None) => return false,
            Event::Message(Some(message)) => self.pushes(message),
            // Where the proxy is about to end, a command that blocks is given up with nothing taken.
            Event::Other if *self.closing.borrow() => return !self.slots.last_blocks(),
            Event::Line(_) | Event::Other => {}
        }
        true
    }

    pub(super) fn may_issue(&self) -> bool {
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
}

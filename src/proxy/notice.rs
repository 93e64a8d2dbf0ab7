//! What the proxy notes of a client's requests: counts, slow ones, what others may see of them.

use super::dialogue::{Dialogue, OF_TRANSACTIONS, Wants};
use super::own;
use super::reply;
use super::request::Request;
use super::shared::Pause;
use super::slots::Slot;
use crate::client::SubscriptionKind;
use crate::command::{Access, Plan};
use redis::Value;
use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Commands with subcommands.
const CONTAINERS: [&str; 15] = [
    "acl", "client", "cluster", "command", "config", "function", "latency", "memory", "module", "object",
    "pubsub", "script", "slowlog", "xgroup", "xinfo",
];

/// What is neither shown to others nor kept.
const MAY_NAME_PASSWORDS: [&str; 4] = ["acl", "auth", "hello", "migrate"];

impl Dialogue {
    /// Whether this is HTTP, perhaps sent by somebody's browser against its user's will. It gets no answer.
    pub fn turns_away(&mut self, name: &str) -> bool {
        let speaks_http = name == "post" || name == "host:";
        if speaks_http {
            tracing::warn!(client = %self.peer.address, "speaks HTTP: let go");
            self.leaves = true;
        }
        speaks_http
    }

    /// A request is about to be taken: counted, and shown to those who monitor.
    pub fn hears(&self, name: &str, request: &Request) {
        let shared = &self.shared;
        shared.stats.requests.fetch_add(1, Ordering::Relaxed);
        self.peer.asks();
        {
            let name = self.full_name(name, request);
            let mut told = self.peer.told();
            if told.last != *name {
                told.last = name.chars().take(64).collect();
            }
        }
        let is_secret = !self.may_ask(name) || MAY_NAME_PASSWORDS.contains(&name);
        if shared.monitors.receiver_count() > 0 && !is_secret && self.is_known(name) {
            let now_us = shared.client.config().surroundings.now_us();
            let line = own::monitored(now_us, &self.peer.address, request);
            // Whoever listened may have left.
            let _ = shared.monitors.send(line.into());
        }
    }

    /// Whether it is a command at all; what is none is neither shown nor told apart.
    fn is_known(&self, name: &str) -> bool {
        own::is_ours(name) || OF_TRANSACTIONS.contains(&name) || self.shared.client.table().has(name)
    }

    /// As statistics name it: with the subcommand, where it has one.
    fn full_name<'a>(&self, name: &'a str, request: &Request) -> Cow<'a, str> {
        if request.len() > 1 && CONTAINERS.contains(&name) {
            let full = format!("{name}|{}", String::from_utf8_lossy(request.word(1)).to_ascii_lowercase());
            if self.shared.client.table().has(&full) {
                return Cow::Owned(full);
            }
        }
        Cow::Borrowed(name)
    }

    /// A request was answered: counted, and kept where it was slow.
    pub fn answered(&self, slot: &Slot, value: &Value) {
        let took = slot.began.elapsed();
        if self.is_known(&slot.name) {
            let name = self.full_name(&slot.name, &slot.request);
            self.shared.stats.answered(&name, took, value, false);
        } else if let Some(code) = reply::code_of(value) {
            self.shared.stats.failed(code);
        }
        if !MAY_NAME_PASSWORDS.contains(&slot.name.as_str()) && !slot.blocks() {
            let who = || (self.peer.address.clone(), self.peer.told().name.clone());
            self.shared.slowlog.answered(&slot.request, took, who);
        }
    }

    /// Whether messages may come.
    pub(super) fn is_subscribed(&self) -> bool {
        self.ears.is_some() && self.peer.told().subscriptions.iter().any(|count| *count > 0)
    }

    /// CLIENT REPLY: whether the reply to a request before which the client wanted this is left out.
    pub fn is_silent(&mut self, before: Wants) -> bool {
        let now = self.wants;
        if before == Wants::SkipsNext {
            self.wants = match now {
                Wants::SkipsNext => Wants::All,
                Wants::SkipsAgain => Wants::SkipsNext,
                Wants::All | Wants::None => now,
            };
        }
        now != Wants::All
    }

    /// Tells CLIENT LIST of MULTI and WATCH.
    pub fn note_state(&self) {
        let queued = self.session.is_queueing().then_some(self.queue.len());
        let mut told = self.peer.told();
        told.queued = queued;
        told.watches = queued.is_none() && !self.session.is_plain();
        told.subscriptions = [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard]
            .map(|kind| self.ears.as_ref().map_or(0, |ears| ears.names(kind).len()));
    }

    /// CLIENT PAUSE: whether the request waits for its end.
    pub fn must_pause(&self, pause: Pause, name: &str, request: &Request) -> bool {
        let holds = Instant::now() < pause.until && !own::is_ours(name);
        holds && (!pause.writes_only || self.writes(name, request))
    }

    /// Whether a request may change something.
    pub(super) fn writes(&self, name: &str, request: &Request) -> bool {
        match self.client.plan(&request.words()) {
            // What another server would have to hear of counts too, as in Redis.
            Ok(Plan::Write(_) | Plan::Pick(_) | Plan::Flush | Plan::Publish(_)) => true,
            Ok(Plan::Block(_)) => name != "xread",
            Ok(Plan::Read(_)) => name == "pfcount",
            Ok(Plan::Split(parts, _)) => parts.iter().any(|part| part.access == Access::Write),
            _ => name == "exec" && self.queue_writes,
        }
    }
}

//! What one client has said so far, and what its next request means. No socket is touched here.

use super::clients::Peer;
use super::own;
use super::reply::{self, Protocol};
use super::request::{Limits, Request};
use super::shape::{Form, Shape, form_of};
use super::shared::Shared;
use super::transaction::Queued;
use crate::client::steps::reply_or_error;
use crate::client::{Client, PubSubSink, PubSubStream, Session};
use crate::command::{Access, Call, Plan};
use crate::config::Consistency;
use crate::error::Error;
use futures_util::future::BoxFuture;
use redis::Value;
use std::sync::Arc;

/// A reply that takes its time.
pub type Later = BoxFuture<'static, Value>;

/// What is to be done for a request.
pub enum Step {
    /// This is the reply.
    Now(Value),
    /// It concerns one register: it goes to that register's lane.
    Lane(Access, Call),
    /// It runs when all before it are done, and holds up all behind it.
    Alone(Later),
}

/// One client's side of the talk.
pub struct Dialogue {
    /// What all share.
    pub shared: Arc<Shared>,
    /// Who it is.
    pub peer: Arc<Peer>,
    /// The version that it speaks.
    pub protocol: Protocol,
    /// Which of its replies it wants.
    pub wants: Wants,
    /// After the replies that wait, the connection ends.
    pub leaves: bool,
    /// It gets every command that the proxy runs.
    pub monitors: bool,
    /// Its name, once it has shown a password or needs none.
    pub(super) user: Option<String>,
    pub(super) client: Client,
    pub(super) session: Session,
    /// What stands behind MULTI, in order.
    pub(super) queue: Vec<Queued>,
    /// Whether some of it may change something.
    pub(super) queue_writes: bool,
    /// Where its subscriptions are made, once there was one.
    pub(super) ears: Option<PubSubSink>,
    /// Where their messages come from, until the connection takes it.
    pub(super) new_stream: Option<PubSubStream>,
    /// What EXEC has to answer itself once the store has run the rest.
    pub(super) after_exec: Vec<(usize, Request)>,
    /// The register that it last wrote to, by one of its keys.
    pub(super) last_write: Option<Vec<u8>>,
}

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// All.
    All,
    /// None.
    None,
    /// All but the next one.
    SkipsNext,
    /// The request that was not to be answered asked for the same again.
    SkipsAgain,
}

/// What a client may ask before it has shown a password.
const BEFORE_AUTH: [&str; 4] = ["auth", "hello", "quit", "reset"];
/// What ends or begins a transaction.
pub(super) const OF_TRANSACTIONS: [&str; 5] = ["multi", "exec", "discard", "watch", "unwatch"];

impl Dialogue {
    /// With a client that has not said anything yet.
    pub fn new(shared: Arc<Shared>, peer: Arc<Peer>) -> Dialogue {
        let client = shared.client.clone();
        let user = shared.users.stranger();
        peer.told().user = user.clone().unwrap_or_else(|| "default".into());
        Dialogue {
            session: client.session(),
            client,
            user,
            shared,
            peer,
            protocol: Protocol::Resp2,
            wants: Wants::All,
            leaves: false,
            monitors: false,
            queue: Vec::new(),
            queue_writes: false,
            after_exec: Vec::new(),
            ears: None,
            new_stream: None,
            last_write: None,
        }
    }

    /// What it may send.
    pub fn limits(&self) -> Limits {
        if self.user.is_some() { self.shared.settings.limits } else { Limits::STRANGER }
    }

    /// The store at this connection's level.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the request must wait until everything before it is done.
    pub fn must_wait(&self, name: &str) -> bool {
        !self.session.is_plain() || own::is_ours(name) || OF_TRANSACTIONS.contains(&name)
    }

    /// Whether the client has shown that it may ask this.
    pub fn may_ask(&self, name: &str) -> bool {
        self.user.is_some() || BEFORE_AUTH.contains(&name)
    }

    /// What the request means. What [`must_wait`](Self::must_wait) must have waited.
    pub fn take(&mut self, name: &str, request: &Request) -> (Step, Form) {
        if !self.may_ask(name) {
            return (Step::Now(reply::error("NOAUTH Authentication required.")), Form::One(Shape::Plain));
        }
        if self.session.is_queueing() {
            return self.take_queued(name, request);
        }
        if self.protocol == Protocol::Resp2 && self.is_subscribed() {
            if name == "ping" {
                return (Step::Now(own::pong(request)), Form::One(Shape::Plain));
            }
            if !own::is_allowed(name) {
                return (own::refusal(name), Form::One(Shape::Plain));
            }
        }
        let form = form_of(name, request);
        if let Some(answer) = own::answer(self, name, request) {
            return (answer, form);
        }
        (self.take_for_store(name, request), form)
    }

    fn take_for_store(&mut self, name: &str, request: &Request) -> Step {
        if !self.session.is_plain() || OF_TRANSACTIONS.contains(&name) {
            return self.in_session(request);
        }
        let planned = self.client.plan(&request.words());
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => return Step::Now(reply_or_error(Err(error))),
        };
        if let Plan::Local(value) = plan {
            return Step::Now(value);
        }
        if let Some(refusal) = self.no_quorum() {
            return Step::Now(refusal);
        }
        self.note_write(&plan);
        match plan {
            Plan::Read(call) => Step::Lane(Access::Read, call),
            Plan::Write(call) => Step::Lane(Access::Write, call),
            other => {
                let client = self.client.clone();
                Step::Alone(Box::pin(async move { reply_or_error(client.run_plan(other).await) }))
            }
        }
    }

    /// Behind MULTI, or beside a watch: one after the other, as the session knows them.
    pub(super) fn in_session(&mut self, request: &Request) -> Step {
        let (session, request) = (self.session.clone(), request.clone());
        Step::Alone(Box::pin(async move { reply_or_error(session.run(&request.words()).await) }))
    }

    /// An error where no majority can be asked: trying would only take time. A level that needs none goes on.
    pub(super) fn no_quorum(&self) -> Option<Value> {
        let needs_one = self.client.consistency() != Consistency::One;
        if !needs_one || !self.shared.is_without_quorum() {
            return None;
        }
        let error = Error::NoQuorum {
            needed: self.shared.majority(),
            reached: self.shared.voters(),
            failures: own::failures(&self.client),
        };
        Some(reply_or_error(Err(error)))
    }

    fn note_write(&mut self, plan: &Plan) {
        let key = match plan {
            Plan::Write(call) => call.keys.first(),
            Plan::Split(parts, _) if parts.iter().all(|part| part.access == Access::Write) => {
                parts.last().and_then(|part| part.call.keys.first())
            }
            Plan::Pick(pick) => pick.read.keys.first(),
            _ => None,
        };
        if let Some(key) = key {
            self.last_write = Some(key.clone());
        }
    }
}

/// The command's name, in lower case.
pub fn name_of(request: &Request) -> String {
    String::from_utf8_lossy(request.word(0)).to_ascii_lowercase()
}

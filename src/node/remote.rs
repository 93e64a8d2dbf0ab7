//! A node behind a connection: what it counts as now, and how calls reach it.

use super::admission::{Cluster, new_fence};
use super::configuration::Configuration;
use super::error::Refusal;
use super::session::{Opened, Session, open};
use super::{Latency, Seats, supervisor};
use crate::config::Config;
use crate::protocol::Epoch;
use redis::{Client, ProtocolVersion};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// After how many rounds in a row that did not wait for it a node is not sent to until it answers a probe.
pub(super) const MISSES: u32 = 3;
/// ... provided that it has answered nobody for this long.
const QUIET: Duration = Duration::from_millis(50);

/// How a node is right now.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// No admitted connection, and why.
    Away(Refusal),
    /// Admitted.
    Up(Arc<Session>),
}

/// One server of the list, with its supervisor task.
#[derive(Debug)]
pub struct RemoteNode {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) config: Arc<Config>,
    pub(super) cluster: Cluster,
    seats: Arc<Seats>,
    /// The member that it last was.
    member: Mutex<Option<Arc<str>>>,
    /// The configuration that its client goes by.
    expected: Mutex<Option<Arc<Configuration>>>,
    /// The server says that it is in another configuration of the same generation, or it is no member.
    stranger: AtomicBool,
    state: Mutex<State>,
    pub(super) misses: AtomicU32,
    /// When the node last answered, in µs since 1970.
    answered_us: AtomicU64,
    pub(super) latency: Latency,
    pub(super) told_hanging: AtomicBool,
    /// Where what it has under way goes on, whoever asked for it.
    pub(super) runtime: Handle,
    /// Wakes the supervisor: the connection broke, the node hangs, or its admission changed.
    pub(super) wake: Notify,
    /// Counts the supervisor's findings, so that others can wait for one.
    pub(super) news: watch::Sender<u64>,
}

impl RemoteNode {
    /// A node of this cluster, not yet connected; its supervisor starts at once and ends when the last handle is gone.
    pub fn start(
        name: String,
        client: Client,
        config: Arc<Config>,
        cluster: Cluster,
        seats: Arc<Seats>,
    ) -> Arc<RemoteNode> {
        let node = Arc::new(RemoteNode {
            name,
            client,
            config,
            cluster,
            seats,
            member: Mutex::default(),
            expected: Mutex::default(),
            stranger: AtomicBool::new(false),
            state: Mutex::new(State::Away(Refusal::Unreachable("not connected yet".into()))),
            misses: AtomicU32::new(0),
            answered_us: AtomicU64::new(0),
            latency: Latency::default(),
            told_hanging: AtomicBool::new(false),
            runtime: Handle::current(),
            wake: Notify::new(),
            news: watch::Sender::new(0),
        });
        tokio::spawn(supervisor::supervise(Arc::downgrade(&node)));
        node
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The admitted connection, if there is one.
    pub fn session(&self) -> Option<Arc<Session>> {
        match &*self.lock() {
            State::Up(session) => Some(Arc::clone(session)),
            State::Away(_) => None,
        }
    }

    /// The id of the member that it is, or was when it was last there.
    pub fn member(&self) -> Option<Arc<str>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes by this configuration: whoever says that it is in another one of the same generation is not asked.
    pub fn go_by(&self, configuration: Arc<Configuration>) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = Some(configuration);
        self.compare_configurations(self.session().as_deref());
    }

    /// Whether it says that it is in another configuration of the same generation, or it is no member.
    pub fn is_stranger(&self) -> bool {
        self.stranger.load(Ordering::Relaxed)
    }

    fn compare_configurations(&self, session: Option<&Session>) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_other = |session: &Session, expected: &Configuration| {
            session.configuration.generation == expected.generation
                && (!expected.contains(&session.node) || !session.configuration.is_same(expected))
        };
        let stranger =
            session.zip(expected.as_deref()).is_some_and(|(session, expected)| is_other(session, expected));
        self.stranger.store(stranger, Ordering::Relaxed);
    }

    /// Why there is none.
    pub fn refusal(&self) -> Option<Refusal> {
        match &*self.lock() {
            State::Up(_) => None,
            State::Away(refusal) => Some(refusal.clone()),
        }
    }

    pub(super) fn set(&self, state: State) {
        let state = match state {
            State::Up(session) => match self.seats.take(&session.node, &self.name) {
                Ok(()) => State::Up(session),
                Err(other) => State::Away(Refusal::SameMember(other)),
            },
            State::Away(refusal) => {
                self.seats.leave(&self.name);
                State::Away(refusal)
            }
        };
        let was_up = self.session().is_some();
        match &state {
            State::Up(session) => {
                self.misses.store(0, Ordering::Relaxed);
                *self.member.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session.node));
                tracing::debug!(node = %self.name, epoch = session.epoch.0, role = ?session.role, "admitted");
            }
            State::Away(refusal) if was_up => tracing::warn!(node = %self.name, %refusal, "away"),
            State::Away(_) => {}
        }
        let generation = match &state {
            State::Up(session) => Some((session.epoch.generation(), session.decided)),
            State::Away(_) => None,
        };
        self.compare_configurations(match &state {
            State::Up(session) => Some(&**session),
            State::Away(_) => None,
        });
        *self.lock() = state;
        generation.into_iter().for_each(|(generation, decided)| self.seats.note(generation, decided));
        self.news.send_modify(|count| *count += 1);
    }

    /// Waits until the supervisor has looked at the node at least once.
    pub async fn first_look(&self) {
        let mut news = self.news.subscribe();
        // An error would mean that the sender is gone; it is part of self.
        let _ = news.wait_for(|count| *count > 0).await;
    }

    /// Learns the admission again and waits for the result, as after a change that this client itself made.
    pub async fn refresh(&self) {
        let mut news = self.news.subscribe();
        // The first finding may come from a look that began before the change; the second cannot.
        for _ in 0..2 {
            news.mark_unchanged();
            self.wake.notify_one();
            let _ = news.changed().await;
        }
    }

    /// Opens a connection of its own and looks at the server, whatever its admission: for changes of admission.
    pub async fn look(&self) -> Result<Opened, Refusal> {
        open(&self.client, &self.config).await
    }

    /// What it connects with.
    pub fn redis_client(&self) -> &Client {
        &self.client
    }

    /// A new token for an admission of this node.
    pub fn new_fence(&self, epoch: Epoch) -> String {
        new_fence(&*self.config.surroundings, epoch)
    }

    /// Scripts answer as RESP2 does, whatever the connection speaks; commands of their own do not.
    pub(super) fn speaks_resp2(&self) -> bool {
        self.client.get_connection_info().redis_settings().protocol() == ProtocolVersion::RESP2
    }

    /// The cluster that this client takes the node for a part of.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn now_us(&self) -> u64 {
        self.config.surroundings.now_us()
    }

    pub(super) fn hangs(&self) -> bool {
        self.misses.load(Ordering::Relaxed) >= MISSES && self.is_quiet()
    }

    /// Rounds that all stop waiting in one busy moment say nothing of a node that answers others in between.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet_for(QUIET)
    }

    pub(super) fn is_quiet_for(&self, at_least: Duration) -> bool {
        let quiet_us = self.now_us().saturating_sub(self.answered_us.load(Ordering::Relaxed));
        Duration::from_micros(quiet_us) > at_least
    }

    pub(super) fn answered_probe(&self) {
        self.answered_us.store(self.now_us(), Ordering::Relaxed);
        self.told_hanging.store(false, Ordering::Relaxed);
        self.misses.store(0, Ordering::Relaxed);
    }
}

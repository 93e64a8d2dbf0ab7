//! Who is connected, as CLIENT LIST tells it, and how one client reaches another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// One connected client.
#[derive(Debug)]
pub struct Peer {
    /// Counts up from 1.
    pub id: u64,
    /// Its address.
    pub address: String,
    /// Ours, as it sees it.
    pub local: String,
    since: Instant,
    /// Milliseconds after `since` at which it last asked something.
    asked_ms: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Bytes that wait to be read by it.
    pub unread: AtomicU64,
    /// It waits in a command that blocks.
    pub blocked: AtomicBool,
    /// Something that it asked is under way.
    pub busy: AtomicBool,
    killed: AtomicBool,
    /// CLIENT UNBLOCK: what the command that blocks is to answer.
    unblocked: Mutex<Option<Unblock>>,
    /// Wakes its task: it was killed, or is not to wait any longer.
    pub orders: Notify,
    told: Mutex<Told>,
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblock {
    /// As if the time were over.
    Timeout,
    /// With an error.
    Error,
}

/// What a client has said of itself.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub library: String,
    /// CLIENT SETINFO LIB-VER.
    pub version: String,
    /// AUTH.
    pub user: String,
    /// The command that it asked last.
    pub last: String,
    /// Commands behind MULTI, if there is one.
    pub queued: Option<usize>,
    /// Whether something is watched.
    pub watches: bool,
    /// 2 or 3.
    pub protocol: i64,
    /// CLIENT NO-EVICT: nothing is ever evicted here, but the flag is shown.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// MONITOR.
    pub monitors: bool,
    /// Channels, patterns and sharded channels that it subscribes to.
    pub subscriptions: [usize; 3],
}

impl Peer {
    /// What it has said of itself.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asked something.
    pub fn asks(&self) {
        let after = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked_ms.store(after, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// For how long it has asked nothing.
    pub fn idle(&self) -> Duration {
        let asked = Duration::from_millis(self.asked_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(asked)
    }

    /// Ends its connection.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.orders.notify_one();
    }

    /// Ends its wait, if it waits; says whether it does.
    pub fn unblock(&self, with: Unblock) -> bool {
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked {
            *self.unblocked.lock().unwrap_or_else(PoisonError::into_inner) = Some(with);
            self.orders.notify_one();
        }
        blocked
    }

    /// Whether somebody ended its wait.
    pub fn take_unblock(&self) -> Option<Unblock> {
        self.unblocked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody ended its connection.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// For how long it has been connected.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// normal, or pubsub where it subscribes.
    pub fn kind(&self) -> &'static str {
        if self.told().subscriptions.iter().any(|count| *count > 0) { "pubsub" } else { "normal" }
    }

    /// Its line in CLIENT LIST.
    pub fn line(&self) -> String {
        let told = self.told();
        let queued = told.queued.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
        let mut flags = String::new();
        let set = [
            (told.monitors, 'O'),
            (told.subscriptions.iter().any(|count| *count > 0), 'P'),
            (told.queued.is_some(), 'x'),
            (self.blocked.load(Ordering::Relaxed), 'b'),
            (told.no_evict, 'e'),
            (told.no_touch, 'T'),
            (self.local.starts_with('/'), 'U'),
        ];
        flags.extend(set.iter().filter(|(set, _)| *set).map(|(_, flag)| flag));
        if flags.is_empty() {
            flags.push('N');
        }
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db=0 sub={} psub={} ssub={} multi={queued} watch={} omem={} cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            told.name,
            self.age().as_secs(),
            self.idle().as_secs(),
            told.subscriptions[0],
            told.subscriptions[1],
            told.subscriptions[2],
            u8::from(told.watches),
            self.unread.load(Ordering::Relaxed),
            if told.last.is_empty() { "NULL" } else { &told.last },
            told.user,
            told.protocol,
            told.library,
            told.version,
        )
    }
}

/// All that are connected.
#[derive(Debug, Default)]
pub struct Clients {
    connected: Mutex<BTreeMap<u64, Arc<Peer>>>,
    last: AtomicU64,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Peer>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client in, unless there are so many already.
    pub fn admit(&self, at_most: usize, address: String, local: String) -> Option<Arc<Peer>> {
        let mut connected = self.lock();
        if connected.len() >= at_most {
            return None;
        }
        let peer = Arc::new(Peer {
            id: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            address,
            local,
            since: Instant::now(),
            asked_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            unblocked: Mutex::default(),
            orders: Notify::new(),
            told: Mutex::new(Told { protocol: 2, ..Told::default() }),
        });
        connected.insert(peer.id, Arc::clone(&peer));
        Some(peer)
    }

    /// It is gone.
    pub fn forget(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// All, the oldest first.
    pub fn all(&self) -> Vec<Arc<Peer>> {
        self.lock().values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<Arc<Peer>> {
        self.lock().get(&id).cloned()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

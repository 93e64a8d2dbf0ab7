//! Publish and subscribe: what was heard of what was published. Twice, or never published, is a violation; what was missed is told: with
//! more connections of a subscriber broken at once than nodes may fail, messages may be missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anarchoredis::{Client, PubSubStream};

use super::book::Book;
use super::row::Row;
use super::store::Store;
use crate::workload::Fate;

pub const NAME: &str = "pub/sub";
const CHANNEL: &str = "news";

/// What was published, and what each subscriber heard.
#[derive(Default)]
pub struct News {
    next: AtomicU64,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    fates: BTreeMap<u64, Fate>,
    heard: Vec<BTreeSet<u64>>,
    doubled: u64,
}

impl News {
    pub async fn publish(&self, store: &mut Store, book: &Book) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.inner.lock().expect("a lock").fates.insert(number, Fate::Indeterminate);
        let began = book.now();
        let answer = store.call(&["PUBLISH".into(), CHANNEL.into(), number.to_string()]).await;
        let fate = book.answered(NAME, began, &answer);
        self.inner.lock().expect("a lock").fates.insert(number, fate);
    }

    /// Listens through this client until the stream ends or the task is aborted.
    pub async fn subscribe(&self, client: &Client) -> tokio::task::JoinHandle<()> {
        let mut pubsub = client.pubsub();
        pubsub.subscribe(CHANNEL).await.expect("SUBSCRIBE");
        let mut stream: PubSubStream = pubsub.into_on_message();
        let inner = Arc::clone(&self.inner);
        let place = {
            let mut inner = inner.lock().expect("a lock");
            inner.heard.push(BTreeSet::new());
            inner.heard.len() - 1
        };
        tokio::spawn(async move {
            while let Some(delivery) = stream.next_delivery().await {
                let number = String::from_utf8_lossy(&delivery.payload).parse().expect("a number");
                let mut inner = inner.lock().expect("a lock");
                if !inner.heard[place].insert(number) {
                    inner.doubled += 1;
                }
            }
        })
    }

    pub fn conclude(&self, system: &str, book: &Book) -> Row {
        let inner = self.inner.lock().expect("a lock");
        let mut row = Row::new(system, NAME);
        let of = |wanted: Fate| {
            inner.fates.iter().filter(move |(_, fate)| **fate == wanted).map(|(number, _)| *number)
        };
        row.gap = book.longest_gap(NAME, &[]);
        row.total = inner.fates.len() as u64;
        row.acked = of(Fate::Acknowledged).count() as u64;
        row.unknown = of(Fate::Indeterminate).count() as u64;
        row.doubled = inner.doubled;
        let by_all = |number: &u64| inner.heard.iter().all(|heard| heard.contains(number));
        // Not "lost": who was cut off from more nodes than may fail is told nothing.
        row.survivors = of(Fate::Acknowledged).filter(by_all).count() as u64;
        let by_any = |number: &u64| inner.heard.iter().any(|heard| heard.contains(number));
        row.surplus = of(Fate::Indeterminate).filter(by_any).count() as u64;
        row.invented = of(Fate::NotApplied).filter(by_any).count() as u64;
        row
    }
}

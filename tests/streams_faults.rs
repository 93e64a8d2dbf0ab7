//! Streams while nodes hang and die: what was added stays, and an entry is delivered to exactly one consumer, once.

mod harness;
mod streams_support;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anarchoredis::Client;
use harness::eventually;
use redis::Value;
use redis::streams::{StreamPendingCountReply, StreamRangeReply, StreamReadReply};
use streams_support::same_streams;
use workload::{Cluster, PATIENCE, eventually_same, run, try_run};

/// What keeps going until it is told to stop.
#[derive(Default)]
struct Work {
    stop: AtomicBool,
    added: AtomicUsize,
    delivered: AtomicUsize,
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Waits until this many more were added and delivered.
    async fn further(&self, count: usize) {
        let (added, delivered) = self.counts();
        let further = async || {
            let (more_added, more_delivered) = self.counts();
            more_added >= added + count && more_delivered >= delivered + count
        };
        eventually("the work goes on", PATIENCE, further).await;
    }

    fn counts(&self) -> (usize, usize) {
        (self.added.load(Ordering::Relaxed), self.delivered.load(Ordering::Relaxed))
    }
}

/// Adds, one after the other; the ids that were acknowledged.
async fn produce(work: Arc<Work>, store: Client) -> Vec<String> {
    let mut ids = Vec::new();
    while work.goes_on() {
        if let Ok(id) = try_run::<String>(&store, "XADD x * f v").await {
            work.added.fetch_add(1, Ordering::Relaxed);
            ids.push(id);
        }
    }
    ids
}

/// Reads for the group; the ids that were delivered to it.
async fn consume(work: Arc<Work>, store: Client, name: &'static str) -> Vec<String> {
    let mut ids = Vec::new();
    while work.goes_on() {
        let command = format!("XREADGROUP GROUP g {name} COUNT 2 STREAMS x >");
        // An error may have lost what was delivered: then it is pending all the same.
        if let Ok(read) = try_run::<Option<StreamReadReply>>(&store, &command).await {
            let before = ids.len();
            let mine = read.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids);
            ids.extend(mine.map(|entry| entry.id));
            work.delivered.fetch_add(ids.len() - before, Ordering::Relaxed);
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_added_is_lost_and_nothing_is_delivered_twice() {
    let cluster = Cluster::durable(3).await;
    let store = cluster.client().await;
    run::<()>(&store, "XGROUP CREATE x g $ MKSTREAM").await;
    let work = Arc::new(Work::default());
    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    for name in ["one", "two"] {
        producers.push(tokio::spawn(produce(Arc::clone(&work), cluster.client().await)));
        consumers.push((name, tokio::spawn(consume(Arc::clone(&work), cluster.client().await, name))));
    }
    for round in 0..6 {
        work.further(20).await;
        if round % 2 == 0 {
            cluster[round % 3].pause();
            work.further(20).await;
            cluster[round % 3].resume();
        } else {
            cluster[round % 3].kill();
            work.further(20).await;
            cluster[round % 3].restart().await;
        }
        cluster.until_all_vote(&store).await;
    }
    work.stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for producer in producers {
        for id in producer.await.expect("a producer") {
            assert!(acknowledged.insert(id), "an id was given twice");
        }
    }
    let mut got = BTreeMap::new();
    for (name, consumer) in consumers {
        for id in consumer.await.expect("a consumer") {
            assert_eq!(got.insert(id, name), None, "an entry was delivered twice");
        }
    }
    // What nobody has got yet: all of it, to one who has had nothing.
    run::<Value>(&store, "XREADGROUP GROUP g last STREAMS x >").await;
    let held: StreamRangeReply = run(&store, "XRANGE x - +").await;
    let held: BTreeSet<String> = held.ids.into_iter().map(|entry| entry.id).collect();
    let lost: Vec<&String> = acknowledged.difference(&held).collect();
    assert!(lost.is_empty(), "of {} ids {lost:?} are gone", acknowledged.len());
    let pending: StreamPendingCountReply = run(&store, "XPENDING x g - + 1000000").await;
    assert_eq!(pending.ids.len(), held.len());
    for row in pending.ids {
        assert_eq!(row.times_delivered, 1, "{}", row.id);
        // A reply may have been lost on its way; one that came is the owner's.
        assert!(
            got.get(&row.id).is_none_or(|name| *name == row.consumer),
            "{} is not {}'s",
            row.id,
            row.consumer
        );
    }
    eventually_same(&cluster, &store).await;
    same_streams(&cluster, &["x"]).await;
}

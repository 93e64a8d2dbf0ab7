//! SCAN and its kin: nothing that stays is left out, whatever becomes of a node; nothing that is gone is given.

mod harness;
mod workload;

use std::collections::BTreeSet;

use anarchoredis::Client;
use harness::{Server, Version};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Value};
use workload::{Cluster, run, try_run, words};

type Page = (u64, Vec<String>);

async fn fill(client: &Client, keys: usize) -> BTreeSet<String> {
    let names: BTreeSet<String> = (0..keys).map(|key| format!("key:{key}")).collect();
    let mut pipe = redis::pipe();
    for name in &names {
        pipe.set(name, 1).ignore();
    }
    let () = pipe.query_async(&mut client.clone()).await.expect("the keys");
    names
}

/// Walks to the end; `between` hears the number of each page.
async fn walk(client: &Client, line: &str, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let (mut cursor, mut all, mut pages) = (0, Vec::new(), 0);
    loop {
        let (next, page): Page = run(client, &line.replace("CURSOR", &cursor.to_string())).await;
        all.extend(page);
        if next == 0 {
            return all;
        }
        cursor = next;
        pages += 1;
        between(pages).await;
    }
}

#[tokio::test]
async fn a_walk_gives_every_key_though_a_node_dies_in_the_middle() {
    for dies in 0..3 {
        let cluster = Cluster::start().await;
        let client = cluster.client().await;
        let names = fill(&client, 500).await;
        let found = walk(&client, "SCAN CURSOR COUNT 50", async |pages| {
            if pages == 4 {
                cluster[dies].kill();
                cluster.until_not_voting(&client, dies).await;
            }
        })
        .await;
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names, "node {dies} died");
    }
}

#[tokio::test]
async fn a_walk_gives_what_was_acknowledged_and_not_what_is_deleted() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    let mut names = fill(&client, 60).await;
    cluster[0].kill();
    cluster.until_not_voting(&client, 0).await;
    // The first node of the walk misses some new keys and some deletions.
    for key in 0..10 {
        run::<i64>(&client, &format!("DEL key:{key}")).await;
        names.remove(&format!("key:{key}"));
        run::<()>(&client, &format!("SET new:{key} 1")).await;
        names.insert(format!("new:{key}"));
    }
    cluster[0].restart().await;
    cluster.until_votes(&client, 0).await;
    let found: BTreeSet<String> = walk(&client, "SCAN CURSOR", async |_| {}).await.into_iter().collect();
    assert_eq!(found, names);
    let all: BTreeSet<String> = run(&client, "KEYS *").await;
    assert_eq!(all, names);
    let new: BTreeSet<String> = run(&client, "KEYS new:[0-4]").await;
    assert_eq!(new.len(), 5);
    let any: String = run(&client, "RANDOMKEY").await;
    assert!(names.contains(&any), "{any}");
}

#[tokio::test]
async fn a_walk_takes_match_and_type_and_an_empty_store_ends_at_once() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    assert_eq!(walk(&client, "SCAN CURSOR", async |_| {}).await, [""; 0]);
    assert_eq!(run::<Option<String>>(&client, "RANDOMKEY").await, None);
    assert_eq!(run::<Vec<String>>(&client, "KEYS *").await, [""; 0]);
    fill(&client, 30).await;
    run::<i64>(&client, "RPUSH list a b").await;
    let lists: BTreeSet<String> =
        walk(&client, "SCAN CURSOR TYPE list", async |_| {}).await.into_iter().collect();
    assert_eq!(lists, BTreeSet::from(["list".to_owned()]));
    let some: BTreeSet<String> =
        walk(&client, "SCAN CURSOR MATCH key:1? COUNT 7", async |_| {}).await.into_iter().collect();
    assert_eq!(some.len(), 10);
    // As redis-rs walks.
    let mut store = client.clone();
    let mut keys = store.scan_match::<_, String>("key:*").await.expect("an iterator");
    let mut seen = BTreeSet::new();
    while let Some(key) = keys.next_item().await {
        seen.insert(key.expect("a key"));
    }
    assert_eq!(seen.len(), 30);
}

#[tokio::test]
async fn a_walk_through_a_key_gives_every_element_though_its_node_dies() {
    for (add, scan, stride) in
        [("HSET k", "HSCAN k CURSOR", 2), ("SADD k", "SSCAN k CURSOR", 1), ("ZADD k", "ZSCAN k CURSOR", 2)]
    {
        let cluster = Cluster::start().await;
        let client = cluster.client().await;
        let mut elements = BTreeSet::new();
        for batch in 0..20 {
            let words: Vec<String> = (batch * 100..(batch + 1) * 100)
                .map(|n| {
                    if add.starts_with('Z') {
                        format!("{n} m{n}")
                    } else if stride == 2 {
                        format!("m{n} {n}")
                    } else {
                        format!("m{n}")
                    }
                })
                .collect();
            run::<i64>(&client, &format!("{add} {}", words.join(" "))).await;
            elements.extend((batch * 100..(batch + 1) * 100).map(|n| format!("m{n}")));
        }
        let (mut cursor, mut found, mut pages) = (0_u64, BTreeSet::new(), 0);
        loop {
            let line = format!("{} COUNT 100", scan.replace("CURSOR", &cursor.to_string()));
            let (next, page): Page = run(&client, &line).await;
            found.extend(page.into_iter().step_by(stride));
            cursor = next;
            pages += 1;
            if next == 0 {
                break;
            }
            if pages == 5 {
                // The last four bits are the place of the node, from 1.
                let node = usize::try_from(cursor & 0xf).expect("a place") - 1;
                cluster[node].kill();
                cluster.until_not_voting(&client, node).await;
            }
        }
        assert!(pages > 10, "{pages} pages");
        assert_eq!(found, elements, "{scan}");
    }
}

#[tokio::test]
async fn wrong_walks_are_refused_in_redis_words() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let lone = Server::start(Version::V7_0).await;
    let mut connection = lone.connection().await;
    for line in [
        "SCAN x",
        "SCAN 0 COUNT 0",
        "SCAN 0 COUNT x",
        "SCAN 0 MATCH",
        "SCAN 0 NOSUCH 1",
        "HSCAN none 0",
        "SSCAN none x",
        "ZSCAN none 0 COUNT 0",
        "KEYS",
        "SCAN",
    ] {
        let mut cmd = redis::Cmd::new();
        for word in words(line) {
            cmd.arg(word);
        }
        let theirs = match connection.req_packed_command(&cmd).await.and_then(Value::extract_error) {
            Ok(reply) => format!("{reply:?}"),
            Err(error) => error.detail().unwrap_or_default().to_owned(),
        };
        let ours = match try_run::<Value>(&client, line).await {
            Ok(reply) => format!("{reply:?}"),
            Err(error) => redis::RedisError::from(error).detail().unwrap_or_default().to_owned(),
        };
        assert_eq!(ours, theirs, "{line}");
    }
}

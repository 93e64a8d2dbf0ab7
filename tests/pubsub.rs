//! Publish and subscribe: every message once, in order, whatever becomes of a node.

mod harness;
mod workload;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anarchoredis::{Client, Delivery, Error, PubSubStream, SubscriptionKind};
use futures_util::StreamExt;
use harness::{Version, eventually};
use redis::{AsyncCommands, Value};
use workload::{Cluster, PATIENCE, run, try_run, words};

async fn next(stream: &mut PubSubStream) -> Delivery {
    let coming = tokio::time::timeout(PATIENCE, stream.next_delivery());
    coming.await.expect("a message is missing").expect("the stream has ended")
}

/// What has come until a message `end`.
async fn until_end(stream: &mut PubSubStream) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let payload = String::from_utf8(next(stream).await.payload).expect("a text");
        if payload == "end" {
            return all;
        }
        all.push(payload);
    }
}

async fn subscriber(client: &Client, channel: &str) -> PubSubStream {
    let mut pubsub = client.pubsub();
    pubsub.subscribe(channel).await.expect("SUBSCRIBE");
    pubsub.into_on_message()
}

/// Publishes `name:0` and so on, the next when the last one is answered.
async fn publish_all(client: Client, name: usize, count: usize) {
    for number in 0..count {
        run::<i64>(&client, &format!("PUBLISH news {name}:{number}")).await;
    }
}

/// Each publisher's numbers, as they came.
fn by_publisher(messages: &[String]) -> BTreeMap<usize, Vec<usize>> {
    let mut all: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for message in messages {
        let (name, number) = message.split_once(':').expect("a name and a number");
        all.entry(name.parse().expect("a name")).or_default().push(number.parse().expect("a number"));
    }
    all
}

#[tokio::test]
async fn each_subscriber_hears_each_message_once_and_each_publishers_in_order() {
    for version in [Version::V6_2, Version::V7_0, Version::Valkey9] {
        let cluster = Cluster::of(&[version; 3]).await;
        let clients = [cluster.client().await, cluster.client().await, cluster.client().await];
        let mut subscribers = Vec::new();
        for client in clients.iter().chain(&clients[..1]) {
            subscribers.push(subscriber(client, "news").await);
        }
        let publishing =
            clients.iter().enumerate().map(|(name, client)| publish_all(client.clone(), name, 300));
        futures_util::future::join_all(publishing).await;
        run::<i64>(&clients[0], "PUBLISH news end").await;
        for stream in &mut subscribers {
            let mut heard = until_end(stream).await;
            // Other publishers' last ones may come behind the first one's end.
            while heard.len() < 900 {
                heard.push(String::from_utf8(next(stream).await.payload).expect("a text"));
            }
            let expected: Vec<usize> = (0..300).collect();
            let heard = by_publisher(&heard);
            assert_eq!(heard.len(), 3);
            assert!(heard.values().all(|numbers| *numbers == expected), "{version}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn calls_made_one_after_the_other_are_heard_in_that_order_though_none_waits_for_the_last() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut stream = subscriber(&client, "news").await;
    let commands: Vec<String> = (0..500).map(|number| format!("PUBLISH news 0:{number}")).collect();
    let args: Vec<Vec<&[u8]>> = commands.iter().map(|command| words(command)).collect();
    let calls = args.iter().map(|args| client.run(args));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.expect("PUBLISH"), Value::Int(1));
    }
    run::<i64>(&client, "PUBLISH news end").await;
    assert_eq!(by_publisher(&until_end(&mut stream).await)[&0], (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_one_node_after_the_other_is_killed_hangs_or_is_cut_off() {
    let cluster = Cluster::durable(3).await;
    let (publisher, listener) = (cluster.coordinator().await, cluster.coordinator().await);
    let mut stream = subscriber(&listener.client, "news").await;
    let mut sent = 0;
    for node in 0..3 {
        for fault in ["kill", "pause", "cut"] {
            for step in 0..3 {
                for _ in 0..40 {
                    run::<i64>(&publisher.client, &format!("PUBLISH news 0:{sent}")).await;
                    sent += 1;
                }
                match (step, fault) {
                    (0, "kill") => cluster[node].kill(),
                    (0, "pause") => cluster[node].pause(),
                    (0, _) => [&publisher, &listener].iter().for_each(|side| side.links[node].cut()),
                    (1, "kill") => cluster[node].restart().await,
                    (1, "pause") => cluster[node].resume(),
                    (1, _) => [&publisher, &listener].iter().for_each(|side| side.links[node].heal()),
                    _ => {}
                }
            }
            cluster.until_all_vote(&publisher.client).await;
            cluster.until_all_vote(&listener.client).await;
            // What is taken away next must not be one of two: the last one is listened to again.
            let listened = async || {
                let mut all = true;
                for server in cluster.iter() {
                    let (_, ears): (String, u64) =
                        server.run(&["PUBSUB", "NUMSUB", "anrcho_pub:news"]).await.expect("NUMSUB");
                    all &= ears >= 1;
                }
                all
            };
            eventually("all nodes are listened to again", PATIENCE, listened).await;
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
    }
    run::<i64>(&publisher.client, "PUBLISH news end").await;
    let mut heard = by_publisher(&until_end(&mut stream).await).remove(&0).expect("messages");
    heard.sort_unstable();
    assert_eq!(heard, (0..sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_channel_and_a_pattern_that_matches_it_bring_a_message_each() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe(&["news:a", "news:b"]).await.expect("SUBSCRIBE");
    pubsub.psubscribe("news:*").await.expect("PSUBSCRIBE");
    let mut publisher = client.clone();
    let heard_by: usize = publisher.publish("news:a", b"\x00\xff\r\n".as_slice()).await.expect("PUBLISH");
    assert_eq!(heard_by, 2);
    let mut kinds = Vec::new();
    {
        let mut messages = pubsub.on_message();
        for _ in 0..2 {
            let message = messages.next().await.expect("a message");
            assert_eq!(message.get_channel_name(), "news:a");
            assert_eq!(message.get_payload_bytes(), b"\x00\xff\r\n");
            kinds.push(message.get_pattern::<Option<String>>().expect("a pattern"));
        }
    }
    kinds.sort();
    assert_eq!(kinds, [None, Some("news:*".to_owned())]);
    pubsub.punsubscribe("news:*").await.expect("PUNSUBSCRIBE");
    pubsub.unsubscribe("news:a").await.expect("UNSUBSCRIBE");
    let (sink, mut stream) = pubsub.split();
    assert_eq!(sink.names(SubscriptionKind::Channel), [b"news:b".to_vec()]);
    run::<i64>(&client, "PUBLISH news:a unheard").await;
    run::<i64>(&client, "PUBLISH news:b heard").await;
    assert_eq!(next(&mut stream).await.payload, b"heard");
}

#[tokio::test]
async fn sharded_channels_are_others_than_those_of_the_same_name() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let (sink, mut stream) = client.pubsub().split();
    assert_eq!(sink.add(SubscriptionKind::Channel, b"c").await.expect("SUBSCRIBE"), 1);
    assert_eq!(sink.add(SubscriptionKind::Pattern, b"d*").await.expect("PSUBSCRIBE"), 2);
    assert_eq!(sink.add(SubscriptionKind::Shard, b"c").await.expect("SSUBSCRIBE"), 1);
    run::<i64>(&client, "SPUBLISH c sharded").await;
    run::<i64>(&client, "PUBLISH c plain").await;
    let kinds =
        [next(&mut stream).await, next(&mut stream).await].map(|delivery| (delivery.kind, delivery.payload));
    assert_eq!(
        kinds,
        [(SubscriptionKind::Shard, b"sharded".to_vec()), (SubscriptionKind::Channel, b"plain".to_vec())]
    );
    assert_eq!(sink.remove(SubscriptionKind::Channel, b"c"), 1);
    assert_eq!(sink.remove(SubscriptionKind::Shard, b"c"), 0);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_dropped_and_takes_nobody_with_it() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut lazy = subscriber(&client, "news").await;
    let mut other = subscriber(&client, "news").await;
    let message = vec![b'x'; 1024 * 1024];
    let reading = tokio::spawn(async move {
        let mut count = 0;
        while next(&mut other).await.payload != b"end" {
            count += 1;
        }
        count
    });
    for _ in 0..40 {
        let _: i64 = client.clone().publish("news", &message).await.expect("PUBLISH");
    }
    run::<i64>(&client, "PUBLISH news end").await;
    assert_eq!(reading.await.expect("a reader"), 40);
    assert!(lazy.is_overrun());
    let mut left = 0;
    while lazy.next_delivery().await.is_some() {
        left += 1;
    }
    assert!((20..40).contains(&left), "{left} of 40 MiB were kept");
}

#[tokio::test]
async fn pubsub_tells_who_listens_and_never_of_those_who_wait() {
    let cluster = Cluster::start().await;
    let clients = [cluster.client().await, cluster.client().await];
    let mut streams = Vec::new();
    for (client, channel) in [(&clients[0], "a:1"), (&clients[1], "a:1"), (&clients[0], "b:2")] {
        streams.push(subscriber(client, channel).await);
    }
    let (sink, _stream) = clients[0].pubsub().split();
    sink.add(SubscriptionKind::Pattern, b"a*").await.expect("PSUBSCRIBE");
    sink.add(SubscriptionKind::Shard, b"s").await.expect("SSUBSCRIBE");
    let waiter = clients[0].clone();
    let waiting = tokio::spawn(async move { waiter.run(&words("BLPOP k 0")).await });
    let all_there = async || {
        let mut count = 0;
        for server in cluster.iter() {
            count += server.run::<Vec<String>>(&["PUBSUB", "CHANNELS"]).await.expect("CHANNELS").len();
        }
        count == 12
    };
    eventually("all subscriptions are there", PATIENCE, all_there).await;
    cluster[2].kill();
    let client = &clients[1];
    assert_eq!(run::<Vec<String>>(client, "PUBSUB CHANNELS").await, ["a:1", "b:2"]);
    assert_eq!(run::<Vec<String>>(client, "PUBSUB CHANNELS a*").await, ["a:1"]);
    assert_eq!(run::<Vec<String>>(client, "PUBSUB SHARDCHANNELS").await, ["s"]);
    let counts: Vec<(String, i64)> = run(client, "PUBSUB NUMSUB a:1 b:2 c").await;
    assert_eq!(counts, [("a:1".into(), 2), ("b:2".into(), 1), ("c".into(), 0)]);
    assert_eq!(run::<Vec<(String, i64)>>(client, "PUBSUB SHARDNUMSUB s").await, [("s".into(), 1)]);
    assert_eq!(run::<i64>(client, "PUBSUB NUMPAT").await, 1);
    streams.clear();
    let gone = async || run::<Vec<String>>(client, "PUBSUB CHANNELS").await.is_empty();
    eventually("nobody listens any more", PATIENCE, gone).await;
    waiting.abort();
}

#[tokio::test]
async fn a_transaction_publishes_once_it_is_committed() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut stream = subscriber(&client, "news").await;
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("k", "v").publish("news", "set").get("k");
    let replies: (String, i64, String) = pipeline.query_async(&mut client.clone()).await.expect("EXEC");
    assert_eq!(replies, ("OK".into(), 1, "v".into()));
    assert_eq!(next(&mut stream).await.payload, b"set");
    // One that does not hold publishes nothing.
    let session = client.session();
    session.run(&words("WATCH k")).await.expect("WATCH");
    run::<Value>(&client, "SET k other").await;
    for command in ["MULTI", "SET k w", "PUBLISH news unheard"] {
        session.run(&words(command)).await.expect(command);
    }
    assert_eq!(session.run(&words("EXEC")).await.expect("EXEC"), Value::Nil);
    run::<i64>(&client, "PUBLISH news end").await;
    assert!(until_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_carried_by_a_majority_is_an_error_that_says_what_became_of_it() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    cluster[0].kill();
    cluster[1].kill();
    cluster.until_not_voting(&client, 0).await;
    cluster.until_not_voting(&client, 1).await;
    let error = try_run::<i64>(&client, "PUBLISH news m").await.expect_err("one node of three");
    assert!(matches!(error, Error::HalfPublished { carried: 1, needed: 2, .. }), "{error}");
    cluster[2].kill();
    cluster.until_not_voting(&client, 2).await;
    let error = try_run::<i64>(&client, "PUBLISH news m").await.expect_err("no node");
    assert!(matches!(error, Error::NoQuorum { .. }), "{error}");
}

#[tokio::test]
async fn subscribing_as_a_command_says_where_messages_come_from_and_scripts_do_not_publish() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for command in
        ["SUBSCRIBE c", "PSUBSCRIBE c*", "SSUBSCRIBE c", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"]
    {
        let error = try_run::<Value>(&client, command).await.expect_err(command);
        assert!(error.to_string().contains("Client::pubsub()"), "{error}");
    }
    let error = try_run::<Value>(&client, "EVAL return(redis.call('PUBLISH','c','m')) 0")
        .await
        .expect_err("a script");
    assert!(error.to_string().contains("is not allowed in scripts"), "{error}");
}

async fn until_heard_from_all(cluster: &Cluster) {
    let listened = async || {
        let mut all = true;
        for server in cluster.iter() {
            let (_, ears): (String, u64) =
                server.run(&["PUBSUB", "NUMSUB", "anrcho_pub:news"]).await.expect("NUMSUB");
            all &= ears == 1;
        }
        all
    };
    eventually("all nodes are listened to", PATIENCE, listened).await;
}

/// Lets one node carry messages of publishers, as `from_to` says in Lua, publisher and sequence being made of `i`; and tells what is heard of them.
async fn carried(
    server: &harness::Server,
    stream: &mut PubSubStream,
    [from_to, publisher, sequence]: [&str; 3],
) -> usize {
    static ENDS: AtomicU64 = AtomicU64::new(1);
    let end = ENDS.fetch_add(1, Ordering::Relaxed);
    let script = format!(
        "local function carry(publisher, sequence, text)
            redis.call('PUBLISH', 'anrcho_pub:news', string.format('%016x-%016x %s', publisher, sequence, text))
        end
        for i = {from_to} do carry({publisher}, {sequence}, 'text') end
        carry(4000000000, {end}, 'end')"
    );
    server.run::<Value>(&["EVAL", &script, "0"]).await.expect("EVAL");
    until_end(stream).await.len()
}

/// The control of "once": what makes two copies one message is the envelope alone.
#[tokio::test]
async fn a_copy_is_known_by_its_envelope_and_what_has_none_is_not_heard() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut stream = subscriber(&client, "news").await;
    until_heard_from_all(&cluster).await;
    for server in cluster.iter() {
        for message in [
            "no envelope",
            "00000000000000ab-0000000000000001 once",
            "00000000000000ab-0000000000000003 later",
            "00000000000000ab-0000000000000002 twice?",
            "00000000000000ac-0000000000000001 another publisher's",
        ] {
            server.run::<i64>(&["PUBLISH", "anrcho_pub:news", message]).await.expect("PUBLISH");
        }
    }
    run::<i64>(&client, "PUBLISH news end").await;
    assert_eq!(until_end(&mut stream).await, ["once", "later", "twice?", "another publisher's"]);
}

#[tokio::test]
async fn a_late_copy_is_not_heard_again_though_thousands_have_published_since() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut stream = subscriber(&client, "news").await;
    until_heard_from_all(&cluster).await;
    let of_all = ["1, 3000", "i", "1"];
    assert_eq!(carried(&cluster[0], &mut stream, of_all).await, 3_000);
    assert_eq!(carried(&cluster[1], &mut stream, of_all).await, 0, "heard twice");
}

#[tokio::test]
async fn a_message_is_heard_though_a_thousand_later_ones_came_before_it_and_dropped_behind_thousands() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut stream = subscriber(&client, "news").await;
    until_heard_from_all(&cluster).await;
    for (turn, (node, messages, heard)) in [
        // Every second one is published elsewhere.
        (0, ["2, 1001", "171", "2 * i"], 1_000),
        (1, ["1, 1", "171", "1"], 1),
        (0, ["1002, 4001", "171", "2 * i"], 3_000),
        (1, ["1, 1", "171", "3"], 0),
        // Where none is, any number may come before it.
        (0, ["2, 10001", "172", "i"], 10_000),
        (1, ["1, 1", "172", "1"], 1),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(carried(&cluster[node], &mut stream, messages).await, heard, "{turn}");
    }
}

#[tokio::test]
async fn thousands_of_channels_are_subscribed_to_at_once() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut pubsub = client.pubsub();
    let channels: Vec<String> = (0..3_000).map(|number| format!("channel:{number}")).collect();
    pubsub.subscribe(&channels).await.expect("SUBSCRIBE");
    let (sink, mut stream) = pubsub.split();
    assert_eq!(sink.names(SubscriptionKind::Channel).len(), 3_000);
    for number in [0, 1_500, 2_999] {
        assert_eq!(run::<i64>(&client, &format!("PUBLISH channel:{number} m")).await, 1);
        assert_eq!(next(&mut stream).await.channel, format!("channel:{number}").into_bytes());
    }
    drop(stream);
    let gone = async || run::<Vec<String>>(&client, "PUBSUB CHANNELS").await.is_empty();
    eventually("nobody listens any more", PATIENCE, gone).await;
}

//! Members are added, removed and replaced while clients work, and nothing that was acknowledged is lost.

mod harness;
mod workload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anarchoredis::heal::{Healer, Progress, Silent};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config, Error};
use harness::{Server, Version, eventually};
use redis::AsyncCommands;

const SOON: Duration = Duration::from_secs(20);

async fn servers(count: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Server::start(Version::V7_0).await);
    }
    servers
}

fn urls(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::url).collect()
}

async fn client(servers: &[Server]) -> Client {
    Client::builder().nodes(urls(servers)).connect().await.expect("a client")
}

async fn healer(servers: &[Server]) -> Healer {
    Healer::connect(urls(servers), Config::default()).await.expect("a healer")
}

async fn fill(client: &Client, keys: usize) {
    for key in 0..keys {
        let _: () = client.clone().set(format!("key:{key}"), key).await.expect("a write");
    }
}

async fn held(server: &Server) -> Vec<String> {
    let mut keys: Vec<String> = server.run(&["KEYS", "key:*"]).await.expect("keys");
    keys.sort();
    keys
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

fn voters(client: &Client) -> Vec<String> {
    let votes = |node: &anarchoredis::client::NodeStatus| matches!(node.seat, Seat::Voter(_));
    client.nodes().into_iter().filter(votes).map(|node| node.address).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_is_filled_votes_and_is_learnt_of_by_clients_that_do_not_name_it() {
    let servers = servers(4).await;
    let old = client(&servers[..3]).await;
    fill(&old, 60).await;
    let summary = healer(&servers[..3]).await;
    let summary = summary.add(&servers[3].url(), &Config::default(), &Silent).await.expect("a new member");
    assert!(summary.complete, "{summary:?}");
    assert_eq!(held(&servers[3]).await, held(&servers[0]).await);
    eventually("the old client counts four", SOON, || async { voters(&old).len() == 4 }).await;
    fill(&old, 80).await;
    let new = client(&servers[..3]).await;
    assert_eq!(voters(&new).len(), 4, "a list without the new member is enough");
    assert_eq!(new.clone().get::<_, usize>("key:79").await.expect("a read"), 79);
    // Three of four are a majority, two are not.
    servers[0].kill();
    let _: () = old.clone().set("key:1", 2).await.expect("a write with three of four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_not_asked_any_more_and_clients_may_still_name_it() {
    let servers = servers(4).await;
    let client_of_four = client(&servers).await;
    fill(&client_of_four, 40).await;
    let summary = healer(&servers).await.remove(&address(&servers[1]), &Silent).await.expect("a removal");
    assert!(summary.complete, "{summary:?}");
    eventually("the client counts three", SOON, || async { client_of_four.nodes().len() == 3 }).await;
    servers[1].reset_calls().await;
    fill(&client_of_four, 60).await;
    assert_eq!(servers[1].round_trips().await, 0, "the removed server is asked nothing");
    let late = client(&servers).await;
    assert_eq!(voters(&late).len(), 3);
    assert!(!voters(&late).contains(&address(&servers[1])));
    // Added again, it loses what the others do not hold.
    let _: u64 = late.clone().del("key:3").await.expect("a delete");
    let config = Config::default();
    let summary = healer(&servers[2..]).await;
    let summary = summary.add(&servers[1].url(), &config, &Silent).await.expect("the old member again");
    assert!(summary.complete, "{summary:?}");
    assert_eq!(held(&servers[1]).await, held(&servers[0]).await);
    assert_eq!(held(&servers[1]).await.len(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_listens_to_a_new_member_and_no_more_to_a_removed_one_that_still_runs() {
    let servers = servers(4).await;
    let store = client(&servers[..3]).await;
    let mut taker = store.clone();
    let waiting = tokio::spawn(async move { taker.blpop::<_, (String, String)>("k", 0.0).await });
    let listened = async |expected: [u64; 4]| {
        let mut all = Vec::new();
        for server in &servers {
            let asked = server.run::<(String, u64)>(&["PUBSUB", "NUMSUB", "anrcho_wake:{k}"]).await;
            all.push(asked.expect("NUMSUB").1);
        }
        all == expected
    };
    eventually("all members are listened to", SOON, || listened([1, 1, 1, 0])).await;
    let replaced = healer(&servers[..3])
        .await
        .replace(&address(&servers[2]), &servers[3].url(), &Config::default(), &Silent)
        .await
        .expect("a replacement");
    assert!(replaced.complete, "{replaced:?}");
    eventually("the new members are listened to", SOON, || listened([1, 1, 0, 1])).await;
    let _: () = client(&servers[..2]).await.rpush("k", "v").await.expect("a write");
    assert_eq!(waiting.await.expect("no panic").expect("a reply"), ("k".into(), "v".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_is_replaced_by_an_empty_server() {
    let servers = servers(4).await;
    let store = client(&servers[..3]).await;
    fill(&store, 50).await;
    servers[2].kill();
    let healer = healer(&servers[..3]).await;
    let config = Config::default();
    let error =
        healer.replace("127.0.0.1:1", &servers[3].url(), &config, &Silent).await.expect_err("a typing error");
    assert!(error.to_string().contains("there is no member 127.0.0.1:1"), "{error}");
    // As if cut short between the two halves.
    healer.remove(&address(&servers[2]), &Silent).await.expect("the first half");
    let replaced = healer.replace(&address(&servers[2]), &servers[3].url(), &config, &Silent).await;
    let summary = replaced.expect("a replacement");
    assert!(summary.complete, "{summary:?}");
    assert_eq!(held(&servers[3]).await, held(&servers[0]).await);
    eventually("the client has the new one", SOON, || async {
        voters(&store).len() == 3 && voters(&store).contains(&address(&servers[3]))
    })
    .await;
    servers[0].kill();
    fill(&store, 55).await;
    servers[2].restart_empty().await;
    let late = Client::builder().nodes([servers[1].url(), servers[3].url(), servers[2].url()]).connect();
    let late = late.await.expect("a client that names the one that was replaced");
    assert_eq!(late.clone().get::<_, usize>("key:54").await.expect("a read"), 54);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_change_is_refused_and_changes_nothing() {
    let servers = servers(6).await;
    let store = client(&servers[..3]).await;
    fill(&store, 5).await;
    let other = client(&servers[3..4]).await;
    fill(&other, 2).await;
    let _: () = servers[4].run(&["SET", "foreign", "1"]).await.expect("data of somebody");
    let port = servers[0].port().to_string();
    let _: () = servers[5].run(&["REPLICAOF", "127.0.0.1", &port]).await.expect("a replica");
    let healer = healer(&servers[..3]).await;
    let config = Config::default();
    for (server, words) in [
        (&servers[3], "it belongs to cluster"),
        (&servers[4], "it holds 1 keys"),
        (&servers[5], "replica"),
        (&servers[1], "is a member already"),
    ] {
        let error = healer.add(&server.url(), &config, &Silent).await.expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
    let twin = format!("redis://localhost:{}", servers[1].port());
    let error = healer.add(&twin, &config, &Silent).await.expect_err("the same server by another name");
    assert!(error.to_string().contains("same server"), "{error}");
    healer.rejoin("nobody", &Silent).await.expect_err("no such member");
    let error = healer.remove("nobody", &Silent).await.expect_err("no such member");
    assert!(error.to_string().contains("there is no member nobody"), "{error}");
    // One is dead: the two others must both vote, so neither can be removed.
    servers[2].kill();
    eventually("the node is away", SOON, || async { voters(&store).len() == 2 }).await;
    let error = healer.remove(&address(&servers[0]), &Silent).await.expect_err("below a majority");
    assert!(matches!(error, Error::NotApplied { .. }), "{error}");
    for server in &servers[..2] {
        let epoch: u64 = server.run(&["HGET", "anrcho_node", "epoch"]).await.expect("an epoch");
        assert!(epoch < 1_000_000, "nothing has changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_two_members_stay_and_the_same_server_is_not_added_twice() {
    let servers = servers(3).await;
    let store = client(&servers[..2]).await;
    fill(&store, 5).await;
    let healer = healer(&servers[..2]).await;
    let error = healer.remove(&address(&servers[1]), &Silent).await.expect_err("one would be left");
    assert!(error.to_string().contains("one of the last 2 members: add another one first"), "{error}");
    let config = Config::default();
    let added = healer.add(&servers[2].url(), &config, &Silent).await.expect("a third one");
    assert!(added.complete, "{added:?}");
    let error = healer.add(&servers[2].url(), &config, &Silent).await.expect_err("it is there already");
    assert!(error.to_string().contains("is a member already, and votes: nothing to do"), "{error}");
    let epoch = async || servers[0].run::<String>(&["HGET", "anrcho_node", "epoch"]).await.expect("an epoch");
    let before = epoch().await;
    healer.add(&servers[2].url(), &config, &Silent).await.expect_err("still");
    assert_eq!(epoch().await, before, "nothing has changed");
    fill(&store, 8).await;
}

/// Does something in the midst of a pass: the first time that it says such a line.
struct Midst<F> {
    line: &'static str,
    done: AtomicBool,
    then: F,
}

impl<F: Fn() + Send + Sync> Progress for Midst<F> {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}

    fn note(&self, line: &str) {
        if line.contains(self.line) && !self.done.swap(true, Ordering::SeqCst) {
            (self.then)();
        }
    }
}

/// Found by a review: it compared the nodes that it knew, and took the mark off that says what the new one misses.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_a_change_of_members_has_overtaken_leaves_the_marks_of_what_a_new_member_misses() {
    let servers = Arc::new(servers(4).await);
    fill(&client(&servers[..3]).await, 30).await;
    servers[1].restart_empty().await;
    // When the emptied node votes again, a fourth member is added, hangs and misses a write.
    let others = Arc::clone(&servers);
    let meanwhile = move || {
        let servers = Arc::clone(&others);
        let change = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let healer = healer(&servers[..3]).await;
                let added = healer.add(&servers[3].url(), &Config::default(), &Silent).await;
                assert!(added.expect("a new member").complete);
                let mut store = client(&servers).await;
                servers[3].pause();
                let _: () = store.set("key:1", "newer").await.expect("a write with three of four");
                eventually("it is marked on the others", SOON, || are_marked(&servers[..3])).await;
            });
        });
        change.join().expect("the change");
    };
    let progress = Midst { line: "votes again", done: AtomicBool::new(false), then: meanwhile };
    let overtaken = healer(&servers[..3]).await.once(&progress).await;
    assert!(progress.done.load(Ordering::SeqCst), "the node was brought back: {overtaken:?}");
    assert!(are_marked(&servers[..3]).await, "the marks are gone, and the new member misses a write");
    servers[3].resume();
    let summary = healer(&servers).await.once(&Silent).await.expect("a pass");
    assert!(summary.complete, "{summary:?}");
    assert_eq!(servers[3].run::<String>(&["GET", "key:1"]).await.expect("a value"), "newer");
}

/// Whether each of them remembers that another one misses the last write of `key:1`.
async fn are_marked(servers: &[Server]) -> bool {
    for server in servers {
        let marked: bool = server.run(&["HEXISTS", "anrcho_dirty", "key:1"]).await.expect("an answer");
        if !marked {
            return false;
        }
    }
    true
}

/// Four clients write while servers come and go; each change is cut short at some moment and begun again.
#[tokio::test(flavor = "multi_thread")]
async fn changes_under_load_that_are_cut_short_lose_nothing() {
    let servers = Arc::new(servers(5).await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (store, stop) = (client(&servers[..3]).await, Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            let (mut acknowledged, mut failed) = (Vec::new(), 0);
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let member = format!("{writer}:{number}");
                match store.clone().sadd::<_, _, u64>(format!("set:{}", number % 7), &member).await {
                    Ok(_) => acknowledged.push((format!("set:{}", number % 7), member)),
                    Err(_) => failed += 1,
                }
            }
            (acknowledged, failed)
        }));
    }
    let mut members = vec![0, 1, 2];
    let mut rng = workload::Rng::new(7);
    for round in 0..8 {
        let outside: Vec<usize> = (0..5).filter(|server| !members.contains(server)).collect();
        let adds = members.len() < 4;
        let whom = if adds { outside[round % outside.len()] } else { members[round % members.len()] };
        let urls = members.iter().map(|member| servers[*member].url()).collect::<Vec<_>>();
        // Cut short at some moment ...
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime of its own");
        let (first, target) = (urls.clone(), (servers[whom].url(), address(&servers[whom])));
        runtime.spawn(async move {
            let healer = Healer::connect(first, Config::default()).await.expect("a healer");
            let _ = if adds {
                healer.add(&target.0, &Config::default(), &Silent).await
            } else {
                healer.remove(&target.1, &Silent).await
            };
        });
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        runtime.shutdown_background();
        // ... and carried through by the next one.
        let healer = Healer::connect(urls, Config::default()).await.expect("a healer");
        eventually("the change is carried through", Duration::from_secs(60), || async {
            let changed = if adds {
                healer.add(&servers[whom].url(), &Config::default(), &Silent).await
            } else {
                healer.remove(&address(&servers[whom]), &Silent).await
            };
            match changed {
                Ok(summary) => summary.complete || summary.away.is_empty(),
                Err(error) => {
                    let text = error.to_string();
                    text.contains("is a member already") || text.contains("there is no member")
                }
            }
        })
        .await;
        if adds {
            members.push(whom);
        } else {
            members.retain(|member| *member != whom);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let reader = Client::builder().nodes(members.iter().map(|member| servers[*member].url()));
    let reader = reader.connect().await.expect("a client of the last members");
    let mut total = 0;
    for writer in writers {
        let (acknowledged, failed) = writer.await.expect("a writer");
        total += acknowledged.len();
        assert!(!acknowledged.is_empty(), "{failed} writes failed and none was acknowledged");
        for (set, member) in acknowledged {
            let there: bool = reader.clone().sismember(&set, &member).await.expect("a read");
            assert!(there, "{member} was acknowledged and is lost");
        }
    }
    eprintln!("{total} acknowledged writes, 8 changes");
}

//! One Redis with data and empty servers become a cluster, and whoever reads from that Redis reads on.

mod harness;

use anarchoredis::heal::{Fault, Healer, Progress, Silent};
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use redis::{AsyncCommands, Value};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

async fn adopt(nodes: &[String]) -> Result<anarchoredis::heal::Adopted, anarchoredis::Error> {
    Healer::adopt(nodes.to_vec(), Config::default(), &Silent).await
}

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("a client")
}

/// Everything of users, in a form that does not depend on the node's own order.
async fn held(server: &Server) -> Vec<String> {
    let keys: Vec<Vec<u8>> = server.run(&["KEYS", "*"]).await.expect("keys");
    let mut connection = server.connection().await;
    let mut held = Vec::new();
    for key in keys.into_iter().filter(|key| !key.starts_with(b"anrcho_")) {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.expect("a type");
        let words: &[&str] = match kind.as_str() {
            "string" => &["GET"],
            "list" => &["LRANGE", "0", "-1"],
            "set" => &["SMEMBERS"],
            "hash" => &["HGETALL"],
            "zset" => &["ZRANGE", "0", "-1", "WITHSCORES"],
            _ => &["XRANGE", "-", "+"],
        };
        let mut get = redis::cmd(words[0]);
        get.arg(&key);
        words[1..].iter().for_each(|word| {
            get.arg(*word);
        });
        let value: Value = get.query_async(&mut connection).await.expect("a value");
        let mut parts = match value {
            Value::Array(parts) => parts.iter().map(|part| format!("{part:?}")).collect(),
            other => vec![format!("{other:?}")],
        };
        if kind == "hash" {
            parts = parts.chunks(2).map(|pair| pair.concat()).collect();
        }
        if kind == "hash" || kind == "set" {
            parts.sort();
        }
        let ttl: i64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.expect("a TTL");
        held.push(format!("{} {kind} expires {} {}", key.escape_ascii(), ttl > 0, parts.concat()));
    }
    held.sort();
    held
}

/// One of everything.
async fn fill(server: &Server) {
    for line in [
        "SET plain value",
        "SET expiring soon EX 5000",
        "RPUSH list a b c",
        "SADD set x y z",
        "HSET hash f v g w",
        "ZADD zset 1.5 m 0.1 n",
        "XADD stream 1-1 f v",
        "XADD stream 2-1 f v",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g one COUNT 1 STREAMS stream >",
        "SET {tag}a 1",
        "RPUSH {tag}b 2",
        "SET {tag}c 3 EX 5000",
        "SET {} odd",
        "SET {{b}} odder",
        "SET a} oddest",
        "PFADD loglog a b c",
        "SETBIT bits 100 1",
    ] {
        server.run::<Value>(&line.split(' ').collect::<Vec<_>>()).await.expect(line);
    }
    let mut connection = server.connection().await;
    let odd: [&[u8]; 4] = [b"", b"\xff\x00\r\n", b"with space", b"{}"];
    for key in odd {
        redis::cmd("SET").arg(key).arg("odd name").exec_async(&mut connection).await.expect("a write");
    }
    redis::cmd("SET")
        .arg("big")
        .arg(vec![b'x'; 3_000_000])
        .exec_async(&mut connection)
        .await
        .expect("a write");
    let members: Vec<String> = (0..3_000).map(|number| format!("member:{number}")).collect();
    redis::cmd("SADD").arg("many members").arg(members).exec_async(&mut connection).await.expect("a write");
    for number in 0..300 {
        let key = format!("key:{number}");
        redis::cmd("SET").arg(key).arg(number).exec_async(&mut connection).await.expect("a write");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_types_names_and_expiries_of_one_server_are_on_all_nodes_afterwards() {
    for version in Version::ALL {
        let nodes = Nodes::of(&[version; 3]).await;
        fill(&nodes[1]).await;
        let before = held(&nodes[1]).await;
        let adopted = adopt(&nodes.urls()).await.expect("an adoption");
        assert!(
            adopted.complete && adopted.voters == 3 && adopted.changed.is_empty(),
            "{version}: {adopted:?}"
        );
        assert_eq!(adopted.keys as usize, before.len(), "{version}");
        for node in nodes.iter() {
            assert_eq!(held(node).await, before, "{version}");
        }
        let mut store = client(&nodes).await;
        // Any one may be lost, the one that held it all too.
        nodes[1].kill();
        assert_eq!(store.get::<_, String>("plain").await.expect("a read"), "value");
        assert_eq!(store.rpush::<_, _, u64>("list", "d").await.expect("a write"), 4);
        let read = "XREADGROUP GROUP g two STREAMS stream >";
        let mut cmd = redis::Cmd::new();
        read.split(' ').for_each(|word| {
            cmd.arg(word);
        });
        let read: redis::streams::StreamReadReply = cmd.query_async(&mut store).await.expect("a read");
        assert_eq!(read.keys[0].ids[0].id, "2-1", "{version}: the group knows what was delivered");
        let _: () = redis::pipe()
            .atomic()
            .incr("{tag}a", 1)
            .rpush("{tag}b", 1)
            .query_async(&mut store)
            .await
            .expect("one register");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tag_with_thousands_of_keys_is_one_register_and_servers_of_other_versions_get_it_too() {
    let nodes = Nodes::of(&[Version::V7_4, Version::V6_2, Version::V7_0]).await;
    let mut connection = nodes[0].connection().await;
    for chunk in 0..12 {
        let mut pipe = redis::pipe();
        (0..1_000).for_each(|number| {
            pipe.set(format!("{{t}}:{chunk}:{number}"), number).ignore();
        });
        pipe.exec_async(&mut connection).await.expect("writes");
    }
    let _: String = nodes[0].run(&["XADD", "stream", "5-1", "f", "v"]).await.expect("a stream");
    let adopted = adopt(&nodes.urls()).await.expect("an adoption");
    assert!(adopted.complete && adopted.registers == 2 && adopted.keys == 12_001, "{adopted:?}");
    let before = held(&nodes[0]).await;
    assert!(held(&nodes[1]).await == before && held(&nodes[2]).await == before);
    let mut store = client(&nodes).await;
    assert_eq!(store.incr::<_, _, u64>("{t}:7:9", 1).await.expect("a write"), 10);
    let verified = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let verified = verified.verify(false, &Silent).await.expect("a verification");
    assert!(verified.is_sound(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_from_the_server_notices_nothing() {
    let nodes = Nodes::start(3).await;
    fill(&nodes[0]).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut readers = Vec::new();
    for reader in 0..3 {
        let mut connection = nodes[0].connection().await;
        let (stop, reads) = (Arc::clone(&stop), Arc::clone(&reads));
        readers.push(tokio::spawn(async move {
            let mut number = reader * 100;
            while !stop.load(Ordering::Relaxed) {
                number = (number + 1) % 300;
                let value: Option<u64> = connection.get(format!("key:{number}")).await.expect("a read");
                assert_eq!(value, Some(number));
                let tagged: Vec<String> = connection.mget(&["{tag}a", "{tag}c"]).await.expect("a read");
                assert_eq!(tagged, ["1", "3"]);
                reads.fetch_add(2, Ordering::Relaxed);
            }
        }));
    }
    let adopted = adopt(&nodes.urls()).await.expect("an adoption");
    assert!(adopted.complete, "{adopted:?}");
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("every read was answered, and right");
    }
    assert!(reads.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_counts_what_would_be_adopted_and_changes_nothing() {
    let nodes = Nodes::start(3).await;
    fill(&nodes[2]).await;
    let before: u64 = nodes[2].run(&["DBSIZE"]).await.expect("a size");
    let survey = Healer::survey(nodes.urls(), Config::default(), &Silent).await.expect("a survey");
    assert_eq!((survey.keys, survey.expiring, survey.largest), (before, 2, 3), "{survey:?}");
    assert_eq!(survey.registers, before - 2);
    assert_eq!(survey.types["stream"], 1);
    assert!(survey.source.ends_with(&nodes[2].port().to_string()) && survey.copies.len() == 2);
    assert_eq!(nodes[2].run::<u64>(&["DBSIZE"]).await.expect("a size"), before);
    for node in &nodes[..2] {
        assert_eq!(node.run::<u64>(&["DBSIZE"]).await.expect("a size"), 0);
    }
}

async fn refused(urls: Vec<String>, words: &str, nodes: &Nodes) {
    let sizes = async || {
        let mut sizes = Vec::new();
        for node in nodes.iter() {
            sizes.push(node.run::<u64>(&["DBSIZE"]).await.unwrap_or(0));
        }
        sizes
    };
    let before = sizes().await;
    let error = adopt(&urls).await.expect_err(words).to_string();
    assert!(error.contains(words), "{words}: {error}");
    assert_eq!(sizes().await, before, "{words}: nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_with_data_and_empty_ones_is_refused_and_changes_nothing() {
    let nodes = Nodes::start(3).await;
    let urls = nodes.urls();
    refused(urls.clone(), "none of these servers holds any data", &nodes).await;
    let set = async |node: &Server, words: &[&str]| node.run::<Value>(words).await.expect("a command");
    set(&nodes[0], &["SET", "k", "v"]).await;
    refused(urls[..1].to_vec(), "name the server that holds the data and", &nodes).await;
    refused(vec![urls[0].clone(), urls[1].clone(), urls[1].clone()], "same server", &nodes).await;
    // Diverged data: what both of them hold is nobody's to choose.
    set(&nodes[1], &["SET", "k", "w"]).await;
    refused(urls.clone(), "nobody can tell which one is right", &nodes).await;
    set(&nodes[1], &["FLUSHALL"]).await;
    set(&nodes[2], &["REPLICAOF", "127.0.0.1", &nodes[0].port().to_string()]).await;
    refused(urls.clone(), "it is a replica", &nodes).await;
    set(&nodes[2], &["REPLICAOF", "NO", "ONE"]).await;
    set(&nodes[2], &["FLUSHALL"]).await;
    let mut connection = nodes[0].connection().await;
    redis::pipe()
        .cmd("SELECT")
        .arg(3)
        .set("k", "v")
        .cmd("SELECT")
        .arg(0)
        .exec_async(&mut connection)
        .await
        .expect("a write");
    refused(urls.clone(), "it has keys in database 3 too", &nodes).await;
    redis::pipe().cmd("SELECT").arg(3).del("k").exec_async(&mut connection).await.expect("a delete");
    set(&nodes[0], &["SET", "anrcho_mine", "v"]).await;
    refused(urls.clone(), "whose names are kept for the protocol, such as anrcho_mine", &nodes).await;
    set(&nodes[0], &["DEL", "anrcho_mine"]).await;
    set(&nodes[1], &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    refused(urls.clone(), "set it to noeviction", &nodes).await;
    set(&nodes[1], &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    nodes[2].kill();
    refused(urls.clone(), "not reachable", &nodes).await;
    nodes[2].restart_empty().await;
    assert!(adopt(&urls).await.expect("now it is right").complete);
    refused(urls, "it is a node of a cluster already", &nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_whose_fields_expire_are_refused() {
    for version in [Version::V7_4, Version::Valkey9] {
        let nodes = Nodes::of(&[version, Version::V7_0]).await;
        let _: Value = nodes[0].run(&["HSET", "h", "f", "v"]).await.expect("a hash");
        let expire = ["HPEXPIRE", "h", "5000000", "FIELDS", "1", "f"];
        let _: Value = nodes[0].run(&expire).await.expect("a field that expires");
        refused(nodes.urls(), "HPERSIST these fields first", &nodes).await;
    }
}

/// The tool is killed at any moment, or a server is; run again it ends where it would have.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_that_is_killed_at_any_moment_is_finished_by_the_next_one() {
    let mut cut_short = 0;
    for round in 0..6_u64 {
        let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("always"))).await;
        fill(&nodes[0]).await;
        let before = held(&nodes[0]).await;
        let mut tool = std::process::Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        nodes.urls().iter().for_each(|url| {
            tool.arg("--node").arg(url);
        });
        let tool = tool.arg("adopt").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut tool = tool.expect("the tool starts");
        tokio::time::sleep(Duration::from_millis(30 + round * 90)).await;
        cut_short += u32::from(tool.try_wait().expect("its state").is_none());
        if round % 2 == 0 {
            let _ = tool.kill();
        } else {
            let victim = &nodes[(round / 2) as usize];
            victim.kill();
            eventually("the tool gives up", SOON, async || tool.try_wait().expect("its state").is_some())
                .await;
            if round == 3 { victim.restart_empty().await } else { victim.restart().await }
        }
        let _ = tool.wait();
        let role: Option<String> = nodes[0].run(&["HGET", "anrcho_node", "role"]).await.expect("a role");
        if role.as_deref() == Some("adopting") {
            let error =
                Client::builder().nodes(nodes.urls()).connect().await.expect_err("nobody may use it yet");
            assert!(error.to_string().contains("run `anarcho-heal adopt` again"), "{error}");
            let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
            assert_eq!(healer.status().await.nodes[0].role, "adopting");
            if healer.status().await.voters < 2 {
                healer.recover(&Silent).await.expect_err("nobody else starts it");
            }
        }
        match adopt(&nodes.urls()).await {
            Ok(adopted) => assert!(adopted.complete, "round {round}: {adopted:?}"),
            Err(error) => {
                assert!(error.to_string().contains("a node of a cluster already"), "round {round}: {error}")
            }
        }
        let healed = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
        if healed.status().await.voters < 2 {
            healed.recover(&Silent).await.expect("all hold the same");
        }
        assert!(healed.once(&Silent).await.expect("a pass").complete, "round {round}");
        for node in nodes.iter() {
            assert_eq!(held(node).await, before, "round {round}");
        }
        client(&nodes).await;
    }
    assert!(cut_short >= 3, "{cut_short} of 6 were cut short");
}

/// Does something once, in the midst of a pass: where it says such a line for the so-manieth time, or, without a line, where it counts.
struct Midst<F> {
    line: Option<&'static str>,
    left: AtomicU64,
    then: F,
}

impl<F: Fn() + Send + Sync> Midst<F> {
    fn of_line(line: &'static str, times: u64, then: F) -> Midst<F> {
        Midst { line: Some(line), left: AtomicU64::new(times), then }
    }

    fn of_count(then: F) -> Midst<F> {
        Midst { line: None, left: AtomicU64::new(1), then }
    }

    fn step(&self) {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            (self.then)();
        }
    }
}

impl<F: Fn() + Send + Sync> Progress for Midst<F> {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {
        if self.line.is_none() {
            self.step();
        }
    }

    fn note(&self, line: &str) {
        if self.line.is_some_and(|wanted| line.contains(wanted)) {
            self.step();
        }
    }
}

/// Ends the task that it is called in, as if its process had been killed.
fn die() {
    std::panic::resume_unwind(Box::new("killed on purpose"));
}

/// An adoption that is killed there.
async fn cut_short(urls: Vec<String>, at: impl Progress + 'static) {
    let adopting = tokio::spawn(async move { Healer::adopt(urls, Config::default(), &at).await });
    adopting.await.expect_err("it was killed");
}

/// Found by a review: the source voted last, and until then its history won over all others.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_majority_decided_between_the_first_votes_and_the_last_is_not_rolled_back_by_the_next_try() {
    let mut acknowledged = 0;
    for (votes, away) in [(1, None), (2, Some(0)), (2, Some(2))] {
        let nodes = Nodes::start(3).await;
        fill(&nodes[0]).await;
        cut_short(nodes.urls(), Midst::of_line(" votes", votes, die)).await;
        away.into_iter().for_each(|away: usize| nodes[away].pause());
        let mut expected = "value";
        if let Ok(mut store) = Client::builder().nodes(nodes.urls()).connect().await
            && store.set::<_, _, ()>("plain", "newer").await.is_ok()
        {
            expected = "newer";
            acknowledged += 1_u32;
        }
        away.into_iter().for_each(|away| nodes[away].resume());
        match adopt(&nodes.urls()).await {
            Ok(adopted) => assert!(adopted.complete, "{adopted:?}"),
            Err(error) => assert!(error.to_string().contains("a node of a cluster already"), "{error}"),
        }
        let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
        if healer.status().await.voters < 2 {
            healer.recover(&Silent).await.expect("all hold the same");
        }
        assert!(healer.once(&Silent).await.expect("a pass").complete);
        let read: String = client(&nodes).await.get("plain").await.expect("a read");
        assert_eq!(read, expected, "after {votes} votes, without {away:?}");
        for node in nodes.iter() {
            assert_eq!(node.run::<String>(&["GET", "plain"]).await.expect("a read"), expected);
        }
    }
    assert!(acknowledged > 0, "two of three that vote are a majority");
}

/// Found by a review: it sent under whatever token its node had by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_that_another_one_has_ended_lists_nothing_any_more() {
    const KEYS: u64 = 2_000;
    let nodes = Nodes::start(3).await;
    let mut connection = nodes[0].connection().await;
    let mut pipe = redis::pipe();
    (0..KEYS).for_each(|number| {
        pipe.set(format!("key:{number}"), number).ignore();
    });
    pipe.exec_async(&mut connection).await.expect("writes");
    let nodes = Arc::new(nodes);
    // After its first page another one takes all nodes over, and is killed after its own first page; the first one learns the new tokens.
    let of_other = Arc::clone(&nodes);
    let overtaken = Midst::of_count(move || {
        let nodes = Arc::clone(&of_other);
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                cut_short(nodes.urls(), Midst::of_count(die)).await;
                nodes[0].reset_calls().await;
                let looked = async || nodes[0].round_trips().await >= 3;
                eventually("the first one has looked at its node anew", SOON, looked).await;
            });
        });
        other.join().expect("the other one");
    });
    let error = Healer::adopt(nodes.urls(), Config::default(), &overtaken).await.expect_err("it has ended");
    let listed: Vec<String> = nodes[0].run(&["KEYS", "anrcho_version:*"]).await.expect("keys");
    assert!(!listed.is_empty(), "the first page of both");
    assert!((listed.len() as u64) < KEYS / 2, "it listed {} keys of {KEYS}: {error}", listed.len());
    let adopted = adopt(&nodes.urls()).await.expect("nobody is in the way");
    assert!(adopted.complete && adopted.keys == KEYS && adopted.voters == 3, "{adopted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_the_server_meanwhile_is_noticed_and_nobody_votes_while_it_goes_on() {
    let nodes = Nodes::start(3).await;
    fill(&nodes[0]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut connection, stopped) = (nodes[0].connection().await, Arc::clone(&stop));
    let writer = tokio::spawn(async move {
        for number in 0_u64.. {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let mut pipe = redis::pipe();
            pipe.set("plain", number).ignore().set(format!("new:{number}"), number).ignore();
            pipe.del(format!("new:{}", number.saturating_sub(2))).ignore();
            pipe.cmd("EXPIRE").arg("key:5").arg(1_000 + number).ignore();
            pipe.exec_async(&mut connection).await.expect("writes");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let error = adopt(&nodes.urls()).await.expect_err("somebody writes").to_string();
    assert!(error.contains("no node votes yet"), "{error}");
    Client::builder().nodes(nodes.urls()).connect().await.expect_err("nobody votes");
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("the writer");
    let adopted = adopt(&nodes.urls()).await.expect("now it ends");
    assert!(adopted.complete, "{adopted:?}");
    let before = held(&nodes[0]).await;
    assert!(held(&nodes[1]).await == before && held(&nodes[2]).await == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_written_behind_the_clusters_back_are_found_and_adopted() {
    let nodes = Nodes::start(3).await;
    let mut store = client(&nodes).await;
    let _: () = store.set("own", "v").await.expect("a write");
    for (node, words) in [
        (0, vec!["SET", "on one", "1"]),
        (1, vec!["RPUSH", "on two", "1", "2"]),
        (2, vec!["RPUSH", "on two", "1", "2"]),
        (0, vec!["SET", "on all", "x", "EX", "5000"]),
        (1, vec!["SET", "on all", "x", "EX", "5000"]),
        (2, vec!["SET", "on all", "x", "EX", "5000"]),
        (0, vec!["SET", "differs", "a"]),
        (1, vec!["SET", "differs", "b"]),
        (1, vec!["SADD", "{own}tagged", "m"]),
    ] {
        let _: Value = nodes[node].run(&words).await.expect("a write behind the protocol");
    }
    // One moment of expiry on all of them.
    let at: u64 = nodes[0].run(&["PEXPIRETIME", "on all"]).await.expect("a time");
    for node in nodes.iter() {
        let _: Value = node.run(&["PEXPIREAT", "on all", &at.to_string()]).await.expect("a time");
    }
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let mut verified = healer.verify(false, &Silent).await.expect("a verification");
    let strays = verified.findings.iter().filter(|finding| finding.fault == Fault::Stray);
    assert_eq!(strays.count(), 5, "{verified:?}");
    let strays = healer.adopt_strays(&mut verified).await.expect("an adoption");
    assert_eq!((strays.adopted, strays.left), (4, 1), "{verified:?}");
    assert_eq!(store.get::<_, String>("on one").await.expect("a read"), "1");
    assert_eq!(store.rpush::<_, _, u64>("on two", "3").await.expect("a write"), 3);
    assert_eq!(store.pexpire_time::<_, u64>("on all").await.expect("a time"), at);
    assert_eq!(store.smembers::<_, Vec<String>>("{own}tagged").await.expect("a read"), ["m"]);
    let note =
        &verified.findings.iter().find(|finding| finding.register == "differs").expect("it is left").note;
    assert!(note.contains("different values"), "{note}");
    let _: Value = nodes[1].run(&["DEL", "differs"]).await.expect("a decision");
    let mut again = healer.verify(false, &Silent).await.expect("a verification");
    assert_eq!(again.findings.len(), 1, "{again:?}");
    assert_eq!(healer.adopt_strays(&mut again).await.expect("an adoption").adopted, 1);
    assert!(healer.verify(false, &Silent).await.expect("a verification").is_sound());
    assert_eq!(store.get::<_, String>("differs").await.expect("a read"), "a");
}

/// `ANARCHO_ADOPT_KEYS` sets how many.
#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_adopted_and_it_is_said_how_long_that_takes() {
    let keys: usize =
        std::env::var("ANARCHO_ADOPT_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let nodes = Nodes::start(3).await;
    let mut connection = nodes[0].connection().await;
    for first in (0..keys).step_by(1_000) {
        let mut pipe = redis::pipe();
        for number in first..keys.min(first + 1_000) {
            pipe.set(format!("key:{number}"), format!("{number:0100}")).ignore();
        }
        pipe.exec_async(&mut connection).await.expect("writes");
    }
    let began = std::time::Instant::now();
    let adopted = adopt(&nodes.urls()).await.expect("an adoption");
    let took = began.elapsed();
    println!("{keys} keys of 100 bytes in {took:?}: {:.0} a second", keys as f64 / took.as_secs_f64());
    assert!(
        adopted.complete && adopted.keys as usize == keys && adopted.registers as usize == keys,
        "{adopted:?}"
    );
}

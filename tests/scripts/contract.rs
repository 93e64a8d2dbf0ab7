//! What the scripts' headers promise is what the scripts do.

use std::collections::BTreeSet;

use anarchoredis::script::{
    AdoptReply, ApplyReply, Copies, NAMES, Name, ReadReply, SettleReply, Slice, SnapshotReply, parse_copied,
    parse_dropped, parse_purged, purge_page, script, split_bunch,
};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::support::*;

pub type Words = BTreeSet<String>;

/// The words of `{'WORD'` in a text.
fn status_words(text: &str) -> Words {
    let starts = text.split("{'").skip(1);
    let words = starts.filter_map(|rest| rest.split_once('\'').map(|(word, _)| word));
    let is_status =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    words.filter(is_status).map(str::to_owned).collect()
}

/// The words of the REPLY lines in a script's own header.
pub fn promised(name: Name) -> Words {
    let source = &script(name).source;
    let own = source.find(&format!("-- {}: ", name.as_str())).expect("a header");
    let header = &source[own..];
    let (from, to) = (header.find("-- REPLY").expect("REPLY"), header.find("-- ERRORS").expect("ERRORS"));
    status_words(&header[from..to])
}

/// The words of the lines that are not comments, fragments included.
fn coded(name: Name) -> Words {
    let code = script(name).source.lines().filter(|line| !line.trim_start().starts_with("--"));
    status_words(&code.collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_header_promises_the_replies_that_the_script_has_and_no_others() {
    for name in NAMES {
        assert_eq!(promised(name), coded(name), "{}", name.as_str());
        let header = &script(name).source;
        for line in ["-- USES", "-- KEYS", "-- ARGV", "-- REPLY", "-- ERRORS"] {
            assert!(header.contains(line), "{}: {line}", name.as_str());
        }
    }
}

#[test]
fn scripts_that_say_that_they_write_nothing_are_the_three_that_read() {
    let silent: Vec<&str> = NAMES
        .iter()
        .filter(|name| script(**name).source.contains("Writes nothing."))
        .map(|name| name.as_str())
        .collect();
    assert_eq!(silent, ["read", "snapshot", "digest"]);
}

#[tokio::test]
async fn every_reply_of_every_header_is_seen() {
    on_each_version(async |node| {
        for name in NAMES {
            let mut seen = Words::new();
            for answer in answers(&Node::start(node.version()).await, name).await {
                assert!(promised(name).contains(&answer.word()), "{}: {answer}", name.as_str());
                assert!(is_understood(name, &answer), "{}: {answer}", name.as_str());
                seen.insert(answer.word());
            }
            assert_eq!(seen, promised(name), "{}", name.as_str());
        }
    })
    .await;
}

/// Whether the crate's own types can read it.
fn is_understood(name: Name, answer: &Reply) -> bool {
    let value = answer.0.clone();
    match name {
        Name::Apply => ApplyReply::parse(value).is_ok(),
        Name::Read => ReadReply::parse(value).is_ok(),
        Name::Settle => SettleReply::parse(value).is_ok(),
        Name::Snapshot if answer.is("SLICE") => Slice::parse(value).is_ok_and(|slice| slice.is_some()),
        Name::Snapshot => SnapshotReply::parse(value).is_ok(),
        Name::Purge if answer.is("PAGE") => purge_page(value).is_ok(),
        Name::Purge => parse_purged(value).is_ok() || answer.is("FENCED") || answer.is("EXPIRED"),
        Name::Bunch if answer.is("BUNCH") => split_bunch(value, &[]).is_ok(),
        Name::Bunch if answer.is("ACK") || answer.is("READ") => true,
        Name::Bunch => ApplyReply::parse(value.clone()).is_ok() || SettleReply::parse(value).is_ok(),
        Name::Copy if answer.is("COPIES") => Copies::parse(value).is_ok(),
        Name::Copy if answer.is("COPIED") => parse_copied(value).is_ok(),
        Name::Adopt if answer.is("DROPPED") => parse_dropped(value).is_ok(),
        Name::Adopt => AdoptReply::parse(value).is_ok(),
        Name::Copy | Name::Stage | Name::Digest | Name::Admit => true,
    }
}

/// Calls that draw every reply of a script.
async fn answers(node: &Node, name: Name) -> Vec<Reply> {
    let mut answers = match name {
        Name::Apply => answers_of_apply(node).await,
        Name::Read => answers_of_read(node).await,
        Name::Settle => answers_of_settle(node).await,
        Name::Snapshot => answers_of_snapshot(node).await,
        Name::Stage => lines(node, name, "k stage", &["list 1 60000 a"]).await,
        Name::Digest => lines(node, name, "", &["scan 0 10", "dirty 0 10", "of"]).await,
        Name::Admit => return answers_of_admit(node).await,
        Name::Purge => answers_of_purge(node).await,
        Name::Copy => answers_of_copy(node).await,
        Name::Adopt => answers_of_adopt(node).await,
        Name::Bunch => answers_of_bunch(node).await,
    };
    let keys = [record("k"), b"k".to_vec()];
    for head in [format!("another {NEVER}"), format!("{FENCE} 1")] {
        answers.push(node.call(name, &keys, &words(&head)).await);
    }
    if name == Name::Stage {
        node.line("CONFIG SET maxmemory 1").await;
        answers.extend(lines(node, name, "k stage", &["list 1 60000 a"]).await);
    }
    answers
}

/// Calls given by what comes after fence and deadline; `keys` are a register and a key.
async fn lines(node: &Node, name: Name, keys: &str, lines: &[&str]) -> Vec<Reply> {
    let mut keys = words(keys);
    if let Some(register) = keys.first_mut() {
        *register = record(&register);
    }
    let mut answers = Vec::new();
    for line in lines {
        answers.push(node.call(name, &keys, &words(&format!("{FENCE} {NEVER} {line}"))).await);
    }
    answers
}

async fn answers_of_apply(node: &Node) -> Vec<Reply> {
    let mut answers = vec![node.op("k", 1, "GET k").await, node.op("k", 2, "SET k v").await];
    answers.push(node.op("k", 1, "GET k").await);
    answers.push(node.apply(&Apply { max_offset_ms: 0, ..Apply::new("k", 3_600_000, "GET k") }).await);
    let at = ballot(2).time_ms() + 1;
    crate::harness::eventually("that time is past", std::time::Duration::from_secs(5), async || {
        node.now_ms().await > at
    })
    .await;
    answers.push(node.apply(&Apply { lowest_expiry_ms: at + 1, ..Apply::new("k", 3, "GET k") }).await);
    node.line("SET stray v").await;
    answers.push(node.op("stray", 3, "GET stray").await);
    node.line("CONFIG SET maxmemory 1").await;
    answers.push(node.op("k", 4, "SET k w").await);
    answers
}

/// Those of the ops within it, too.
async fn answers_of_bunch(node: &Node) -> Vec<Reply> {
    node.line("SET stray v").await;
    node.line("SET anrcho_version:{text} v").await;
    let soon = node.now_ms().await;
    let read = |key: &str| format!("{NEVER} none {} 1,1,0,*, 2 GET {key}", ballot(9).time_ms());
    let op = |number: u64, shape: &str, command: &str| {
        format!("{NEVER} {} {} {shape} {command}", ballot(number), op(number))
    };
    let digest = node.op("held", 1, "SET held v").await.digest();
    let other = "f".repeat(32);
    let confirm = |digest: &str| format!("{NEVER} {} {digest} 0,0,0,*,c", ballot(1));
    let ops = [
        op(1, "1,1,0,*,", "3 SET k v"),
        op(1, "1,1,0,*,", "3 SET k v"),
        op(2, "1,1,0,*,", "2 GET absent"),
        op(3, "1,1,0,*,", "2 GET stray"),
        op(3_600_000, "1,1,0,*,", "2 GET ahead"),
        op(4, &format!("1,1,{soon},*,"), "2 GET soon"),
        op(5, "1,1,0,*,", "2 GET text"),
        op(6, "1,1,0,*,", "2 GET late").replacen(NEVER, "1", 1),
        read("k"),
        confirm(&other),
        confirm(&digest),
        confirm(&other),
    ];
    let names = ["k", "k", "absent", "stray", "ahead", "soon", "text", "late", "k"];
    let mut keys = names.map(|key| [record(key), key.into()]).concat();
    keys.extend([record("held"), record("held"), record("held")]);
    let line = format!("{FENCE} {NEVER} 4096 60000 500 {}", ops.join(" "));
    let mut args = words(&line);
    args.iter_mut().filter(|word| *word == b"none").take(1).for_each(Vec::clear);
    let whole = node.call(Name::Bunch, &keys, &args).await;
    let within: Vec<Value> = match &whole.0 {
        Value::Array(items) => items[1..].to_vec(),
        other => panic!("{other:?}"),
    };
    let answers = within.into_iter().filter(|item| matches!(item, Value::Array(_))).map(Reply);
    // An acknowledgement is a line, and a reply.
    let line = Reply(Value::Array(vec![Value::BulkString(whole.text(1).into_bytes())]));
    assert!(line.word().starts_with("ACK  0 1 "), "{line}");
    let first = |word: &str| Reply(Value::Array(vec![Value::BulkString(word.into())]));
    answers.chain([first("ACK"), first("READ"), whole]).collect()
}

async fn answers_of_read(node: &Node) -> Vec<Reply> {
    let at = node.now_ms().await + 60_000;
    node.apply(&Apply { lowest_expiry_ms: at, ..Apply::new("k", 1, &format!("SET k v PXAT {at}")) }).await;
    let mut answers = vec![node.read("k", "GET k").await, node.read("none", "GET none").await];
    answers.push(node.read_at("k", at, "GET k").await);
    node.line("SET stray v").await;
    answers.push(node.read("stray", "GET stray").await);
    node.line("ACL SETUSER limited on nopass ~* +@all -strlen").await;
    let mut connection = node.server.connection().await;
    redis::cmd("AUTH").arg("limited").arg("any").exec_async(&mut connection).await.expect("the limited user");
    answers.push(read_as(&mut connection).await);
    answers
}

async fn read_as(connection: &mut MultiplexedConnection) -> Reply {
    let mut cmd = Cmd::new();
    cmd.arg("EVALSHA").arg(&script(Name::Read).sha).arg(2).arg(record("k")).arg("k");
    cmd.arg(words(&format!("{FENCE} {NEVER} {} 1 2 STRLEN k", ballot(1).time_ms())));
    Reply(connection.send_packed_command(&cmd).await.expect("an answer"))
}

async fn answers_of_settle(node: &Node) -> Vec<Reply> {
    let digest = node.op("k", 2, "SET k v").await.digest();
    let other = "0123456789abcdef0123456789abcdef";
    let mut answers = Vec::new();
    for settle in [
        Settle::confirm("k", ballot(1), 1, &digest),
        Settle::confirm("k", ballot(2), 1, other),
        Settle::confirm("k", ballot(2), 1, &digest),
        Settle::full("k", ballot(2), 1, other, vec![Key::new("k", "gone", &[])]),
        Settle::full("k", ballot(3), 1, other, vec![Key::new("k", "dump", &["no dump"])]),
    ] {
        answers.push(node.settle(&settle).await);
    }
    answers
}

async fn answers_of_snapshot(node: &Node) -> Vec<Reply> {
    node.op("k", 1, "SET k v").await;
    let mut answers =
        vec![node.snapshot("k", &[], "all 100").await, node.snapshot("k", &["k"], "slice 0 0 10").await];
    answers.push(node.snapshot("none", &[], "all 100").await);
    node.line("DEL k").await;
    answers.push(node.snapshot("k", &[], "all 100").await);
    answers
}

async fn answers_of_purge(node: &Node) -> Vec<Reply> {
    tombstone(node).await;
    let digest = node.op("k", 3, "GET k").await.digest();
    let drop = format!("drop 2 {digest} {}", ballot(2));
    let mut answers = lines(node, Name::Purge, "", &["scan 0 10"]).await;
    answers.extend(lines(node, Name::Purge, "k", &["of", &drop]).await);
    node.settle(&Settle::confirm("k", ballot(3), 3, &digest)).await;
    let drop = format!("drop 3 {digest} {}", ballot(3));
    answers.extend(lines(node, Name::Purge, "k", &[&drop, "of"]).await);
    answers
}

async fn answers_of_copy(node: &Node) -> Vec<Reply> {
    node.op("k", 1, "SET k v").await;
    let copies = node.copies(&[]).await;
    let mut answers = vec![node.take(&copies).await];
    node.line("HSET anrcho_node role joining").await;
    answers.extend([node.take(&copies).await, copies]);
    answers
}

async fn answers_of_adopt(node: &Node) -> Vec<Reply> {
    node.line("MSET k v stray w").await;
    let list = |number| format!("list {} {} 0", ballot(number), op(number));
    let mut answers = lines(node, Name::Adopt, "k k", &[&list(2)]).await;
    node.line("HSET anrcho_node role adopting").await;
    answers.extend(lines(node, Name::Adopt, "k k", &[&list(2), &list(2)]).await);
    node.line("PEXPIRE k 100000").await;
    answers.extend(lines(node, Name::Adopt, "k k", &[&list(1)]).await);
    answers.extend(lines(node, Name::Adopt, "stray stray", &["drop"]).await);
    node.line("CONFIG SET maxmemory 1").await;
    answers.extend(lines(node, Name::Adopt, "k k", &[&list(3)]).await);
    answers
}

/// A register that was deleted longer ago than the purge age.
async fn tombstone(node: &Node) {
    node.op("k", 1, "SET k v").await;
    node.op("k", 2, "DEL k").await;
    node.line("HSET anrcho_node purge_age_ms 1").await;
    let at = ballot(3).time_ms() + 1_001;
    let soon = std::time::Duration::from_secs(5);
    crate::harness::eventually("that time is past", soon, async || node.now_ms().await > at).await;
}

#[tokio::test]
async fn a_node_without_a_record_takes_no_ballot_that_is_older_than_the_purge_age() {
    on_each_version(async |node| {
        tombstone(node).await;
        let digest = node.op("k", 3, "GET k").await.digest();
        let other = node.unchanged(node.op("other", 3, "SET other v")).await;
        assert!(other.is("EXPIRED"), "{other}");
        let state = vec![Key::new("other", "string", &["v"])];
        let other = node.unchanged(node.settle(&Settle::full("other", ballot(3), 1, &digest, state))).await;
        assert!(other.is("EXPIRED"), "{other}");
        assert!(
            node.settle(&Settle::confirm("k", ballot(3), 3, &digest)).await.is("SETTLED"),
            "it has a record"
        );
    })
    .await;
}

async fn answers_of_admit(node: &Node) -> Vec<Reply> {
    let fresh = Node::unclaimed(node.version()).await;
    fresh.line("SET k v").await;
    let mut answers = vec![fresh.admit(&["claim", "c", "n", "n", "run"]).await];
    for line in ["look", "claim other node node run", "epoch node 2 f2", "epoch node 2 f2"] {
        answers.push(node.admit(&line.split(' ').collect::<Vec<_>>()).await);
    }
    node.line("CONFIG SET maxmemory 1").await;
    answers.push(node.admit(&["epoch", "node", "3", "f3"]).await);
    answers
}

#[tokio::test]
async fn a_node_caches_eleven_scripts_however_many_calls_it_gets() {
    on_each_version(async |node| {
        for number in 1..=300 {
            let key = format!("k{number}");
            let apply = Apply {
                state_limit: usize::try_from(number).expect("small"),
                ..Apply::new(&key, number, &format!("SET {key} {number}"))
            };
            let digest = node.apply(&apply).await.digest();
            node.settle(&Settle::confirm(&key, ballot(number), 1, &digest)).await;
            node.read(&key, &format!("GET {key}")).await;
            node.snapshot(&key, &[], &format!("all {number}")).await;
        }
        let info = node.line("INFO memory").await;
        assert!(info.contains("number_of_cached_scripts:11\r\n"), "{info}");
    })
    .await;
}

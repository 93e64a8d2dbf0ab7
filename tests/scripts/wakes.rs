//! Flag `w` of `apply`, and `settle`: who waits for a register is told, and no script fails for it.

use futures_util::StreamExt;
use redis::aio::PubSub;

use super::support::*;

const OTHER: &str = "0123456789abcdef0123456789abcdef";

async fn listen(node: &Node) -> PubSub {
    let client = redis::Client::open(node.server.url()).expect("a URL");
    let mut pubsub = client.get_async_pubsub().await.expect("a connection that listens");
    pubsub.psubscribe("*").await.expect("PSUBSCRIBE");
    pubsub
}

/// What was published until now.
async fn heard(node: &Node, pubsub: &mut PubSub) -> Vec<String> {
    node.line("PUBLISH end x").await;
    let mut messages = pubsub.on_message();
    let mut all = Vec::new();
    loop {
        let message = messages.next().await.expect("a message");
        if message.get_channel_name() == "end" {
            return all;
        }
        let version: String = message.get_payload().expect("a text");
        all.push(format!("{} {version}", message.get_channel_name()));
    }
}

#[tokio::test]
async fn an_op_with_the_flag_tells_who_waits_and_none_without_it() {
    on_each_version(async |node| {
        let mut pubsub = listen(node).await;
        node.op("k", 1, "RPUSH k a").await;
        assert!(heard(node, &mut pubsub).await.is_empty());
        node.apply(&Apply::new("k", 2, "RPUSH k b").flags("kw")).await;
        node.apply(&Apply::new("t", 1, "RPUSH {t}a b").flags("w")).await;
        assert_eq!(heard(node, &mut pubsub).await, ["anrcho_wake:{k} 2", "anrcho_wake:{t} 1"]);
        // A retry, an op that fails and one that is refused change nothing.
        node.apply(&Apply { op: op(2), ..Apply::new("k", 3, "RPUSH k b").flags("w") }).await;
        node.apply(&Apply::new("k", 4, "SADD k b").flags("w")).await;
        node.apply(&Apply::new("k", 1, "RPUSH k b").flags("w")).await;
        assert!(heard(node, &mut pubsub).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_settle_with_a_state_tells_and_a_confirmation_does_not() {
    on_each_version(async |node| {
        let mut pubsub = listen(node).await;
        let digest = node.op("k", 1, "RPUSH k a").await.digest();
        node.settle(&Settle::confirm("k", ballot(1), 1, &digest)).await;
        assert!(heard(node, &mut pubsub).await.is_empty());
        let full = Settle::full("k", ballot(2), 7, OTHER, vec![Key::new("k", "list", &["x", "y"])]);
        assert_eq!(node.settle(&full).await.to_string(), "[SETTLED]");
        assert_eq!(heard(node, &mut pubsub).await, ["anrcho_wake:{k} 7"]);
    })
    .await;
}

#[tokio::test]
async fn an_op_whose_user_may_not_publish_succeeds_all_the_same() {
    on_each_version(async |node| {
        node.line("ACL SETUSER default resetchannels").await;
        let done = node.apply(&Apply::new("k", 1, "RPUSH k a").flags("w")).await;
        assert_eq!(done.word(), "ACK");
        let full = Settle::full("k", ballot(2), 7, OTHER, vec![Key::new("k", "list", &["x", "y"])]);
        assert_eq!(node.settle(&full).await.to_string(), "[SETTLED]");
        assert_eq!(node.line("LRANGE k 0 -1").await, "[x y]");
    })
    .await;
}

/// A try as a blocking command makes it, on keys of register `t`.
fn take(number: u64, words_of_it: &str, keys: &[&str]) -> Apply {
    let keys: Vec<Bytes> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    let mut command: Vec<Bytes> =
        words_of_it.split(' ').map(|word| word.replace('-', "").into_bytes()).collect();
    command.extend(keys.iter().cloned());
    Apply { user_keys: Some(keys), ..Apply::of("t", number, vec![command]) }
}

#[tokio::test]
async fn a_try_takes_from_the_first_key_that_has_something() {
    on_each_version(async |node| {
        node.op("t", 1, "RPUSH {t}l a b c d;ZADD {t}z 1 x 2 y").await;
        for (number, words_of_it, keys, expected) in [
            (2, "TAKE LLEN LPOP - - -", &["{t}none", "{t}l", "{t}z"][..], "[{t}l a]"),
            (3, "TAKE LLEN RPOP 2 - 1", &["{t}l"], "[[{t}l [d c]] 1]"),
            (4, "TAKE ZCARD ZPOPMIN - - 1", &["{t}z"], "[[{t}z x 1] 1]"),
            (5, "TAKE ZCARD ZPOPMAX 9 - -", &["{t}z"], "[{t}z [[y 2]]]"),
            (6, "TAKEMOVE - 1 LMOVE", &["{t}l", "{t}m"], "!"),
            (7, "TAKEMOVE - 1 RPOPLPUSH", &["{t}l", "{t}m"], "[b 0]"),
        ] {
            let done = node.apply(&take(number, words_of_it, keys)).await.to_string();
            assert!(done.contains(&format!(" [{expected}")), "{words_of_it}: {done}");
        }
        assert_eq!(node.line("LRANGE {t}m 0 -1").await, "[b]");
    })
    .await;
}

#[tokio::test]
async fn a_try_in_vain_changes_nothing_but_the_promise() {
    on_each_version(async |node| {
        let tries = [
            ("TAKE LLEN LPOP - - 1", &["{t}none"][..]),
            ("TAKE LLEN LPOP - 1 -", &["{t}string"]),
            ("TAKEMOVE - - RPOPLPUSH", &["{t}none", "{t}m"]),
            ("TAKEMOVE 1 - RPOPLPUSH", &["{t}string", "{t}m"]),
        ];
        assert_eq!(node.apply(&take(1, tries[0].0, tries[0].1)).await.to_string(), "[ABSENT [nil]]");
        let before = node.op("t", 2, "SET {t}string v").await;
        for (number, (words_of_it, keys)) in (3..).zip(tries) {
            let done = node.apply(&take(number, words_of_it, keys)).await;
            assert_eq!(done.digest(), before.digest(), "{words_of_it}");
            assert!(done.to_string().contains(" [nil] "), "{words_of_it}: {done}");
        }
        let wrong = node.apply(&take(9, "TAKE LLEN LPOP - - -", &["{t}none", "{t}string"])).await;
        assert!(wrong.to_string().contains("!WRONGTYPE"), "{wrong}");
        assert_eq!(wrong.digest(), before.digest());
    })
    .await;
}

//! `copy`: many registers from one node to another in two calls.

use super::support::*;
use crate::harness::Version;

use anarchoredis::script::Name;

impl Node {
    /// What the node gives of these registers, or of all.
    pub async fn copies(&self, registers: &[&str]) -> Reply {
        let records: Vec<Bytes> = registers.iter().map(record).collect();
        let scan = if registers.is_empty() { " 0 1000" } else { "" };
        let args = words(&format!("{FENCE} {NEVER} out 100000{scan}"));
        self.unchanged(self.call(Name::Copy, &records, &args)).await
    }

    /// What it says to copies.
    pub async fn take(&self, copies: &Reply) -> Reply {
        let mut args = words(&format!("{FENCE} {NEVER} in"));
        args.push(copies.bytes(3));
        self.call(Name::Copy, &[], &args).await
    }

    async fn joins(self) -> Node {
        self.line("HSET anrcho_node role joining").await;
        self
    }

    /// All keys but those that tell who it is.
    async fn data(&self) -> std::collections::BTreeMap<Bytes, String> {
        let mut all = self.keyspace().await;
        all.retain(|key, _| key != b"anrcho_node" && key != b"anrcho_fence");
        all
    }
}

#[tokio::test]
async fn a_clone_is_the_record_and_its_values_in_every_form() {
    on_each_version(async |node| {
        let at = node.now_ms().await + 600_000;
        let expires = format!("SET {{m}}c v PXAT {at}");
        for (number, (register, commands)) in (1..).zip([
            ("s", "SET s v"),
            ("l", "RPUSH l a b a"),
            ("h", "HSET h f 1 g 2"),
            ("e", "SADD e x y 7"),
            ("z", "ZADD z 1.5 a -2 b"),
            ("m", "SET {m}a 1; SADD {m}b x; HSET {m}d f v"),
            ("gone", "SET gone v"),
        ]) {
            node.op(register, number, commands).await;
        }
        node.apply(&Apply { lowest_expiry_ms: at, ..Apply::new("m", 20, &expires) }).await;
        node.op("gone", 21, "DEL gone").await;
        node.apply(&Apply::new("promised", 22, "GET promised").flags("kr")).await;
        let digest = node.op("s", 23, "APPEND s w").await.digest();
        node.settle(&Settle::confirm("s", ballot(23), 2, &digest)).await;
        let copies = node.copies(&[]).await;
        let other = Node::start(node.version()).await.joins().await;
        assert_eq!(other.take(&copies).await.to_string(), "[COPIED 8]");
        assert_eq!(other.data().await, node.data().await);
        assert_eq!(other.take(&copies).await.to_string(), "[COPIED 0]", "it has them");
        for version in Version::ALL {
            let other = Node::start(version).await.joins().await;
            assert_eq!(other.take(&copies).await.to_string(), "[COPIED 8]", "on {version}");
            assert_eq!(other.line("ZRANGE z 0 -1 WITHSCORES").await, "[b -2 a 1.5]");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_settle_brought_is_replaced_by_an_older_copy() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k old").await;
        let copies = node.copies(&["k"]).await;
        let other = Node::start(node.version()).await.joins().await;
        let newer = Settle::full("k", ballot(2), 2, &"a".repeat(32), vec![Key::new("k", "string", &["new"])]);
        other.settle(&newer).await;
        assert_eq!(other.unchanged(other.take(&copies)).await.to_string(), "[COPIED 0]");
        // A higher promise alone is one that this copy's voter may not have made.
        let promised = Node::start(node.version()).await.joins().await;
        promised.apply(&Apply::new("k", 5, "GET k").flags("kr")).await;
        assert_eq!(promised.unchanged(promised.take(&copies)).await.to_string(), "[COPIED 0]");
    })
    .await;
}

#[tokio::test]
async fn what_a_node_held_before_goes_with_all_its_keys() {
    on_each_version(async |node| {
        let other = Node::start(node.version()).await;
        other.op("m", 1, "SET {m}lost v; RPUSH {m}list a").await;
        let other = other.joins().await;
        node.op("m", 2, "SET {m}kept v").await;
        assert_eq!(other.take(&node.copies(&["m"]).await).await.to_string(), "[COPIED 1]");
        assert_eq!(other.data().await, node.data().await);
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_or_has_no_plain_form_is_left_to_the_sweep() {
    on_each_version(async |node| {
        node.op("long", 1, &format!("SET long {}", "v".repeat(70_000))).await;
        let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
        node.op("many", 2, &format!("RPUSH many {}", many.join(" "))).await;
        node.op("stream", 3, "XADD stream 1-1 f v").await;
        let keys: Vec<String> = (0..250).map(|number| format!("SET {{keys}}{number} v")).collect();
        node.op("keys", 4, &keys.join("; ")).await;
        node.op("lost", 5, "SET lost v").await;
        node.line("DEL lost").await;
        node.line("SET anrcho_version:{foreign} text").await;
        node.op("small", 6, "SET small v").await;
        let copies = node.copies(&[]).await;
        assert_eq!(copies.text(2), "1", "the small one alone");
        assert!(copies.item(4).items().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_call_ends_at_its_limit_and_says_what_is_left() {
    on_each_version(async |node| {
        for number in 1..=20 {
            node.op(&format!("r{number}"), number, &format!("SET r{number} {}", "v".repeat(1_000))).await;
        }
        let args = words(&format!("{FENCE} {NEVER} out 5000 0 1000"));
        let page = node.call(Name::Copy, &[], &args).await;
        let given: usize = page.text(2).parse().expect("a number");
        assert!((1..20).contains(&given), "{given}");
        assert_eq!(page.item(4).items().len(), 20 - given);
    })
    .await;
}

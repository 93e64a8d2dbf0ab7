//! `digest`: what a sweep compares, page by page.

use std::collections::BTreeMap;

use anarchoredis::script::Name;

use super::support::*;

/// Pages of 10 until the last one; by register, the rest of the row.
async fn all(node: &Node, what: &str) -> BTreeMap<String, String> {
    let (mut cursor, mut rows) = ("0".to_owned(), BTreeMap::new());
    loop {
        let args = words(&format!("{FENCE} {NEVER} {what} {cursor} 10"));
        let before = node.writes().await;
        let page = node.call_read_only(Name::Digest, &[], &args).await;
        assert!(page.is("PAGE"), "{page}");
        assert_eq!(node.writes().await, before);
        for row in page.item(2).items() {
            let rest: Vec<String> = row.items()[1..].iter().map(Reply::to_string).collect();
            rows.insert(row.text(0), rest.join(" "));
        }
        cursor = page.text(1);
        if cursor == "0" {
            return rows;
        }
    }
}

#[tokio::test]
async fn a_scan_finds_every_register_with_its_history_tombstones_and_bare_promises_too() {
    on_each_version(async |node| {
        let mut expected = BTreeMap::new();
        for number in 1..=50 {
            let register = format!("r{number}");
            let digest = node.op(&register, number, &format!("SET {register} v")).await.digest();
            expected.insert(register, format!("1 {digest} {} ''", ballot(number)));
        }
        let gone = node.op("r50", 51, "DEL r50").await.digest();
        expected.insert("r50".into(), format!("2 {gone} {} ''", ballot(51)));
        node.apply(&Apply::new("{", 52, "GET {").flags("kr")).await;
        expected.insert("{".into(), format!("0 '' {} ''", ballot(52)));
        let tagged = node.op("a}b", 53, "SET a}b v").await.digest();
        node.settle(&Settle::confirm("a}b", ballot(54), 1, &tagged)).await;
        expected.insert("a}b".into(), format!("1 {tagged} {0} {0}", ballot(54)));
        node.line("SET stranger v").await;
        assert_eq!(all(node, "scan").await, expected);
    })
    .await;
}

#[tokio::test]
async fn given_records_are_answered_one_by_one_in_order() {
    on_each_version(async |node| {
        let digest = node.op("b", 1, "SET b v").await.digest();
        let keys = ["a", "b", "c"].map(record);
        let page = node
            .unchanged(node.call_read_only(Name::Digest, &keys, &words(&format!("{FENCE} {NEVER} of"))))
            .await;
        let rows = format!("[[a '' '' '' ''] [b 1 {digest} {} ''] [c '' '' '' '']]", ballot(1));
        assert_eq!(page.to_string(), format!("[PAGE 0 {rows}]"));
    })
    .await;
}

#[tokio::test]
async fn the_dirty_set_is_paged_and_an_entry_goes_only_if_it_was_not_marked_again() {
    on_each_version(async |node| {
        assert!(all(node, "dirty").await.is_empty());
        let mut expected = BTreeMap::new();
        // More than a server keeps in a compact form that it always gives whole.
        for number in 1..=600 {
            let register = format!("r{number}");
            let settle = Settle { dirty: true, ..Settle::confirm(&register, ballot(1), 0, "") };
            node.settle(&settle).await;
            expected.insert(register, ballot(1).to_string());
        }
        assert_eq!(all(node, "dirty").await, expected);
        let again = Settle { dirty: true, ..Settle::confirm("r1", ballot(2), 0, "") };
        node.settle(&again).await;
        let first = ballot(1).to_string();
        for register in ["r1", "r2"] {
            assert_eq!(node.admit(&["clean", FENCE, register, &first]).await.to_string(), "[OK]");
        }
        expected.remove("r2");
        assert_eq!(node.admit(&["mark", FENCE, "r3", &ballot(3).to_string()]).await.to_string(), "[OK]");
        expected.insert("r3".into(), ballot(3).to_string());
        expected.insert("r1".into(), ballot(2).to_string());
        assert_eq!(all(node, "dirty").await, expected);
    })
    .await;
}

//! A push to a list, by the list's length.

use super::place;
use crate::bench::Bench;
use crate::contender::{Contender, Kind};
use crate::load::Load;
use crate::record::Place;
use crate::site::Site;
use crate::workload::{Operation, Workload};
use anarchoredis::Client;

/// Elements of a list, and how many such lists: short ones would not stay short if there were few.
const LENGTHS: [(usize, usize); 3] = [(10, 64), (1_000, 64), (100_000, 4)];
/// Elements of one command.
const CHUNK: usize = 2_000;
const ELEMENT: [u8; 100] = [b'x'; 100];

pub fn at(length: usize) -> Place {
    Place { condition: format!("{length} elements"), ..place("large", Workload::Push, 100, 1) }
}

pub async fn run(bench: &mut Bench, site: &Site) {
    let Some(ours) = site.contender(Kind::Ours).await else { return };
    for round in 0..bench.rounds {
        for (length, lists) in LENGTHS {
            let prefix = format!("lists-of-{length}");
            // A few hundred more are nothing to the longest.
            if round == 0 || length < CHUNK {
                make(&site.client, &prefix, length, lists).await;
            }
            let contender: Contender = ours.with_prefix(&prefix);
            let load = Load { keys: lists, ..bench.load(Workload::Push, 100, 1) };
            let measure = bench.measure(&at(length), &load, &contender, &contender.servers).await;
            bench.note(&at(length), "ours", measure);
        }
    }
    for (length, _) in LENGTHS {
        crate::table::print(&at(length), &bench.cells);
    }
}

async fn make(client: &Client, prefix: &str, length: usize, lists: usize) {
    for number in 0..lists {
        let key = format!("{prefix}:{}:{number}", Operation::Push.family());
        client.run_cmd(redis::cmd("DEL").arg(&key)).await.expect("DEL");
        for first in (0..length).step_by(CHUNK) {
            let mut push = redis::cmd("RPUSH");
            push.arg(&key);
            (first..length.min(first + CHUNK)).for_each(|_| {
                push.arg(&ELEMENT);
            });
            client.run_cmd(&push).await.expect("RPUSH");
        }
    }
}

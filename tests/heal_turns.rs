//! Healers that run by themselves take turns: in virtual time, over model servers, so that hours cost nothing.

mod command_support;
mod linearizable;
mod server_model;
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use anarchoredis::Client;
use anarchoredis::heal::{Daemon, Settings};
use anarchoredis::node::Seat;
use simulated::faults::addresses;
use simulated::host::Comeback;
use simulated::run::config_of;
use simulated::weather::Weather;
use simulated::wire::Party;
use simulated::world::World;
use tokio::time::Instant;

const HEALERS: usize = 3;
const HOUR: Duration = Duration::from_secs(3_600);

fn in_virtual_time<T>(test: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime").block_on(test())
}

/// Clients of a store with this many registers, one for each healer.
async fn clients(world: &Arc<World>, keys: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for place in 0..HEALERS {
        let party = Arc::new(Party::new(world, place));
        let builder = Client::builder().nodes(addresses(world.weather.nodes)).config(config_of(party));
        clients.push(builder.connect().await.expect("a client"));
    }
    for number in 0..keys {
        let key = format!("key:{number}");
        clients[0].run(&[b"SET", key.as_bytes(), b"1"]).await.expect("a write");
    }
    clients
}

fn votes(client: &Client) -> usize {
    client.nodes().iter().filter(|node| matches!(node.seat, Seat::Voter(_))).count()
}

/// Under which epoch the first node votes: each pass over a node that does not vote begins one.
fn epoch(world: &World) -> u64 {
    let now_us = world.now_us();
    match world.host(0).run(now_us, &[b"HGET", b"anrcho_node", b"epoch"]) {
        redis::Value::BulkString(text) => String::from_utf8_lossy(&text).parse().expect("an epoch"),
        other => panic!("{other:?}"),
    }
}

/// How long it takes until it is so.
async fn until(what: &str, at_most: Duration, is_so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < at_most, "{what}: not within {at_most:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    began.elapsed()
}

async fn stop(daemons: Vec<Daemon>) {
    for daemon in daemons {
        daemon.stop().await;
    }
}

/// So slow that a page takes minutes; what a node lacks is there long before all is compared.
fn slow() -> Settings {
    Settings { keys_per_second: 2, ..Settings::default() }
}

/// Found by reading: they knew only how many keys a node lacks, and took its filling over from each other for ever.
#[test]
fn a_pass_that_takes_an_hour_is_left_to_the_healer_that_began_it() {
    for seed in 1..3 {
        in_virtual_time(async || {
            let world = World::in_weather(seed, Weather { fsyncs: true, ..Weather::fair(3, HEALERS) });
            let clients = clients(&world, 700).await;
            let before = epoch(&world);
            world.host(2).kill();
            world.host(2).start(Comeback::Empty);
            let daemons = clients.iter().map(|client| client.healer().run(slow())).collect();
            until("the loss is found out", HOUR, || votes(&clients[0]) == 2).await;
            let took = until("all nodes vote again", 24 * HOUR, || votes(&clients[0]) == 3).await;
            assert!(
                took > 10 * Duration::from_secs(60),
                "it took {took:?}: too little to get into each other's way"
            );
            assert!(epoch(&world) <= before + 2, "seed {seed}: {} passes began", epoch(&world) - before);
            stop(daemons).await;
        });
    }
}

#[test]
fn a_pass_whose_healer_died_is_taken_over_within_seconds() {
    for seed in 1..3 {
        in_virtual_time(async || {
            let world = World::in_weather(seed, Weather { fsyncs: true, ..Weather::fair(3, HEALERS) });
            let clients = clients(&world, 300).await;
            let before = epoch(&world);
            world.host(2).kill();
            world.host(2).start(Comeback::Empty);
            let slow = clients[0].healer().run(slow());
            until("a pass began", HOUR, || epoch(&world) > before).await;
            let quick = clients[1].healer().run(Settings::default());
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert_eq!(epoch(&world), before + 1, "it is left alone");
            // As if its process had been killed: nothing of it comes through any more.
            (0..3).for_each(|host| world.set_link(0, host, simulated::world::Link::Cut));
            let took = until("all nodes vote again", HOUR, || votes(&clients[1]) == 3).await;
            assert!(took < Duration::from_secs(60), "seed {seed}: it took {took:?}");
            drop(slow);
            quick.stop().await;
        });
    }
}

/// What failed may succeed once a node has come or gone: that is not the time to rest as long as after many failures.
#[test]
fn however_often_passes_have_failed_a_node_that_comes_back_ends_the_rest() {
    for seed in 1..3 {
        in_virtual_time(async || {
            let world = World::in_weather(seed, Weather { fsyncs: true, ..Weather::fair(5, HEALERS) });
            let clients = clients(&world, 50).await;
            world.host(3).kill();
            world.host(4).kill();
            world.host(4).start(Comeback::Empty);
            let daemon = clients[0].healer().run(Settings::default());
            // Whether it is node 3 or node 4 that lost its data cannot be told while node 3 is away: passes fail.
            tokio::time::sleep(HOUR / 4).await;
            assert_eq!(votes(&clients[0]), 3);
            world.host(3).start(Comeback::Intact);
            let took = until("all nodes vote again", HOUR, || votes(&clients[0]) == 5).await;
            assert!(took < Duration::from_secs(15), "seed {seed}: it took {took:?}");
            daemon.stop().await;
        });
    }
}

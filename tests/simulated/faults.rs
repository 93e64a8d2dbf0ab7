//! What goes wrong, when, and for how long. Nodes forget one at a time: the next one only when the last was filled again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anarchoredis::heal::{Healer, Silent};
use redis::Value;

use super::host::Comeback;
use super::run::config_of;
use super::wire::Party;
use super::world::{Link, World};

/// How long one fault holds at most, in ms.
const LONGEST_MS: u64 = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Stand,
    Isolate,
    CutOne,
    HoldRequests,
    HoldAnswers,
    FlushAll,
    FlushScripts,
    StepClock,
    Save,
    Heal,
}

const FAULTS: [Fault; 14] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Stand,
    Fault::Stand,
    Fault::Isolate,
    Fault::CutOne,
    Fault::HoldRequests,
    Fault::HoldAnswers,
    Fault::FlushAll,
    Fault::FlushScripts,
    Fault::StepClock,
    Fault::Save,
    Fault::Save,
    Fault::Heal,
];

/// Makes things go wrong until nobody works any more.
pub async fn nemesis(world: Arc<World>, working: Arc<AtomicUsize>) {
    if world.weather.fault_ms == 0 {
        return;
    }
    let mut under_way = tokio::task::JoinSet::new();
    while working.load(Ordering::Relaxed) > 0 {
        let pause = world.rng().within(1..world.weather.fault_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= world.weather.faults_at_once {
            under_way.join_next().await;
        }
        let (fault, host, for_ms) = {
            let mut rng = world.rng();
            (rng.pick(&FAULTS), rng.below(world.weather.nodes as u64) as usize, rng.within(5..LONGEST_MS))
        };
        let lasting = Duration::from_millis(for_ms);
        world.note(|| format!("{fault:?} of node{host} for {for_ms} ms"));
        let world = Arc::clone(&world);
        under_way.spawn(async move { happen(&world, fault, host, lasting).await });
    }
    while under_way.join_next().await.is_some() {}
}

async fn happen(world: &Arc<World>, fault: Fault, host: usize, lasting: Duration) {
    match fault {
        Fault::Kill => kill(world, host, lasting).await,
        Fault::Stand => {
            let until = world.now_us() + u64::try_from(lasting.as_micros()).expect("seconds");
            world.host(host).stands_until_us = until;
            tokio::time::sleep(lasting).await;
        }
        Fault::Isolate => linked(world, 0..world.weather.coordinators, host, Link::Cut, lasting).await,
        Fault::CutOne => of_one(world, host, Link::Cut, lasting).await,
        Fault::HoldRequests => of_one(world, host, Link::RequestsHeld, lasting).await,
        Fault::HoldAnswers => of_one(world, host, Link::AnswersHeld, lasting).await,
        Fault::FlushAll if may_forget(world, host) => {
            let now_us = world.now_us();
            world.host(host).run(now_us, &[b"FLUSHALL"]);
        }
        Fault::FlushAll => {}
        Fault::FlushScripts => {
            let now_us = world.now_us();
            world.host(host).run(now_us, &[b"SCRIPT", b"FLUSH"]);
        }
        Fault::StepClock => {
            let skew_us = world.weather.skew_ms * 1_000;
            let offset = world.rng().below(2 * skew_us + 1) as i64 - skew_us as i64;
            world.host(host).offset_us = offset;
        }
        Fault::Save => world.host(host).save(),
        Fault::Heal => {
            heal(world).await;
        }
    }
}

async fn of_one(world: &Arc<World>, host: usize, link: Link, lasting: Duration) {
    let party = world.rng().below(world.weather.coordinators as u64) as usize;
    linked(world, party..party + 1, host, link, lasting).await;
}

async fn linked(world: &World, parties: std::ops::Range<usize>, host: usize, link: Link, lasting: Duration) {
    parties.clone().for_each(|party| world.set_link(party, host, link));
    tokio::time::sleep(lasting).await;
    parties.for_each(|party| world.set_link(party, host, Link::Up));
}

async fn kill(world: &Arc<World>, host: usize, lasting: Duration) {
    // A server that does not fsync is taken for one that forgot, whatever it has.
    let forgets = !world.weather.fsyncs || world.control.lies_about_disks();
    if forgets && !may_forget(world, host) || !world.host(host).is_up {
        return;
    }
    world.host(host).kill();
    tokio::time::sleep(lasting).await;
    let comeback = match forgets {
        true if world.control.lies_about_disks() => Comeback::Older,
        true => world.rng().pick(&[Comeback::Intact, Comeback::Older, Comeback::Empty]),
        false => Comeback::Intact,
    };
    world.note(|| format!("node{host} comes back {comeback:?}"));
    world.host(host).start(comeback);
    if forgets && world.rng().permille(700) {
        heal(world).await;
    }
}

/// Whether this node may forget what it holds: all the others vote, under one epoch, and remember everything.
fn may_forget(world: &World, host: usize) -> bool {
    if world.control.forgets_at_will() {
        return true;
    }
    let epochs: Vec<Option<Vec<u8>>> = (0..world.weather.nodes)
        .filter(|other| *other != host)
        .map(|other| voting_epoch(world, other))
        .collect();
    let own = voting_epoch(world, host);
    own.is_some() && epochs.iter().all(|epoch| *epoch == own)
}

/// The epoch under which a node votes; none where it does not, or may not when it is asked next.
fn voting_epoch(world: &World, place: usize) -> Option<Vec<u8>> {
    let now_us = world.now_us();
    let mut host = world.host(place);
    let field = |host: &mut super::host::Host, name: &[u8]| match host
        .run(now_us, &[b"HGET", b"anrcho_node", name])
    {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    let votes = field(&mut host, b"role").as_deref() == Some(b"voter");
    let same_run = field(&mut host, b"run_id") == Some(host.run_id().into_bytes());
    let remembers = host.is_up && votes && (same_run || host.fsyncs);
    remembers.then(|| field(&mut host, b"epoch")).flatten()
}

/// A pass of the healer; says whether all nodes vote and hold the same.
pub async fn heal(world: &Arc<World>) -> bool {
    if let Some(healer) = world.healer.get() {
        healer(Arc::clone(world)).await;
        return true;
    }
    let party = Arc::new(Party::new(world, world.weather.coordinators));
    let healer = Healer::connect(addresses(world.weather.nodes), config_of(party)).await;
    let Ok(healer) = healer else { return false };
    let ended = healer.once(&Silent).await;
    world.note(|| format!("a heal pass ends: {ended:?}"));
    ended.is_ok_and(|summary| summary.complete)
}

pub fn addresses(nodes: usize) -> Vec<String> {
    (0..nodes).map(|host| format!("redis://node{host}:6379")).collect()
}

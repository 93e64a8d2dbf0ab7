//! One run: a world, its clients, its faults, and the judgement.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anarchoredis::surroundings::Surroundings;
use anarchoredis::{Client, Config};

use super::control::Control;
use super::faults::{addresses, heal, nemesis};
use super::history::{Counts, History};
use super::judge::{content, judge};
use super::rng::Rng;
use super::wire::Party;
use super::workload::{Store, Worker, keys, last_words, registers};
use super::world::World;
use crate::linearizable::Verdict;

/// How often the nodes are healed at the end before the run gives up on them.
const HEALS: usize = 12;

/// How often a client tries to connect.
const CONNECTS: usize = 20;

/// What one run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub counts: Counts,
    /// Registers whose history was judged.
    pub histories: u64,
    /// Histories that the checker could not judge within its budget.
    pub undecided: u64,
    pub virtual_us: u64,
    /// What must not happen, and did.
    pub violation: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, control: Control) -> Report {
    in_virtual_time(seed, control, false).0
}

/// Runs one seed and tells what happened, line by line.
pub fn trace(seed: u64, control: Control) -> (Report, String) {
    in_virtual_time(seed, control, true)
}

fn in_virtual_time(seed: u64, control: Control, traced: bool) -> (Report, String) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, control, traced);
        let report = live(&world).await;
        (report, world.lines())
    })
}

async fn live(world: &Arc<World>) -> Report {
    let mut report = Report::default();
    let history = Arc::new(History::default());
    let mut clients = Vec::new();
    for place in 0..world.weather.coordinators {
        clients.extend(connect(world, place).await);
    }
    if !clients.is_empty() {
        work(world, &history, &clients).await;
        report.violation = at_the_end(world, &history, &clients[0]).await;
    }
    drop(clients);
    report.counts = history.counts();
    report.virtual_us = world.now_us() - super::EPOCH_US;
    let history = Arc::try_unwrap(history).expect("nobody works any more");
    pass_judgement(world, history, &mut report);
    report
}

/// A client of a coordinator of its own; none where the network breaks every try.
async fn connect(world: &Arc<World>, place: usize) -> Option<Client> {
    let party = Arc::new(Party::new(world, place));
    for _ in 0..CONNECTS {
        let builder = Client::builder().nodes(addresses(world.weather.nodes));
        match builder.config(config_of(party.clone())).connect().await {
            Ok(client) => return Some(client),
            Err(error) => world.note(|| format!("party {place} cannot connect: {error}")),
        }
    }
    None
}

/// Clients work and things go wrong until all of the work is done.
pub async fn work<S: Store>(world: &Arc<World>, history: &Arc<History>, clients: &[S]) {
    let working = Arc::new(AtomicUsize::new(clients.len() * world.weather.tasks));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..clients.len() * world.weather.tasks {
        let worker = Worker {
            world: Arc::clone(world),
            history: Arc::clone(history),
            client: clients[number % clients.len()].clone(),
            number,
            rng: Rng::new(world.rng().next()),
            working: Arc::clone(&working),
        };
        tasks.spawn(worker.work());
    }
    tasks.spawn(nemesis(Arc::clone(world), working));
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
}

/// Everything is up again: the nodes become alike, and every register is read once more.
pub async fn at_the_end<S: Store>(world: &Arc<World>, history: &Arc<History>, client: &S) -> Option<String> {
    world.calm_down();
    let mut healed = false;
    for _ in 0..HEALS {
        healed = heal(world).await;
        if healed {
            break;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    if !healed {
        return Some("the nodes do not become alike".to_owned());
    }
    let reader = Worker {
        world: Arc::clone(world),
        history: Arc::clone(history),
        client: client.clone(),
        number: 1_000,
        rng: Rng::new(0),
        working: Arc::default(),
    };
    for register in registers(world.weather.keys) {
        for words in last_words(&register) {
            reader.say(&register, &words).await;
        }
    }
    differing(world)
}

/// What two nodes hold that were healed, and is not alike.
fn differing(world: &World) -> Option<String> {
    // Long after every expiry of the run.
    let now_us = world.now_us() + 60_000_000;
    for key in registers(world.weather.keys).flat_map(|register| keys(&register)) {
        let held: Vec<String> = (0..world.weather.nodes)
            .map(|host| content(&mut world.host(host).server.clone(), now_us, key.as_bytes()))
            .collect();
        if held.iter().any(|other| *other != held[0]) {
            return Some(format!("nodes hold {key} differently: {held:?}"));
        }
    }
    None
}

/// Whether what the clients were told of each register can have happened.
pub fn pass_judgement(world: &World, history: History, report: &mut Report) {
    let (registers, times_us) = history.taken();
    for (register, said) in registers {
        report.histories += 1;
        match judge(&said, &times_us) {
            Verdict::Linearizable => {}
            Verdict::Undecided { .. } => report.undecided += 1,
            Verdict::Violated(counterexample) => {
                let text = format!("register {register}: {counterexample}");
                world.note(|| text.clone());
                report.violation.get_or_insert(text);
            }
        }
    }
}

/// The settings of clients and healers: as they come, in these surroundings.
pub fn config_of(party: Arc<dyn Surroundings>) -> Config {
    Config { surroundings: party, ..Config::default() }
}

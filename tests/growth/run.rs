//! One schedule from its seed to its end.

use std::cell::Cell;
use std::rc::Rc;

use anarchoredis::protocol::{Abandoned, Role};

use super::client::Client;
use super::control::{Control, Topic};
use super::history::{Command, Reply};
use super::linear::End;
use super::reads::majority;
use super::world::{Server, World};

/// How much a schedule did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub ticks: u64,
    pub answered: u64,
    pub purged: u64,
    pub changed: u64,
    /// Whether more than N-M members are left that do not vote: the operator has to decide.
    pub stuck: bool,
}

/// Runs the schedule of a seed; the error is the promise that is broken.
pub fn run(seed: u64, nodes: usize, topic: Topic, control: Control) -> Result<Tally, String> {
    run_in(&World::new(seed, nodes, topic, control, false))
}

/// Runs it again and tells what happened.
pub fn trace(seed: u64, nodes: usize, topic: Topic, control: Control) -> Vec<String> {
    let world = World::new(seed, nodes, topic, control, true);
    let end = run_in(&world);
    let mut lines = world.trace.take().unwrap_or_default();
    lines.extend(end.err());
    lines
}

fn run_in(world: &Rc<World>) -> Result<Tally, String> {
    let unfinished = Rc::new(Cell::new(0));
    for index in 1..=world.weather.coordinators as u64 {
        let client = Client::new(world, index);
        spawn(world, &unfinished, async move { client.live().await });
    }
    start_faults(world, &unfinished);
    let broken = || world.violation().is_some();
    world.sim.run(broken);
    world.calm.set(true);
    let rest = Client::new(world, 90);
    spawn(world, &unfinished, async move { rest.rest().await });
    world.sim.run(broken);
    if let Some(violation) = world.violation() {
        return Err(violation);
    }
    let mut checker = world.checker.borrow_mut();
    if checker.violation.is_none() && unfinished.get() > 0 {
        checker.fail("an actor never ends".to_owned());
    }
    if checker.violation.is_none() {
        checker.judge(2 * world.weather.offset);
    }
    match checker.violation.take() {
        Some(violation) => Err(violation),
        None => {
            let (purged, changed, stuck) = (world.purged.get(), world.changed.get(), world.is_stuck());
            Ok(Tally { ticks: world.sim.now(), answered: checker.answered(), purged, changed, stuck })
        }
    }
}

/// Starts an actor that is waited for.
fn spawn(world: &Rc<World>, unfinished: &Rc<Cell<u64>>, actor: impl Future<Output = ()> + 'static) {
    unfinished.set(unfinished.get() + 1);
    let unfinished = Rc::clone(unfinished);
    world.sim.spawn(async move {
        actor.await;
        unfinished.set(unfinished.get() - 1);
    });
}

fn start_faults(world: &Rc<World>, unfinished: &Rc<Cell<u64>>) {
    let weather = &world.weather;
    for index in 0..weather.crashes {
        let wait = world.below(match weather.topic {
            Topic::Purge => 6_000,
            _ if weather.prompt => 300,
            _ => 800,
        });
        let (chaos, healer) = (Rc::clone(world), Client::new(world, 60 + index));
        spawn(world, unfinished, async move {
            chaos.sim.sleep(wait).await;
            let node = chaos.below(chaos.nodes() as u64) as usize;
            chaos.crash(node, if chaos.weather.prompt { 5 } else { chaos.weather.downtime }).await;
            if chaos.weather.prompt {
                healer.heal().await;
            }
        });
    }
    for index in 0..weather.passes {
        let longest = if weather.topic == Topic::Purge { 6_000 } else { 1_000 };
        let (wait, healer) = (world.below(longest), Client::new(world, 20 + index));
        spawn(world, unfinished, async move {
            healer.world.sim.sleep(wait).await;
            if healer.world.weather.topic != Topic::Recovery {
                healer.heal().await;
                return;
            }
            for _ in 0..4 {
                healer.heal_or_recover().await;
            }
        });
    }
    for _ in 0..weather.outages {
        let (wait, chaos) = (world.below(800), Rc::clone(world));
        spawn(world, unfinished, async move {
            chaos.sim.sleep(wait).await;
            chaos.outage().await;
        });
    }
    for index in 0..weather.changes {
        let (wait, healer) = (world.below(1_200), Client::new(world, 40 + index));
        spawn(world, unfinished, async move {
            healer.world.sim.sleep(wait).await;
            for _ in 0..1 + healer.world.below(3) {
                healer.change().await;
            }
        });
    }
    for index in 0..weather.purges {
        let (wait, purger) = (world.below(6_000), Client::new(world, 40 + index));
        spawn(world, unfinished, async move {
            purger.world.sim.sleep(wait).await;
            purger.purge().await;
        });
    }
}

impl World {
    /// A new member that is not filled yet, and one that forgot: together they may be more than a majority can do without.
    fn is_stuck(&self) -> bool {
        let servers = self.servers.borrow();
        let admins = || servers.iter().filter_map(|server| server.durable.admin);
        let newest = admins().map(|admin| admin.epoch).max().unwrap_or_default();
        let Some(newest) = admins().find(|admin| admin.epoch == newest) else { return false };
        let voters =
            admins().filter(|admin| admin.role == Role::Voter && admin.epoch == newest.epoch).count();
        self.weather.topic == Topic::Members && voters < newest.members.majority()
    }

    /// A server ends and comes back: with everything, without what it did since some moment, or empty. At most N-M are
    /// without something at a time.
    pub async fn crash(self: &Rc<Self>, node: usize, longest: u64) {
        let kind = self.below(3);
        {
            let mut servers = self.servers.borrow_mut();
            let newest = servers.iter().filter_map(|server| server.votes()).max();
            let members = servers.iter().find(|server| server.votes() == newest).map(Server::members);
            let members = members.unwrap_or_default();
            let others = servers
                .iter()
                .enumerate()
                .filter(|(at, server)| *at != node && members.contains(*at) && server.votes() != newest)
                .count();
            // One, where a change makes of five members four, or the other way round.
            let most =
                if self.weather.topic == Topic::Members { 1 } else { self.nodes() - majority(self.nodes()) };
            let may_forget = members.contains(node) && others < most;
            let server = &mut servers[node];
            // A server that may have lost something does not vote until it is filled, whether or not it has.
            if !server.is_up || !(server.fsyncs || may_forget) {
                return;
            }
            server.is_up = false;
            let forgets = kind > 0 && !server.fsyncs;
            if forgets {
                server.durable = if kind == 1 { server.copy.clone() } else { Default::default() };
                server.copy = server.durable.clone();
            }
            server.forgot |= forgets || !server.fsyncs;
            self.log(|| {
                format!(
                    "{node} ends; comes back {}",
                    ["whole", "older", "empty"][usize::from(forgets) * kind as usize]
                )
            });
        }
        let pause = 1 + self.below(longest);
        self.sim.sleep(pause).await;
        let server = &mut self.servers.borrow_mut()[node];
        server.run += 1;
        server.is_up = true;
    }
}

impl Client {
    /// One op after the other.
    async fn live(self: &Rc<Self>) {
        let start = self.world.below(60);
        self.world.sim.sleep(start).await;
        self.refresh((0..self.nodes()).collect()).await;
        for number in 0..self.world.weather.ops_each {
            let command = self.draw(number);
            self.act(command).await;
            let pause = 1 + self.world.below(self.world.weather.pause);
            self.world.sim.sleep(pause).await;
            if self.world.percent(30) {
                self.refresh((0..self.nodes()).collect()).await;
            }
        }
    }

    /// One op of a client, noted from both sides.
    pub async fn act(self: &Rc<Self>, command: Command) -> bool {
        let op = self.world.checker.borrow_mut().sent(command, self.world.now());
        self.world.log(|| format!("op {op}: {command:?}"));
        self.reconnect().await;
        let slow = self.world.percent(self.world.weather.slow_reads);
        let end =
            if command.is_read() && !slow { self.read_once().await } else { self.commit(command).await };
        self.world.log(|| format!("op {op}: {end:?}"));
        let done = matches!(end, End::Done(..));
        self.world.checker.borrow_mut().ops[op].end = end;
        done
    }

    async fn read_once(self: &Rc<Self>) -> End {
        self.read().await.map_or(End::Without, |reply| End::Done(self.world.now(), reply))
    }

    async fn commit(self: &Rc<Self>, command: Command) -> End {
        match self.decide(command, false).await {
            Ok(committed) => {
                let reply: Reply = committed.reply.clone();
                self.after(committed);
                End::Done(self.world.now(), reply)
            }
            Err(Abandoned::Indeterminate) => End::Unknown,
            Err(Abandoned::NotApplied) => End::Without,
        }
    }

    fn draw(&self, number: u64) -> Command {
        let (world, weather) = (&self.world, &self.world.weather);
        let id = (self.now() % 10 + number * 10) as u32 + 1_000 * self.id.0 as u32;
        if world.percent(weather.reads) {
            Command::Read
        } else if world.percent(weather.deletes) {
            Command::Delete
        } else if world.percent(weather.pops) {
            Command::Pop
        } else if world.percent(weather.expiries) {
            if world.percent(40) {
                Command::Persist
            } else {
                Command::ExpireAt(self.now() + world.below(150))
            }
        } else {
            Command::Append(id)
        }
    }

    /// All is calm: the nodes that do not vote are brought back, and two reads tell what is left.
    async fn rest(self: &Rc<Self>) {
        for _ in 0..6 {
            match self.world.weather.topic {
                Topic::Recovery => self.heal_or_recover().await,
                _ => drop(self.heal().await),
            }
        }
        self.refresh((0..self.nodes()).collect()).await;
        self.world.sim.sleep(400).await;
        self.mend().await;
        let decided = [self.act(Command::Read).await, self.act(Command::Read).await];
        if decided != [true, true] && !self.world.is_stuck() {
            self.world.checker.borrow_mut().fail("a read does not decide though all nodes rest".to_owned());
        }
    }
}

//! Servers and the network between them and their clients: delay, reordering, loss, crashes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anarchoredis::protocol::{Epoch, Role};

use super::admission::Session;
use super::checker::Checker;
use super::control::{Control, Topic};
use super::members::{Members, generation};
use super::node::{Admin, Durable, Times};
use super::rng::Rng;
use super::sim::Sim;
use super::weather::{DEADLINE, Weather};

/// Schedules begin here, so that clocks may be behind.
pub const BEGIN: u64 = 10_000;

#[derive(Debug)]
pub struct Server {
    pub durable: Durable,
    /// What a restart may come back with.
    pub copy: Durable,
    /// The process: a connection to another one is broken.
    pub run: u64,
    pub is_up: bool,
    pub fsyncs: bool,
    /// It came back without something, and has not been filled since.
    pub forgot: bool,
    /// Its clock less the true time, plus the largest offset.
    pub offset: u64,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing is known.
    Silent,
    /// The connection broke: the server restarted.
    Broken,
    Fenced,
    /// Past its deadline, or refused for a reason of the server's own.
    Refused,
}

pub struct World {
    pub sim: Rc<Sim>,
    pub rng: RefCell<Rng>,
    pub weather: Weather,
    pub control: Control,
    pub times: Times,
    pub servers: RefCell<Vec<Server>>,
    pub checker: RefCell<Checker>,
    /// The same for the register of the configuration.
    pub configurations: RefCell<Checker>,
    pub trace: RefCell<Option<Vec<String>>>,
    /// No more faults: the schedule is at its end.
    pub calm: Cell<bool>,
    /// How many records were purged.
    pub purged: Cell<u64>,
    /// How many changes of membership came to their end.
    pub changed: Cell<u64>,
    tokens: Cell<u64>,
}

impl World {
    pub fn new(seed: u64, nodes: usize, topic: Topic, control: Control, traced: bool) -> Rc<World> {
        let mut rng = Rng::new(seed);
        let weather = Weather::draw(&mut rng, topic);
        let offset = weather.offset;
        let members = Members::first(nodes - weather.spares);
        let window = 2 * DEADLINE + 4 * offset;
        let times =
            Times { nodes, control, max_offset: 4 * offset + 30, retry_window: window, purge_age: window };
        let admin = Admin { epoch: Epoch(1), members, role: Role::Voter, run: 1, fence: 1 };
        let durable =
            |node: usize| if members.contains(node) { Durable::voter(admin) } else { Durable::default() };
        let server = |node: usize, rng: &mut Rng| Server {
            durable: durable(node),
            copy: durable(node),
            run: 1,
            is_up: true,
            fsyncs: rng.percent(20),
            forgot: false,
            offset: rng.below(2 * offset + 1),
        };
        let servers: Vec<Server> = (0..nodes).map(|node| server(node, &mut rng)).collect();
        let mut checker = Checker::default();
        checker.forgets = topic == Topic::Purge;
        Rc::new(World {
            sim: Rc::default(),
            rng: RefCell::new(rng),
            weather,
            control,
            times,
            servers: RefCell::new(servers),
            checker: RefCell::new(checker),
            configurations: RefCell::default(),
            trace: RefCell::new(traced.then(Vec::new)),
            calm: Cell::new(false),
            purged: Cell::new(0),
            changed: Cell::new(0),
            tokens: Cell::new(1),
        })
    }

    pub fn now(&self) -> u64 {
        BEGIN + self.sim.now()
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().below(bound)
    }

    pub fn percent(&self, chance: u64) -> bool {
        !self.calm.get() && self.rng.borrow_mut().percent(chance)
    }

    pub fn token(&self) -> u64 {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    pub fn log(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut *self.trace.borrow_mut() {
            lines.push(format!("{:>6} {}", self.sim.now(), line()));
        }
    }

    pub fn clock_of(&self, node: usize) -> u64 {
        self.now() + self.servers.borrow()[node].offset - self.weather.offset
    }

    /// One way over the network; false where the message is lost.
    pub async fn travel(&self, is_settle: bool) -> bool {
        let weather = &self.weather;
        let (loss, late) =
            if is_settle { (weather.settle_loss, weather.settle_late) } else { (weather.loss, weather.late) };
        if self.percent(loss) {
            return false;
        }
        let bound = if self.percent(late) { 250 } else { 10 };
        let delay = 1 + self.below(bound);
        self.sim.sleep(delay).await;
        true
    }

    /// A call over an admitted connection, fenced and with a deadline in the node's clock.
    pub async fn call<R>(
        self: &Rc<Self>,
        node: usize,
        session: Session,
        left: u64,
        is_settle: bool,
        work: impl FnOnce(&mut Server, u64) -> R,
    ) -> Result<R, Failure> {
        let error = self.below(self.weather.offset + 1);
        let deadline = self.clock_of(node) + left + error;
        if !self.travel(is_settle).await {
            self.sim.sleep(self.weather.patience).await;
            return Err(Failure::Silent);
        }
        let answer = self.execute(node, session, deadline, work);
        if !self.travel(false).await {
            self.sim.sleep(self.weather.patience).await;
            return Err(Failure::Silent);
        }
        answer
    }

    fn execute<R>(
        &self,
        node: usize,
        session: Session,
        deadline: u64,
        work: impl FnOnce(&mut Server, u64) -> R,
    ) -> Result<R, Failure> {
        let (now, copies, refuses) =
            (self.clock_of(node), self.percent(20), self.percent(self.weather.refused));
        let server = &mut self.servers.borrow_mut()[node];
        if !server.is_up || server.run != session.run {
            return Err(Failure::Broken);
        }
        if !self.admits(server, session) {
            return Err(Failure::Fenced);
        }
        if now > deadline || refuses {
            return Err(Failure::Refused);
        }
        if copies {
            server.copy = server.durable.clone();
        }
        Ok(work(server, now))
    }

    /// Whether the call names the admission that the server holds.
    fn admits(&self, server: &Server, session: Session) -> bool {
        let Some(admin) = server.durable.admin else { return false };
        let is_older = generation(session.epoch) < generation(admin.epoch) && admin.role == Role::Voter;
        admin.fence == session.fence || (self.control == Control::OlderCalls && is_older)
    }

    /// A call that names no admission, over a connection of its own.
    pub async fn admin<R>(self: &Rc<Self>, node: usize, work: impl FnOnce(&mut Server) -> R) -> Option<R> {
        if !self.travel(false).await {
            return None;
        }
        let answer = {
            let server = &mut self.servers.borrow_mut()[node];
            server.is_up.then(|| work(server))
        };
        if self.travel(false).await { answer } else { None }
    }

    pub fn nodes(&self) -> usize {
        self.times.nodes
    }
}

impl Server {
    /// The epoch under which it votes, remembering all that it answered.
    pub fn votes(&self) -> Option<Epoch> {
        self.votes_under().filter(|_| !self.forgot)
    }

    pub fn members(&self) -> Members {
        self.durable.admin.map(|admin| admin.members).unwrap_or_default()
    }

    pub fn votes_under(&self) -> Option<Epoch> {
        self.durable.admin.filter(|admin| admin.role == Role::Voter).map(|admin| admin.epoch)
    }
}

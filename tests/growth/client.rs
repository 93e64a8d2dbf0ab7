//! A coordinator: sessions with the nodes, and the real rounds driven over them as `src/coordinator` drives them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anarchoredis::protocol::{
    Abandoned, ApplyAnswer, Ballot, BallotClock, CoordinatorId, Decided, Epoch, Kind, NoVote, NodeIndex,
    OpId, Position, Quorum, Retry, Rule, SettleAnswer, WriteRound, WriteStep,
};

use super::admission::{Seat, Session};
use super::control::Control;
use super::history::{Command, Reply};
use super::node::{Apply, Register, Seen};
use super::sessions::Voters;
use super::sim::Mailbox;
use super::weather::DEADLINE;
use super::world::{Failure, Server, World};

pub struct Client {
    pub world: Rc<World>,
    nodes: usize,
    pub register: Register,
    pub id: CoordinatorId,
    clock: Rc<RefCell<BallotClock>>,
    /// Its clock less the true time, plus the largest offset.
    offset: u64,
    sequence: Rc<Cell<u64>>,
    pub seats: Rc<RefCell<Vec<Seat>>>,
}

pub enum Letter {
    Applied(usize, ApplyAnswer<Seen>),
    Settled(usize, SettleAnswer),
    Hedge,
    Deadline,
}

/// An op on its way.
struct Journey {
    op: OpId,
    command: Command,
    keep: bool,
    may_have_run: bool,
    deadline: u64,
    rounds: u64,
}

/// A round that decided, with what may still come.
pub struct Committed {
    pub ballot: Ballot,
    pub rule: Rule,
    pub source: usize,
    pub voters: Voters,
    pub position: Option<Position>,
    pub reply: Reply,
    pub round: WriteRound<Seen>,
    pub mail: Mailbox<Letter>,
}

impl Client {
    pub fn new(world: &Rc<World>, index: u64) -> Rc<Client> {
        let nodes = world.servers.borrow().len();
        let id = CoordinatorId(index);
        Rc::new(Client {
            world: Rc::clone(world),
            nodes,
            register: Register::Data,
            id,
            clock: Rc::new(RefCell::new(BallotClock::new(id))),
            offset: world.below(2 * world.weather.offset + 1),
            sequence: Rc::default(),
            seats: Rc::new(RefCell::new(vec![Seat::Away; nodes])),
        })
    }

    /// The same client at the register of the configuration.
    pub fn at_configuration(&self) -> Rc<Client> {
        Rc::new(Client {
            world: Rc::clone(&self.world),
            register: Register::Configuration,
            clock: Rc::clone(&self.clock),
            sequence: Rc::clone(&self.sequence),
            seats: Rc::clone(&self.seats),
            ..*self
        })
    }

    pub fn now(&self) -> u64 {
        self.world.now() + self.offset - self.world.weather.offset
    }

    pub fn nodes(&self) -> usize {
        self.nodes
    }

    pub fn observe(&self, ballot: Ballot) {
        self.clock.borrow_mut().observe(ballot);
    }

    pub fn next_ballot(&self) -> Ballot {
        self.clock.borrow_mut().next(1_000 * self.now())
    }

    /// Commits a command as one op.
    pub async fn decide(self: &Rc<Self>, command: Command, keep: bool) -> Result<Committed, Abandoned> {
        self.sequence.set(self.sequence.get() + 1);
        let op = OpId { coordinator: self.id, sequence: self.sequence.get() };
        let deadline = self.world.now() + DEADLINE;
        let mut journey = Journey { op, command, keep, may_have_run: false, deadline, rounds: 0 };
        loop {
            let (mut round, ballot, voters, mail) = self.begin(&journey);
            match self.run(&journey, &mut round, ballot, &voters, &mail).await {
                Ok(decided) => return Ok(committed(round, ballot, decided, voters, mail)),
                Err(retry) => {
                    journey.may_have_run |= round.outcome_if_abandoned() == Abandoned::Indeterminate;
                    let Some(retry) = retry else { return Err(journey.end()) };
                    self.prepare(&mut journey, retry).await?;
                }
            }
        }
    }

    /// Sends apply to every voter; without a majority of them to none.
    fn begin(self: &Rc<Self>, journey: &Journey) -> (WriteRound<Seen>, Ballot, Voters, Mailbox<Letter>) {
        let mut voters = self.voters();
        if !Self::can_decide(&voters) {
            voters.together.clear();
        }
        let ballot = self.next_ballot();
        let kind = if journey.command.is_read() { Kind::SlowRead } else { Kind::Mutation };
        let round = WriteRound::new(kind, ballot, Quorum::of(voters.members.len()), journey.keep);
        let mail = Mailbox::new();
        let missed = self.world.below(voters.members.len() as u64) as usize;
        let misses = self.world.percent(self.world.weather.misses);
        for (place, node) in voters.members.iter().copied().enumerate() {
            if !voters.together.contains(&node) {
                mail.push(Letter::Applied(place, ApplyAnswer::NoVote(NoVote::NotSent)));
            } else if !(misses && missed == place) {
                let (op, command, keep) = (journey.op, journey.command, journey.keep);
                self.send_apply(
                    (place, node),
                    voters.epoch,
                    Apply { ballot, op, command, keep },
                    journey.deadline,
                    &mail,
                );
            }
        }
        self.timer(self.world.weather.hedge, Letter::Hedge, &mail);
        self.timer(self.world.weather.patience, Letter::Deadline, &mail);
        (round, ballot, voters, mail)
    }

    fn timer(&self, ticks: u64, letter: Letter, mail: &Mailbox<Letter>) {
        let (sleep, mail) = (self.world.sim.sleep(ticks), mail.clone());
        self.world.sim.spawn(async move {
            sleep.await;
            mail.push(letter);
        });
    }

    fn send_apply(
        self: &Rc<Self>,
        (place, node): (usize, usize),
        epoch: Epoch,
        call: Apply,
        deadline: u64,
        mail: &Mailbox<Letter>,
    ) {
        let (client, mail) = (Rc::clone(self), mail.clone());
        let session = self.session(node, Some(epoch));
        self.world.sim.spawn(async move {
            let answer = match session {
                None => ApplyAnswer::NoVote(NoVote::NotSent),
                Some(session) => client.apply(node, session, call, deadline).await,
            };
            mail.push(Letter::Applied(place, answer));
        });
    }

    async fn apply(
        self: &Rc<Self>,
        node: usize,
        session: Session,
        call: Apply,
        deadline: u64,
    ) -> ApplyAnswer<Seen> {
        let world = Rc::clone(&self.world);
        let (left, register) = (deadline.saturating_sub(world.now()), self.register);
        let work = {
            let world = Rc::clone(&world);
            move |server: &mut Server, now: u64| world.on_apply((node, register), server, &call, now)
        };
        match world.call(node, session, left, false, work).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.note(node, session, failure);
                let refused = matches!(failure, Failure::Fenced | Failure::Refused);
                ApplyAnswer::NoVote(if refused { NoVote::Refused } else { NoVote::Unknown })
            }
        }
    }

    async fn run(
        self: &Rc<Self>,
        journey: &Journey,
        round: &mut WriteRound<Seen>,
        ballot: Ballot,
        voters: &Voters,
        mail: &Mailbox<Letter>,
    ) -> Result<Decided, Option<Retry>> {
        loop {
            let step = match mail.next().await {
                Letter::Applied(node, answer) => round.on_answer(NodeIndex(node), answer),
                Letter::Settled(node, answer) => round.on_settle_answer(NodeIndex(node), answer),
                Letter::Hedge => round.on_hedge(),
                // Nobody waits any longer in this round.
                Letter::Deadline => return Err(self.out_of_patience(journey)),
            };
            match step {
                WriteStep::Wait => {}
                WriteStep::Decided(decided) => {
                    self.world.log(|| format!("{ballot}: {decided:?}"));
                    return Ok(decided);
                }
                WriteStep::Retry(retry) => return Err(Some(retry)),
                WriteStep::Settle(plan) => self.settle(&plan, voters, journey.deadline, mail),
            }
        }
    }

    /// A driver whose round hangs starts another one, until the op's time is over.
    fn out_of_patience(&self, journey: &Journey) -> Option<Retry> {
        let keep = true;
        (self.world.now() < journey.deadline).then_some(Retry { above: None, expiring_at_ms: None, keep })
    }

    async fn prepare(self: &Rc<Self>, journey: &mut Journey, retry: Retry) -> Result<(), Abandoned> {
        journey.keep |= retry.keep;
        journey.rounds += 1;
        if let Some(above) = retry.above {
            self.observe(above);
        }
        if let Some(at) = retry.expiring_at_ms {
            self.observe(Ballot::new(1_000 * (at + 1), self.id));
            let ahead = (at + 1).saturating_sub(self.now()).min(DEADLINE);
            self.world.sim.sleep(ahead).await;
        }
        if self.world.percent(self.world.weather.suspends) {
            self.world.log(|| format!("{} stands still", self.id));
            self.world.sim.sleep(4 * DEADLINE).await;
            if self.world.control == Control::DeadlineStandsStill {
                journey.deadline += 4 * DEADLINE;
            }
        }
        let pause = 1 + self.world.below(10 << journey.rounds.min(3));
        self.world.sim.sleep(pause).await;
        self.reconnect().await;
        if self.world.now() < journey.deadline { Ok(()) } else { Err(journey.end()) }
    }
}

impl Committed {
    /// The members that do not hold the decision.
    pub fn lacking(&self) -> Vec<usize> {
        self.round.repairs().into_iter().map(|(place, _)| self.voters.members[place.0]).collect()
    }
}

impl Journey {
    fn end(&self) -> Abandoned {
        if self.may_have_run { Abandoned::Indeterminate } else { Abandoned::NotApplied }
    }
}

fn committed(
    round: WriteRound<Seen>,
    ballot: Ballot,
    decided: Decided,
    voters: Voters,
    mail: Mailbox<Letter>,
) -> Committed {
    let (position, reply) = match round.answer(decided.from) {
        Some(ApplyAnswer::Ack(ack)) => (Some(ack.standing.position), ack.reply.reply.clone()),
        Some(ApplyAnswer::Absent { reply }) => (None, reply.reply.clone()),
        other => unreachable!("decided from {other:?}"),
    };
    Committed {
        ballot,
        rule: decided.rule,
        source: voters.members[decided.from.0],
        voters,
        position,
        reply,
        round,
        mail,
    }
}

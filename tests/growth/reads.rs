//! Reads, repairs and the mending of a register, as `src/coordinator` does them.

use std::rc::Rc;

use anarchoredis::protocol::{
    Ballot, Disagreement, NodeIndex, Quorum, ReadAnswer, ReadRound, ReadStep, Rule,
};

use super::client::{Client, Committed, Letter};
use super::history::{Command, Reply};
use super::node::Seen;
use super::sessions::Voters;
use super::sim::Mailbox;
use super::transfer::Goal;
use super::weather::DEADLINE;
use super::world::Server;

/// How often a read is repeated before it asks for promises.
const READS: u64 = 2;

enum Heard {
    Answer(usize, ReadAnswer<Seen>),
    Hedge,
    Deadline,
}

impl Client {
    /// A linearizable read, R1 to R4.
    pub async fn read(self: &Rc<Self>) -> Option<Reply> {
        for _ in 0..READS {
            let voters = self.voters();
            let mut round = ReadRound::new(Quorum::of(voters.members.len()));
            let mail = self.begin_read(&voters);
            match self.run_read(&mut round, &mail).await {
                ReadStep::Decided(decided) => {
                    self.world.log(|| format!("read: {decided:?}"));
                    let reply = match round.answer(decided.from) {
                        Some(ReadAnswer::Report { reply, .. } | ReadAnswer::Absent { reply }) => {
                            reply.reply.clone()
                        }
                        _ => return None,
                    };
                    self.repair_after_read(&round, &voters.members);
                    return Some(reply);
                }
                ReadStep::Disagree(Disagreement { above, expiring_at_ms, .. }) => {
                    above.into_iter().for_each(|ballot| self.observe(ballot));
                    if expiring_at_ms.is_some() {
                        break;
                    }
                }
                ReadStep::Wait => break,
            }
        }
        let committed = self.decide(Command::Read, false).await.ok()?;
        let reply = committed.reply.clone();
        self.after(committed);
        Some(reply)
    }

    fn begin_read(self: &Rc<Self>, voters: &Voters) -> Mailbox<Heard> {
        let mail = Mailbox::new();
        let at = self.now();
        for (place, node) in voters.members.iter().copied().enumerate() {
            let session =
                voters.together.contains(&node).then(|| self.session(node, Some(voters.epoch))).flatten();
            let (client, mail) = (Rc::clone(self), mail.clone());
            self.world.sim.spawn(async move {
                let Some(session) = session else {
                    return mail.push(Heard::Answer(place, ReadAnswer::NoVote));
                };
                let (times, register) = (client.world.times, client.register);
                let work = move |server: &mut Server, now: u64| {
                    server.durable.of(register).read(Command::Read, at, now, &times)
                };
                let answer = client.world.call(node, session, DEADLINE, false, work).await;
                let answer = answer.map_err(|failure| client.note(node, session, failure));
                mail.push(Heard::Answer(place, answer.unwrap_or(ReadAnswer::NoVote)));
            });
        }
        for (ticks, letter) in [(self.world.weather.hedge, Heard::Hedge), (DEADLINE, Heard::Deadline)] {
            let (sleep, mail) = (self.world.sim.sleep(ticks), mail.clone());
            self.world.sim.spawn(async move {
                sleep.await;
                mail.push(letter);
            });
        }
        mail
    }

    async fn run_read(self: &Rc<Self>, round: &mut ReadRound<Seen>, mail: &Mailbox<Heard>) -> ReadStep {
        loop {
            let step = match mail.next().await {
                Heard::Answer(node, answer) => {
                    self.world.log(|| format!("read at {node}: {}", outline(&answer)));
                    round.on_answer(NodeIndex(node), answer)
                }
                Heard::Hedge => round.on_hedge(),
                Heard::Deadline => return ReadStep::Wait,
            };
            if step != ReadStep::Wait {
                return step;
            }
        }
    }

    fn repair_after_read(self: &Rc<Self>, round: &ReadRound<Seen>, members: &[usize]) {
        let Some(decided) = round.decided() else { return };
        let is_in_doubt = round.is_in_doubt();
        let targets: Vec<usize> = round.repairs().into_iter().map(|(place, _)| members[place.0]).collect();
        let source = members[decided.from.0];
        let settled = match round.answer(decided.from) {
            Some(ReadAnswer::Report { standing, .. }) => {
                standing.accepted.map(|ballot| (ballot, standing.position))
            }
            _ => None,
        };
        let client = Rc::clone(self);
        self.world.sim.spawn(async move {
            client.queue().await;
            if is_in_doubt {
                client.mend().await;
            } else if let Some((ballot, position)) = settled {
                let goal = Goal { ballot, position, source, epoch: None };
                client.settle_on(goal, &targets).await;
            }
        });
    }

    /// A repair waits for its turn.
    async fn queue(&self) {
        let wait = 1 + self.world.below(self.world.weather.queue);
        self.world.sim.sleep(wait).await;
    }

    /// After a decision: the stragglers, then a repair for whoever differs.
    pub fn after(self: &Rc<Self>, mut committed: Committed) {
        let client = Rc::clone(self);
        self.world.sim.spawn(async move {
            client.finish(&mut committed).await;
            let Some(position) = committed.position.filter(|_| committed.rule == Rule::W2) else { return };
            client.queue().await;
            let goal = Goal { ballot: committed.ballot, position, source: committed.source, epoch: None };
            client.settle_on(goal, &committed.lacking()).await;
        });
    }

    /// Takes the answers that came after the decision.
    pub async fn finish(&self, committed: &mut Committed) {
        for _ in 0..2 * self.nodes() + 2 {
            match committed.mail.next().await {
                Letter::Applied(node, answer) => {
                    committed.round.on_answer(NodeIndex(node), answer);
                }
                Letter::Settled(node, answer) => {
                    committed.round.on_settle_answer(NodeIndex(node), answer);
                }
                Letter::Hedge => {}
                Letter::Deadline => return,
            }
        }
    }
}

fn outline(answer: &ReadAnswer<Seen>) -> String {
    match answer {
        ReadAnswer::Report { promised, standing, reply, .. } => format!(
            "p{} a{:?} s{} v{} {:?}",
            promised.time_ms(),
            standing.accepted.map(Ballot::time_ms),
            standing.settled,
            standing.position.version,
            reply.reply
        ),
        ReadAnswer::Absent { .. } => "absent".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The quorum of a world's nodes.
pub fn majority(nodes: usize) -> usize {
    Quorum::of(nodes).majority()
}

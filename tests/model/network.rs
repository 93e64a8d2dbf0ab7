//! The network of the model: what is sent arrives at a random later time, in any order, not at all, or twice.

use std::collections::BTreeMap;

use anarchoredis::protocol::{ApplyAnswer, ReadAnswer, SettleAnswer};

use super::control::Control;
use super::history::Command;
use super::node::{Apply, Seen, Settle};
use super::rng::Rng;

#[derive(Debug, Clone)]
pub enum Call {
    Apply(Apply),
    Settle(Settle),
    Read(Command),
}

#[derive(Debug, Clone)]
pub enum Answer {
    Apply(ApplyAnswer<Seen>),
    Settle(SettleAnswer),
    Read(ReadAnswer<Seen>),
}

/// What happens at one moment. `tag` names the round that it belongs to.
#[derive(Debug, Clone)]
pub enum Event {
    Call { from: usize, tag: u64, node: usize, call: Call },
    Answer { to: usize, tag: u64, node: usize, answer: Answer },
    /// The hedge delay of a round has passed.
    Hedge { to: usize, tag: u64 },
    /// The answer time-out of a round (or of its settle) has passed.
    Timeout { to: usize, tag: u64 },
    /// The client's deadline has passed.
    GiveUp { to: usize, client: usize },
    /// The coordinator goes on: the next round, or the next op.
    Go { to: usize },
    /// A node restarts from an older copy of itself (a control only).
    Restart { node: usize },
}

/// What one schedule is like, drawn anew for each: schedules that differ in kind find more than equal ones.
#[derive(Debug, Clone)]
pub struct Weather {
    pub coordinators: usize,
    pub ops_each: u64,
    pub loss: u64,
    pub late: u64,
    pub repeated: u64,
    pub refused: u64,
    pub not_sent: u64,
    pub hedge: u64,
    pub timeout: u64,
    pub deadline: u64,
    pub skew: u64,
    pub rounds: u64,
    pub reads: u64,
    pub slow_reads: u64,
    pub quorum_reads: u64,
    pub pops: u64,
    pub conditional: u64,
    pub repairs: u64,
    /// How lossy the link of each coordinator to each node is, in percent, beside `loss`.
    pub links: Vec<u64>,
}

impl Weather {
    pub fn draw(rng: &mut Rng, nodes: usize) -> Self {
        let coordinators = 2 + rng.below(2) as usize;
        Self {
            coordinators,
            ops_each: 1 + rng.below(4),
            loss: rng.pick(&[0, 0, 3, 10, 30]),
            late: rng.pick(&[0, 5, 20, 50]),
            repeated: rng.pick(&[0, 0, 0, 15]),
            refused: rng.pick(&[0, 0, 5]),
            not_sent: rng.pick(&[0, 0, 10, 40]),
            hedge: rng.pick(&[8, 25, 80]),
            timeout: rng.pick(&[30, 100, 300]),
            deadline: rng.pick(&[60, 300, 2_000]),
            skew: rng.pick(&[0, 50, 400]),
            rounds: 1 + rng.below(6),
            reads: rng.pick(&[20, 40, 60]),
            slow_reads: rng.pick(&[0, 20, 60]),
            quorum_reads: rng.pick(&[0, 0, 30]),
            pops: rng.pick(&[0, 0, 30, 60]),
            conditional: rng.pick(&[0, 20, 50]),
            repairs: rng.pick(&[0, 50, 100]),
            links: (0..coordinators * nodes).map(|_| rng.pick(&[0, 0, 0, 20, 90])).collect(),
        }
    }
}

#[derive(Debug)]
pub struct Network {
    pub rng: Rng,
    pub weather: Weather,
    pub now: u64,
    pub control: Control,
    nodes: usize,
    sequence: u64,
    tags: u64,
    pending: BTreeMap<(u64, u64), Event>,
    trace: Option<Vec<String>>,
}

impl Network {
    pub fn new(mut rng: Rng, nodes: usize, control: Control, traced: bool) -> Self {
        let weather = Weather::draw(&mut rng, nodes);
        let (pending, trace) = (BTreeMap::new(), traced.then(Vec::new));
        Self { rng, weather, now: 1_000, control, nodes, sequence: 0, tags: 0, pending, trace }
    }

    pub fn fresh_tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }

    pub fn at(&mut self, due: u64, event: Event) {
        self.sequence += 1;
        self.pending.insert((due, self.sequence), event);
    }

    pub fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next thing that happens; time goes on to it.
    pub fn next(&mut self) -> Option<Event> {
        let ((due, _), event) = self.pending.pop_first()?;
        self.now = due;
        Some(event)
    }

    /// Sends a call; says whether the network repeats an apply, so that its first answer does not tell the whole truth.
    pub fn call(&mut self, from: usize, tag: u64, node: usize, call: Call) -> bool {
        let may_repeat = match &call {
            // The transport must not repeat an apply that could find the register absent: this is what the control shows.
            Call::Apply(apply) => apply.keep || self.control == Control::ApplyDeliveredTwice,
            Call::Settle(_) | Call::Read(_) => true,
        };
        let is_apply = matches!(call, Call::Apply(_));
        let event = Event::Call { from, tag, node, call };
        let repeated = may_repeat && self.rng.percent(self.weather.repeated);
        if repeated {
            self.transmit(from, node, event.clone());
        }
        self.transmit(from, node, event);
        repeated && is_apply
    }

    pub fn answer(&mut self, to: usize, tag: u64, node: usize, answer: Answer) {
        self.transmit(to, node, Event::Answer { to, tag, node, answer });
    }

    fn transmit(&mut self, coordinator: usize, node: usize, event: Event) {
        let link = self.weather.links[coordinator * self.nodes + node];
        if self.rng.percent(self.weather.loss) || self.rng.percent(link) {
            self.log(|| format!("lost: {}", event.outline()));
            return;
        }
        let slow = if self.rng.percent(self.weather.late) { 200 } else { 10 };
        let delay = 1 + self.rng.below(slow);
        self.after(delay, event);
    }

    /// Notes what happens, where somebody will read it.
    pub fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.trace {
            lines.push(format!("{:>6} {}", self.now, line()));
        }
    }

    pub fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }
}

//! The network of the model: what is sent arrives at a random later time, in any order, not at all, or twice.

use std::collections::BTreeMap;

use anarchoredis::protocol::{ApplyAnswer, ReadAnswer, SettleAnswer};

use super::control::Control;
use super::history::Command;
use super::node::{Apply, Seen, Settle};
use super::rng::Rng;
use super::weather::Weather;

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
    Call {
        from: usize,
        tag: u64,
        node: usize,
        call: Call,
    },
    Answer {
        to: usize,
        tag: u64,
        node: usize,
        answer: Answer,
    },
    /// The hedge delay of a round has passed.
    Hedge {
        to: usize,
        tag: u64,
    },
    /// The answer time-out of a round (or of its settle) has passed.
    Timeout {
        to: usize,
        tag: u64,
    },
    /// The client's deadline has passed.
    GiveUp {
        to: usize,
        client: usize,
    },
    /// The coordinator goes on: the next round, or the next op.
    Go {
        to: usize,
    },
    /// A node restarts from an older copy of itself (a control only).
    Restart {
        node: usize,
    },
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
        let weather = Weather::draw(&mut rng, nodes, control.season());
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

    /// Sends a call; says whether the network repeats an apply, so that its first answer does not tell the whole
    /// truth.
    pub fn call(&mut self, from: usize, tag: u64, node: usize, call: Call) -> bool {
        let may_repeat = match &call {
            // The transport must not repeat an apply that could find the register absent: this is what the
            // control shows.
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
        let is_settle = matches!(event, Event::Call { call: Call::Settle(_), .. });
        let settle_loss = if is_settle { self.weather.settle_loss } else { 0 };
        if [self.weather.loss, link, settle_loss].into_iter().any(|chance| self.rng.percent(chance)) {
            self.log(|| format!("lost: {}", event.outline()));
            return;
        }
        let late = if is_settle { self.weather.settle_late } else { self.weather.late };
        let slow = if self.rng.percent(late) { 200 } else { 10 };
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

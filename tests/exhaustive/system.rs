//! The system as a model: what can happen in a state, and which state follows.

use std::collections::HashSet;
use std::sync::Mutex;

use anarchoredis::protocol::{Ballot, CoordinatorId, OpId};
use stateright::Model;

use super::control::Control;
use super::history::{DigestOver, Entry, History};
use super::ledger::{Asked, Ledger};
use super::node::{Apply, Node, Record};
use super::round::{Hearing, Input, Step};
use super::script::{Op, Setup, Start};
use super::state::{Call, Coordinator, Late, SettleCall, Site, Stage, State};

/// One thing that happens. Sites are numbered as they lie in the state before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A client sends its op.
    Start {
        coordinator: usize,
    },
    /// The call of the current round reaches the node.
    Deliver {
        site: usize,
        coordinator: usize,
    },
    /// The settle of the current round reaches the node.
    DeliverSettle {
        site: usize,
        coordinator: usize,
    },
    DeliverLate {
        site: usize,
        coordinator: usize,
        place: usize,
    },
    /// The call reaches the node again, and its first answer is lost.
    Repeat {
        site: usize,
        coordinator: usize,
    },
    Hear {
        coordinator: usize,
        inputs: Vec<Input>,
        next: Next,
    },
    /// The client gives up in the middle of a round, and has another op.
    Abandon {
        coordinator: usize,
    },
    /// A node comes back with nothing (a control only).
    Restart {
        site: usize,
    },
}

/// What a coordinator does where a round leaves it the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// What the round says.
    Follow,
    /// Another round, with the clock at this time.
    Again { now: u64 },
    /// Tell the client that the op failed (W4).
    GiveUp,
}

/// A setup, and what was found of its states so far.
pub struct System {
    pub setup: Setup,
    /// The nodes and commits from which a lone coordinator is known to decide.
    pub decidable: Mutex<HashSet<(Vec<Node>, Ledger)>>,
}

/// Whose op the register holds at first.
const FIRST_CLIENT: u8 = u8::MAX;

impl System {
    pub fn new(setup: Setup) -> Self {
        Self { setup, decidable: Mutex::default() }
    }

    pub fn over(&self) -> DigestOver {
        self.setup.digest_over
    }

    pub fn op(&self, state: &State, coordinator: usize) -> Op {
        self.setup.scripts[coordinator].ops[state.coordinators[coordinator].op]
    }

    pub fn asked(&self, state: &State, coordinator: usize) -> Asked {
        let asker = &state.coordinators[coordinator];
        let client = (coordinator * 8 + asker.op + 1) as u8;
        Asked { client, command: self.op(state, coordinator).command(), since: asker.since }
    }

    /// The call of the round that a coordinator is in.
    pub fn call(&self, state: &State, coordinator: usize) -> Option<Apply> {
        let asker = &state.coordinators[coordinator];
        let fresh = if self.setup.control == Control::RetryUnderNewOpId { asker.rounds } else { 0 };
        let sequence = (asker.op * 8 + fresh) as u64 + 1;
        let op = OpId { coordinator: CoordinatorId(coordinator as u64 + 1), sequence };
        let Asked { client, command, .. } = self.asked(state, coordinator);
        Some(Apply { ballot: asker.ballot()?, op, client, command, keep: asker.keep })
    }

    pub fn hearing<'a>(&self, state: &'a State, coordinator: usize) -> Option<Hearing<'a>> {
        if state.coordinators[coordinator].stage == Stage::Done {
            return None;
        }
        let op = self.op(state, coordinator);
        let hearing = Hearing::new(state, coordinator, op.command(), self.setup.control)?;
        Some(if op == Op::QuorumRead { hearing.at_quorum_level() } else { hearing })
    }

    /// Every node at first.
    fn first_node(&self) -> Node {
        if self.setup.start == Start::Absent {
            return Node(None);
        }
        let ballot = Ballot::new(1, CoordinatorId(0));
        let op = OpId { coordinator: CoordinatorId(0), sequence: 1 };
        let entry = Entry { op, client: FIRST_CLIENT, command: Op::Append.command(), ran: ballot };
        let history = History::default().push(entry, self.over());
        let settled = history.position().version;
        Node(Some(Record { promised: ballot, accepted: Some(ballot), settled, history }))
    }

    fn first_state(&self) -> State {
        let links = vec![Default::default(); self.setup.scripts.len()];
        let sites = vec![Site { node: self.first_node(), links }; self.setup.nodes];
        let mut ledger = Ledger::default();
        if let Some(Site { node: Node(Some(record)), .. }) = sites.first() {
            ledger.commit(&record.history);
        }
        let coordinators = (0..self.setup.scripts.len()).map(|index| Coordinator::new(index, 0, Stage::Idle));
        let mut state = State { sites, coordinators: coordinators.collect(), ledger, restarted: false };
        for coordinator in 0..self.setup.scripts.len() {
            self.start_if_any_time_will_do(&mut state, coordinator);
        }
        state.canonical()
    }

    fn deliveries(&self, state: &State, actions: &mut Vec<Action>) {
        for (site, here) in state.sites.iter().enumerate() {
            for (coordinator, link) in here.links.iter().enumerate() {
                match link.call {
                    Call::Sent => actions.push(Action::Deliver { site, coordinator }),
                    Call::Apply(_) if self.may_repeat(state, site, coordinator) => {
                        actions.push(Action::Repeat { site, coordinator });
                    }
                    _ => {}
                }
                if let SettleCall::Sent(_) = link.settle {
                    actions.push(Action::DeliverSettle { site, coordinator });
                }
                let late = 0..link.late.len();
                actions.extend(late.map(|place| Action::DeliverLate { site, coordinator, place }));
            }
            let restarts = self.setup.control == Control::RestartWithOlderData && !state.restarted;
            if restarts && here.node.0.is_some() {
                actions.push(Action::Restart { site });
            }
        }
    }

    /// Whether the transport may deliver the call once more: never one that could have found no register.
    fn may_repeat(&self, state: &State, site: usize, coordinator: usize) -> bool {
        let keep = state.coordinators[coordinator].keep;
        let unheard = state.sites[site].links[coordinator].heard == Default::default();
        self.setup.repeats && keep && unheard
    }

    fn doings(&self, state: &State, coordinator: usize, actions: &mut Vec<Action>) {
        let asker = &state.coordinators[coordinator];
        if asker.stage == Stage::Idle {
            actions.push(Action::Start { coordinator });
        }
        let Some(hearing) = self.hearing(state, coordinator) else { return };
        for (inputs, step) in hearing.outcomes(self.setup.not_sent) {
            for next in self.choices(state, coordinator, &step) {
                actions.push(Action::Hear { coordinator, inputs: inputs.clone(), next });
            }
        }
        if self.has_another_op(state, coordinator) {
            actions.push(Action::Abandon { coordinator });
        }
    }

    pub fn has_another_op(&self, state: &State, coordinator: usize) -> bool {
        state.coordinators[coordinator].op + 1 < self.setup.scripts[coordinator].ops.len()
    }

    fn choices(&self, state: &State, coordinator: usize, step: &Step) -> Vec<Next> {
        match step {
            Step::Retry(_) | Step::Disagree(_) => {}
            Step::NotApplied => return vec![Next::GiveUp],
            _ => return vec![Next::Follow],
        }
        let may_go_on = state.coordinators[coordinator].rounds < self.setup.scripts[coordinator].rounds;
        let nows = self.setup.nows.iter().filter(|_| may_go_on);
        nows.map(|now| Next::Again { now: *now }).chain([Next::GiveUp]).collect()
    }

    fn deliver_late(&self, state: &mut State, site: usize, coordinator: usize, place: usize) {
        match state.sites[site].links[coordinator].late.remove(place) {
            Late::Apply(apply) => {
                self.apply(state, site, &apply);
            }
            Late::Settle(settle) => {
                self.settle(state, site, &settle);
                // What can do nothing more is forgotten with the rest of its kind.
                let repeated = self.setup.repeats.then_some(Late::Settle(settle));
                state.sites[site].links[coordinator].late.extend(repeated);
            }
        }
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first_state()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ledger.violation.is_some() {
            return;
        }
        self.deliveries(state, actions);
        (0..state.coordinators.len()).for_each(|coordinator| self.doings(state, coordinator, actions));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Start { coordinator } => self.start(&mut state, coordinator),
            Action::Deliver { site, coordinator } => self.deliver(&mut state, site, coordinator),
            Action::DeliverSettle { site, coordinator } => self.deliver_settle(&mut state, site, coordinator),
            Action::DeliverLate { site, coordinator, place } => {
                self.deliver_late(&mut state, site, coordinator, place);
            }
            Action::Repeat { site, coordinator } => {
                // Who sends a call twice knows that one answer does not tell the whole truth (W4).
                state.coordinators[coordinator].may_have_run = true;
                self.deliver(&mut state, site, coordinator);
            }
            Action::Hear { coordinator, inputs, next } => {
                self.hear(before, &mut state, coordinator, &inputs, next);
            }
            Action::Abandon { coordinator } => self.next_op(&mut state, coordinator),
            Action::Restart { site } => {
                state.sites[site].node = Node(None);
                state.restarted = true;
            }
        }
        let state = state.canonical();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        super::properties::properties(&self.setup)
    }
}

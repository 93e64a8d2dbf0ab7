//! The search for an order.
//!
//! A call may come next if it was invoked before the end of every call that must still be placed. Orders are tried depth
//! first, on a stack of our own: first the call that ends first, and last the optional ones.

use super::Sequential;
use super::bits::Bits;
use super::history::{Entry, History};
use super::memory::Memory;

pub enum Found<S> {
    /// There is an order.
    Order,
    /// There is none. The states in which the most calls were placed, with the way there.
    Nothing(Vec<Stuck<S>>),
    OutOfBudget,
}

/// A longest way, and where it ends.
#[derive(Clone)]
pub struct Stuck<S> {
    pub state: S,
    /// Numbers of calls, in order.
    pub order: Vec<usize>,
}

/// How many ends of longest ways are kept, each with a state of its own.
const MOST_STUCK: usize = 3;

/// Looks for an order with at most one optional call in a row, then two, and so on while that may help: a wrong guess is
/// met by the next call that must be placed, before it breeds others.
pub fn search<S: Sequential>(start: &S, history: &History<'_, S>, budget: usize) -> Found<S> {
    let mut left = budget;
    for longest_run in 1.. {
        let mut pass = Pass::new(history, longest_run, left);
        let found = pass.run(start);
        if !matches!(found, Found::Nothing(_)) || !pass.cut {
            return found;
        }
        left = left.saturating_sub(pass.memory.size());
    }
    Found::OutOfBudget
}

/// Calls placed so far, and what they lead to.
#[derive(Clone)]
struct Config<S> {
    state: S,
    /// Mandatory calls that are placed, and the first that is not.
    done: Bits,
    first: usize,
    /// Optional calls that are placed, and how many of them in a row at the end.
    taken: Bits,
    run: usize,
    /// The latest invocation of a placed call: the next one takes effect after it.
    latest: u64,
    /// The place in [`Pass::steps`] of the last call placed.
    step: usize,
}

#[derive(Clone, Copy)]
enum Try {
    Mandatory,
    Optional,
}

struct Pass<'h, 'c, S: Sequential> {
    history: &'h History<'c, S>,
    longest_run: usize,
    budget: usize,
    memory: Memory<S>,
    stack: Vec<(Config<S>, Try)>,
    /// Each call placed: the step before it, and its number. The first is no call.
    steps: Vec<(usize, usize)>,
    /// An optional call was not tried because there were too many in a row.
    cut: bool,
    deepest: u32,
    stuck: Vec<(S, usize)>,
}

impl<'h, 'c, S: Sequential> Pass<'h, 'c, S> {
    fn new(history: &'h History<'c, S>, longest_run: usize, budget: usize) -> Self {
        let steps = vec![(0, 0)];
        let (memory, stack, stuck) = (Memory::new(), Vec::new(), Vec::new());
        Self { history, longest_run, budget, memory, stack, steps, cut: false, deepest: 0, stuck }
    }

    fn run(&mut self, start: &S) -> Found<S> {
        let (done, taken) = (Bits::none(self.history.must.len()), Bits::none(self.history.may.len()));
        let start = Config { state: start.clone(), done, first: 0, taken, run: 0, latest: 0, step: 0 };
        self.stack.push((start, Try::Mandatory));
        while let Some((config, what)) = self.stack.pop() {
            if config.first == self.history.must.len() {
                return Found::Order;
            }
            if self.memory.size() > self.budget {
                return Found::OutOfBudget;
            }
            match what {
                Try::Mandatory => self.try_mandatory(config),
                Try::Optional => self.try_optional(&config),
            }
        }
        Found::Nothing(self.stuck.iter().map(|(state, step)| self.way(state, *step)).collect())
    }

    fn try_mandatory(&mut self, config: Config<S>) {
        self.note_depth(&config);
        let mut next: Vec<usize> = self.waiting(&config);
        if let Some(&index) = next.iter().find(|&&index| self.costs_nothing(&config, index)) {
            return self.place_mandatory(&config, index);
        }
        next.sort_by_key(|&index| std::cmp::Reverse(self.history.must[index].end));
        if !self.history.may.is_empty() {
            self.stack.push((config.clone(), Try::Optional));
        }
        for index in next {
            self.place_mandatory(&config, index);
        }
    }

    /// A read whose reply fits: whatever may follow without it may follow after it, so there is nothing else to try here.
    /// Not so a write that happens to change nothing: it may be wanted later. Nor a read whose invocation comes
    /// after the end of something that may still happen.
    fn costs_nothing(&self, config: &Config<S>, index: usize) -> bool {
        let entry = &self.history.must[index];
        let fits = |reply| config.state.clone().accept(&entry.call.op, reply);
        if !S::only_reads(&entry.call.op) || !entry.reply.is_some_and(fits) {
            return false;
        }
        let ends_nothing = |(number, may): (usize, &Entry<'_, S>)| {
            config.taken.has(number) || may.end <= config.latest || entry.invoked < may.end
        };
        self.history.may.iter().enumerate().all(ends_nothing)
    }

    /// The mandatory calls that may come next.
    fn waiting(&self, config: &Config<S>) -> Vec<usize> {
        let must = &self.history.must;
        let (mut waiting, mut horizon) = (Vec::new(), u64::MAX);
        // In the order of invocation: whoever was invoked after an end seen here neither comes next nor ends earlier.
        for index in
            (config.first..must.len()).take_while(|&index| must[index].invoked < must[config.first].end)
        {
            if !config.done.has(index) && must[index].invoked < horizon {
                waiting.push(index);
                horizon = horizon.min(must[index].end);
            }
        }
        waiting
    }

    fn place_mandatory(&mut self, config: &Config<S>, index: usize) {
        let entry = &self.history.must[index];
        let mut state = config.state.clone();
        let accepted = match entry.reply {
            Some(reply) => state.accept(&entry.call.op, reply),
            None => {
                state.apply(&entry.call.op);
                true
            }
        };
        let done = config.done.with(index);
        if !accepted || !self.memory.is_new(&done, &state, &config.taken, 0) {
            return;
        }
        let unplaced = (config.first..self.history.must.len()).find(|&index| !done.has(index));
        let first = unplaced.unwrap_or(self.history.must.len());
        let (latest, step) = (config.latest.max(entry.invoked), self.step(config, entry.number));
        let next = Config { state, done, first, taken: config.taken.clone(), run: 0, latest, step };
        self.stack.push((next, Try::Mandatory));
    }

    fn try_optional(&mut self, config: &Config<S>) {
        let must = &self.history.must;
        let horizon = self.waiting(config).iter().map(|&index| must[index].end).min().unwrap_or(u64::MAX);
        for index in (0..self.history.may.len()).rev() {
            let entry = &self.history.may[index];
            let unused_twin = self.history.twin[index].is_some_and(|twin| !config.taken.has(twin));
            let in_time = entry.invoked < horizon && config.latest.max(entry.invoked) < entry.end;
            if in_time && !unused_twin && !config.taken.has(index) {
                self.place_optional(config, index, entry);
            }
        }
    }

    fn place_optional(&mut self, config: &Config<S>, index: usize, entry: &Entry<'_, S>) {
        let mut state = config.state.clone();
        state.apply(&entry.call.op);
        if state == config.state {
            return;
        }
        if config.run == self.longest_run {
            self.cut = true;
            return;
        }
        let (taken, run) = (config.taken.with(index), config.run + 1);
        if self.memory.is_new(&config.done, &state, &taken, run) {
            let (latest, step) = (config.latest.max(entry.invoked), self.step(config, entry.number));
            let next =
                Config { state, done: config.done.clone(), first: config.first, taken, run, latest, step };
            self.stack.push((next, Try::Mandatory));
        }
    }

    fn step(&mut self, config: &Config<S>, number: usize) -> usize {
        self.steps.push((config.step, number));
        self.steps.len() - 1
    }

    fn note_depth(&mut self, config: &Config<S>) {
        let depth = config.done.count();
        if depth > self.deepest {
            self.deepest = depth;
            self.stuck.clear();
        }
        let known = self.stuck.iter().any(|(state, _)| *state == config.state);
        if depth == self.deepest && !known && self.stuck.len() < MOST_STUCK {
            self.stuck.push((config.state.clone(), config.step));
        }
    }

    fn way(&self, state: &S, mut step: usize) -> Stuck<S> {
        let mut order = Vec::new();
        while step > 0 {
            let (before, number) = self.steps[step];
            order.push(number);
            step = before;
        }
        order.reverse();
        Stuck { state: state.clone(), order }
    }
}

//! Is a history of calls linearizable: does some order of them, in which none comes before one that had returned before it
//! began, give exactly the replies that the clients got?
//!
//! The search is that of Wing & Gong (1993) with the memory of Lowe (2017): every configuration, the set of calls placed so
//! far and the state that they lead to, is entered once. Registers are independent, so callers check each one apart
//! (linearizability is local: Herlihy & Wing, 1990); nothing else keeps the search small.
//!
//! # Calls whose end nobody saw
//!
//! An [`End::Open`] call may take effect at any time after its invocation, or never. Tried like the others, they make the
//! search exponential, so they are *optional*:
//!
//! - one is tried only where the calls that must be placed do not get on without it, and few in a row before many;
//! - a configuration that used a subset of another's optional calls and has the same state replaces it, so an open read, or
//!   an open write that another one overwrites unseen, costs nothing;
//! - of two open calls that say the same the one invoked first is taken first.
//!
//! A call that is known to have had no effect is left out of the history: what shows it is then a value from nowhere.
//!
//! # Calls that no client made: expiry
//!
//! What happens by itself is a call too, with the interval in which it may happen as its invocation and end. Let the state
//! hold the time that has certainly passed, and let an op of its own, say `Tick(time)`, raise it and drop what has expired
//! by then. For every expiry time in the history there is one tick, invoked at the last event before the earliest moment at
//! which a key of that expiry may be gone, and ended
//!
//! - by [`End::Applied`], at the first event after the latest moment at which it may still be there: it must expire in between.
//!   A tick changes nothing where the expiry was overwritten in time, so it can be a duty even if it is not known
//!   whether the write that set the expiry took effect, and a write that takes effect after the tick finds its time passed;
//! - by [`End::Perhaps`], if something may happen within an interval or not at all (a lease that may be given up early).
//!
//! Since a tick is placed once, a key that was seen missing and is then there again is an error, as it should be.

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code)]

mod bits;
mod counterexample;
mod history;
mod memory;
mod search;

use std::fmt::{self, Debug};
use std::hash::Hash;

use history::History;
use search::Found;

pub use counterexample::Counterexample;

/// What a register does, one command after the other.
pub trait Sequential: Clone + Eq + Hash + Debug {
    type Op: Debug + PartialEq;
    type Reply: Debug + PartialEq;

    fn apply(&mut self, op: &Self::Op) -> Self::Reply;

    /// True for ops that change no state whatever. Nothing has to say so, but reads that do are placed at once where they fit,
    /// which keeps long histories cheap.
    fn only_reads(_op: &Self::Op) -> bool {
        false
    }

    /// Applies the op and tells whether this may be its reply. Models whose replies are not equal bytes (members of a set), or
    /// where the reply tells what was chosen (a random pop), say it here.
    fn accept(&mut self, op: &Self::Op, reply: &Self::Reply) -> bool {
        self.apply(op) == *reply
    }
}

/// One call of a client, or something that happened by itself.
///
/// Its places are positions in one total order of all events of the history, not times. It takes effect after `invoked` and
/// before its end. A client may go on after a call that stays open.
#[derive(Debug, Clone)]
pub struct Call<Op, Reply> {
    pub client: usize,
    pub op: Op,
    pub invoked: u64,
    pub end: End<Reply>,
}

#[derive(Debug, Clone)]
pub enum End<Reply> {
    /// It took effect before this place, with this reply.
    Returned { at: u64, reply: Reply },
    /// It took effect before this place, and the reply is not known. `u64::MAX`: it does at some time.
    Applied { at: u64 },
    /// It takes effect before this place or never.
    Perhaps { at: u64 },
    /// Nobody knows: it takes effect at any time, or never.
    Open,
}

impl<Reply> End<Reply> {
    fn place(&self) -> u64 {
        match self {
            End::Returned { at, .. } | End::Applied { at } | End::Perhaps { at } => *at,
            End::Open => u64::MAX,
        }
    }

    fn must_happen(&self) -> bool {
        matches!(self, End::Returned { .. } | End::Applied { .. })
    }
}

/// The call of a model.
pub type CallOf<S> = Call<<S as Sequential>::Op, <S as Sequential>::Reply>;

#[derive(Debug, Clone)]
pub enum Verdict {
    Linearizable,
    Violated(Counterexample),
    /// Too many open calls: the search ended before it knew. Neither proof nor violation; a test must count it.
    Undecided {
        configurations: usize,
    },
}

impl Verdict {
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable)
    }

    pub fn is_violated(&self) -> bool {
        matches!(self, Verdict::Violated(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Linearizable => write!(f, "linearizable"),
            Verdict::Violated(counterexample) => write!(f, "{counterexample}"),
            Verdict::Undecided { configurations } => {
                write!(f, "undecided after {configurations} configurations")
            }
        }
    }
}

/// How many configurations [`check`] looks at before it gives up; each is remembered.
pub const BUDGET: usize = 500_000;

/// Judges the history of one register.
pub fn check<S: Sequential>(start: &S, calls: &[CallOf<S>]) -> Verdict {
    check_within(start, calls, BUDGET)
}

/// As [`check`], with a budget of configurations.
pub fn check_within<S: Sequential>(start: &S, calls: &[CallOf<S>], budget: usize) -> Verdict {
    let whole = History::new(calls);
    match search::search(start, &whole, budget) {
        Found::Order => Verdict::Linearizable,
        Found::OutOfBudget => Verdict::Undecided { configurations: budget },
        Found::Nothing(stuck) => {
            Verdict::Violated(counterexample::shortest(start, calls, budget).unwrap_or_else(|| {
                // The whole history is refuted, its beginnings were too hard.
                Counterexample::new(&whole, &stuck, whole.last_end())
            }))
        }
    }
}

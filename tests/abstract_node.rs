//! The node of the protocol's searches (`tests/model/node.rs`: one register, a list) does what the scripts do.
//!
//! ```text
//!   tests/protocol_search ── tests/model/node.rs ──(here)── tests/server_model ──(model_is_scripts)── lua/ on servers
//! ```
//!
//! Random calls go to two or three of these nodes and to as many model servers in lock-step, encoded and parsed by
//! the crate's own `script`: the same kind of answer, the same ballots, versions, `ran`, replies and values after each
//! call, and digests that are equal on one side exactly where they are on the other. `ANARCHO_SEED` sets the first
//! seed, `ANARCHO_CALLS` the number of calls.
//!
//! Append is RPUSH, Pop is LPOP, Read is LRANGE with the flag `r`, AppendIf at the parity that it wants is RPUSH. Redis
//! has no command that fails at a parity, so at the other one it is LSET beyond every list, which fails at any value:
//! what is compared is what a node does with a command that fails there.
//!
//! Where the node differs on purpose, and why a search over it still speaks of the scripts:
//!
//! - CONFLICT: a settle of another history at the ballot that was accepted last, which no sound coordinator sends. The
//!   scripts refuse it; the node takes it, or asks for its state, so a search sees the breach of I3 at its checker and
//!   not hidden by the node's own guard. Here the server must refuse it, and nothing must change.
//! - FENCED, EXPIRED, AHEAD, REFUSED, STRAY: nothing changed, and the round counts no vote. To it that is a call that
//!   never left, and the searches have those.
//! - EXPIRING, MISMATCH, expiry, batches, several keys, deltas, slices, a reply too long to remember and the end of the
//!   retry window: not in the searches; `tests/model_is_scripts.rs` and the simulation have them.
//! - An answer of the node brings its whole state. Of a server a coordinator fetches what a settle takes by `snapshot`; where
//!   that is no longer at the position that is settled, the settle is not sent: a call that never left.
//! - The ops that a history remembers: the node looks through the history, the record lists the last op of each coordinator
//!   by the ballot under which it ran. The same as long as an op's ballots are its coordinator's, which is the contract.

#[path = "abstract_node/alike.rs"]
mod alike;
#[allow(dead_code, reason = "shared with the search of the protocol")]
#[path = "model/history.rs"]
mod history;
#[allow(dead_code, reason = "shared with the search of the protocol")]
#[path = "model/node.rs"]
mod node;
#[path = "abstract_node/pair.rs"]
mod pair;
#[allow(dead_code, reason = "shared with the search of the protocol")]
#[path = "model/rng.rs"]
mod rng;
#[path = "abstract_node/sequence.rs"]
mod sequence;
mod server_model;

use std::collections::BTreeMap;
use std::env;

use alike::Difference;
use history::DigestOver;
use sequence::Sequence;
use server_model::{Mistake, Server};

const CALLS: u64 = 16_000;
const CALLS_OF_A_SEQUENCE: u64 = 60;

/// Every kind of answer, and what leads to it.
const KINDS: &str = "ABSENT, ACK not run, ACK ran, ACK ran on nothing, ACK remembered, CONFLICT, NACK, \
    NACK of an older op, NEEDS_STATE, READ, READ absent, READ of nothing, SETTLED confirm, SETTLED confirm nothing, \
    SETTLED state, SETTLED state on nothing";

type Seen = BTreeMap<&'static str, u64>;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One sequence, from nodes without a record.
fn run(seed: u64, over: DigestOver, mistake: Option<Mistake>, seen: &mut Seen) -> Result<(), Difference> {
    let server = || mistake.map_or_else(Server::default, Server::with_mistake);
    let mut sequence = Sequence::new(seed, over, server);
    (0..CALLS_OF_A_SEQUENCE).try_for_each(|_| sequence.step(seen))
}

fn compare(over: DigestOver, mistake: Option<Mistake>, calls: u64) -> Seen {
    let (first, mut seen) = (from_env("ANARCHO_SEED", 1), Seen::new());
    let sequences = calls.div_ceil(CALLS_OF_A_SEQUENCE);
    for seed in first..first + sequences {
        if let Err(Difference(text)) = run(seed, over, mistake, &mut seen) {
            panic!("{over:?}, {mistake:?}, seed {seed} (ANARCHO_SEED={seed} ANARCHO_CALLS=1):\n{text}");
        }
    }
    println!("{over:?}, {mistake:?}: {sequences} sequences from seed {first}: {seen:?}");
    seen
}

#[test]
fn the_node_of_the_searches_answers_and_holds_what_the_scripts_do() {
    let calls = from_env("ANARCHO_CALLS", CALLS);
    let seen = compare(DigestOver::IdAndBallot, None, calls);
    let missing: Vec<_> = KINDS.split(", ").filter(|kind| !seen.contains_key(kind)).collect();
    assert!(missing.is_empty() || calls < CALLS, "never answered: {missing:?}");
}

#[test]
fn the_node_whose_digests_leave_the_ballot_out_is_the_scripts_with_that_one_mistake() {
    let calls = from_env("ANARCHO_CALLS", CALLS / 4);
    compare(DigestOver::Id, Some(Mistake::DigestWithoutBallot), calls);
}

/// The mistakes that one key and no delta can show.
#[test]
fn a_server_with_a_mistake_or_a_node_with_other_digests_is_found_out() {
    for (over, mistake) in [
        (DigestOver::IdAndBallot, Some(Mistake::DigestWithoutBallot)),
        (DigestOver::IdAndBallot, Some(Mistake::PromiseTwice)),
        (DigestOver::IdAndBallot, Some(Mistake::RetryRunsAgain)),
        (DigestOver::IdAndBallot, Some(Mistake::ConfirmAnyDigest)),
        (DigestOver::Id, None),
    ] {
        let found = (1..=40).find_map(|seed| Some((seed, run(seed, over, mistake, &mut Seen::new()).err()?)));
        let Some((seed, Difference(text))) = found else { panic!("{over:?}, {mistake:?} was not noticed") };
        println!("{over:?}, {mistake:?}: found with seed {seed}: {text}");
    }
}

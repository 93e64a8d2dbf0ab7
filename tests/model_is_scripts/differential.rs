//! The comparison itself, and its control.

use std::env;

use crate::harness::Version;
use crate::pair::{Difference, Pair};
use crate::sequence::{Seen, Sequence};
use crate::server_model::Mistake;

const CALLS_OF_A_SEQUENCE: u64 = 80;
const CALLS: u64 = 12_000;

/// What must have been answered at least once on each version.
const WORDS: &str = "ABSENT, ACK, AHEAD, CONFLICT, EXPIRED, EXPIRING, FENCED, LOST, NACK, NEEDS_STATE, PAGE, READ, \
    REFUSED, SETTLED, SLICE, SNAPSHOT, STAGED, STRAY, LOST REPLY, MISMATCH, remembered, not run, \
    with states, raised, SNAPSHOT delta, SNAPSHOT full, gone, large, later, SETTLED confirm, \
    SETTLED delta, SETTLED full, SETTLED staged, claim OK, start OK, readmit OK, demote OK, rejoin OK, \
    move OK, epoch OK, promote OK, forget OK, mark OK, clean OK, claim CLAIMED, claim NOT_EMPTY, \
    move CLAIMED, start OTHER, readmit OTHER, rejoin OTHER, epoch OTHER, promote OTHER, forget OTHER, \
    nonsense OTHER, demote OTHER, purge GO, purge STAYS, purge NONE, drop PURGED, drop KEPT, COPIES, COPIED, \
    copies taken, copies COPIED, copies REFUSED, adopt OK, adopt LISTED, adopt SAME, adopt OTHER, adopt DROPPED";

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn step(sequence: &mut Sequence<'_>) -> Result<(), Difference> {
    let node = sequence.rng.below(2) as usize;
    if sequence.fences[node].is_empty() && sequence.rng.percent(60) {
        return sequence.join(node).await;
    }
    match sequence.rng.below(100) {
        0..30 => sequence.apply(node).await,
        30..38 => sequence.usual(node).await,
        38..50 => sequence.read(node).await,
        50..60 => sequence.confirm(node).await,
        60..72 => sequence.copy(node).await,
        72..80 => sequence.made_up(node).await,
        80..86 => sequence.snapshot(node).await,
        86..87 => sequence.clones(node).await,
        87..88 => sequence.stage(node).await,
        88..89 => sequence.page(node).await,
        89..91 => sequence.purge(node).await,
        91..94 => sequence.admit(node).await,
        94..96 => sequence.adopt(node).await,
        _ => sequence.plain(node).await,
    }
}

async fn run(
    seed: u64,
    nodes: &mut [Pair; 2],
    seen: &mut Seen,
    mistake: Option<Mistake>,
) -> Result<(), Difference> {
    for node in nodes.iter_mut() {
        node.forget_all(mistake).await;
    }
    let mut sequence = Sequence::start(seed, nodes, seen).await;
    for _ in 0..CALLS_OF_A_SEQUENCE {
        step(&mut sequence).await?;
    }
    for node in nodes.iter_mut() {
        node.compare_all().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_model_answers_and_holds_what_every_version_does() {
    let (first, calls) = (from_env("ANARCHO_SEED", 1), from_env("ANARCHO_CALLS", CALLS));
    for version in Version::ALL {
        let mut nodes = [Pair::start(version).await, Pair::start(version).await];
        let mut seen = Seen::new();
        for seed in first..first + calls.div_ceil(CALLS_OF_A_SEQUENCE) {
            if let Err(Difference(text)) = run(seed, &mut nodes, &mut seen, None).await {
                panic!("{version}, seed {seed} (ANARCHO_SEED={seed} ANARCHO_CALLS=1):\n{text}");
            }
        }
        println!("{version}: from seed {first} {seen:?}");
        let missing: Vec<_> = WORDS.split(", ").filter(|word| !seen.contains_key(*word)).collect();
        assert!(missing.is_empty() || calls < CALLS, "{version}: never answered: {missing:?}");
    }
}

#[tokio::test]
async fn a_model_with_a_mistake_is_found_out() {
    let mut nodes = [Pair::start(Version::V7_4).await, Pair::start(Version::V7_4).await];
    for mistake in [
        Mistake::DigestWithoutBallot,
        Mistake::PromiseTwice,
        Mistake::RetryRunsAgain,
        Mistake::ConfirmAnyDigest,
        Mistake::DeltaFromAnyBase,
        Mistake::StrayIsTaken,
    ] {
        let mut found = false;
        for seed in 1..=40 {
            found |= run(seed, &mut nodes, &mut Seen::new(), Some(mistake)).await.is_err();
            if found {
                println!("{mistake:?}: found with seed {seed}");
                break;
            }
        }
        assert!(found, "{mistake:?} was not noticed");
    }
}

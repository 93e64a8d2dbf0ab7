//! The checker of linearizability tells good histories from bad ones: tables drawn by hand, and random histories that two
//! other judges see as it does.

#[path = "linearizability/drawing.rs"]
mod drawing;
#[path = "linearizability/judges.rs"]
mod judges;
mod linearizable;
#[path = "linearizability/long.rs"]
mod long;
#[path = "linearizability/model.rs"]
mod model;
#[path = "linearizability/random.rs"]
mod random;
#[path = "model/rng.rs"]
mod rng;
#[path = "linearizability/tables.rs"]
mod tables;

use std::env;
use std::time::{Duration, Instant};

use linearizable::{Call, End, Verdict, check, check_within};
use long::Size;
use model::{Key, Op, Reply};
use random::{Ends, Semantics, history};
use rng::Rng;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn judge(drawing: &str) -> Verdict {
    check(&Key::default(), &drawing::calls(drawing))
}

#[test]
fn every_history_known_to_be_good_is_linearizable() {
    for (what, drawing) in tables::GOOD {
        let verdict = judge(drawing);
        assert!(verdict.is_linearizable(), "{what}: {verdict}");
    }
}

#[test]
fn every_history_known_to_be_bad_is_caught() {
    for (what, drawing) in tables::BAD {
        assert!(judge(drawing).is_violated(), "{what}: {}", judge(drawing));
    }
}

#[test]
fn a_bad_history_turns_good_with_its_last_return_unseen() {
    for (what, drawing) in tables::BAD {
        let Verdict::Violated(counterexample) = judge(drawing) else { panic!("{what} is not caught") };
        let mut calls = drawing::calls(drawing);
        calls.retain(|call| call.invoked < counterexample.place);
        for call in &mut calls {
            call.end = unseen_from(counterexample.place, &call.end);
        }
        let verdict = check(&Key::default(), &calls);
        assert!(verdict.is_linearizable(), "{what}, before {}: {verdict}", counterexample.place);
    }
}

/// The end as it was known just before the place.
fn unseen_from(place: u64, end: &End<Reply>) -> End<Reply> {
    match *end {
        End::Returned { at, .. } if at >= place => End::Open,
        End::Applied { at } if at >= place => End::Perhaps { at },
        _ => end.clone(),
    }
}

#[test]
fn a_counterexample_names_the_reply_that_fits_nowhere_and_the_state_there() {
    let verdict = judge(
        "
        [set 1] [get=1] [set 2] [get=2] [get=1] [get=2]",
    );
    let Verdict::Violated(counterexample) = &verdict else { panic!("{verdict}") };
    assert_eq!(counterexample.unplaced, [4], "{verdict}");
    for text in ["#4 client 0 (80..93) Get answered [1], would answer [2] here", "state Key { value: [2]"] {
        assert!(verdict.to_string().contains(text), "{text} is not in\n{verdict}");
    }
}

#[test]
fn a_search_that_is_too_long_is_undecided_and_neither_good_nor_bad() {
    let open = (0..12).map(|element| Call { client: 0, op: Op::Push(element), invoked: 1, end: End::Open });
    let range = End::Returned { at: 3, reply: vec![100] };
    let calls: Vec<_> = open.chain([Call { client: 1, op: Op::Range, invoked: 2, end: range }]).collect();
    let verdict = check_within(&Key::default(), &calls, 1_000);
    assert!(matches!(verdict, Verdict::Undecided { .. }), "{verdict}");
}

#[test]
fn many_open_writes_of_one_value_or_of_a_counter_are_no_burden() {
    for op in [Op::Incr, Op::Set(7), Op::Get] {
        let open = (0..40).map(|_| Call { client: 0, op, invoked: 1, end: End::Open });
        let get = End::Returned { at: 3, reply: vec![41] };
        let calls: Vec<_> = open.chain([Call { client: 1, op: Op::Get, invoked: 2, end: get }]).collect();
        let verdict = check_within(&Key::default(), &calls, 1_000);
        assert!(verdict.is_violated(), "{op:?}: {verdict}");
    }
}

/// Judges random histories, and has the other judges judge them: how many were good and bad.
fn compare(semantics: Semantics, ends: Ends, histories: u64) -> (u64, u64) {
    let first = from_env("ANARCHO_SEED", 1);
    let (mut good, mut bad) = (0, 0);
    for seed in first..first + histories {
        let calls = history(&mut Rng::new(seed), semantics, ends);
        let verdict = check(&Key::default(), &calls);
        let told = || format!("{semantics:?} {ends:?} ANARCHO_SEED={seed}: {verdict}\n{calls:#?}");
        assert_eq!(verdict.is_linearizable(), judges::by_permutations(&calls), "permutations: {}", told());
        if ends != Ends::All {
            assert_eq!(verdict.is_linearizable(), judges::by_stateright(&calls), "stateright: {}", told());
        }
        assert!(!matches!(verdict, Verdict::Undecided { .. }), "{}", told());
        *if verdict.is_linearizable() { &mut good } else { &mut bad } += 1;
    }
    println!("{semantics:?} {ends:?}: {histories} histories from seed {first}: {good} good, {bad} bad");
    (good, bad)
}

fn assert_both_are_common((good, bad): (u64, u64)) {
    let fifth = (good + bad) / 5;
    assert!(good > fifth && bad > fifth, "{good} good and {bad} bad histories: the comparison shows little");
}

#[test]
fn random_histories_are_judged_as_stateright_and_all_permutations_judge_them() {
    for semantics in Semantics::ALL {
        assert_both_are_common(compare(semantics, Ends::OfClients, 5_000));
    }
}

#[test]
fn random_histories_with_ticks_and_lost_replies_are_judged_as_all_permutations_judge_them() {
    for semantics in Semantics::ALL {
        assert_both_are_common(compare(semantics, Ends::All, 5_000));
    }
}

/// Judges long histories, with and without a stale reply; how many of the latter were caught.
fn judge_long(semantics: Semantics, size: Size, histories: u64) -> u64 {
    let first = from_env("ANARCHO_SEED", 1);
    let (mut caught, mut undecided, mut times) = (0, 0, [Duration::ZERO; 2]);
    for seed in first..first + histories {
        let mut rng = Rng::new(seed);
        let mut calls = long::history(&mut rng, semantics, size);
        let begun = Instant::now();
        let verdict = check(&Key::default(), &calls);
        times[0] += begun.elapsed();
        assert!(verdict.is_linearizable(), "{semantics:?} {size:?} ANARCHO_SEED={seed}: {verdict}");
        long::make_stale(&mut rng, &mut calls);
        let begun = Instant::now();
        let verdict = check(&Key::default(), &calls);
        times[1] += begun.elapsed();
        caught += u64::from(verdict.is_violated());
        undecided += u64::from(matches!(verdict, Verdict::Undecided { .. }));
    }
    let [good, stale] = times.map(|time| histories as f64 / time.as_secs_f64());
    println!(
        "{semantics:?} {size:?}: {histories} histories from seed {first}: {good:.0}/s; \
         with a stale reply {stale:.0}/s, {caught} caught, {undecided} undecided"
    );
    caught
}

#[test]
fn long_histories_with_calls_that_stay_open_are_judged() {
    let histories = from_env("ANARCHO_HISTORIES", 2);
    for (clients, calls) in [(4, 60), (8, 200)] {
        let size = Size { clients, calls, given_up: 4 };
        let caught: u64 =
            Semantics::ALL.into_iter().map(|semantics| judge_long(semantics, size, histories)).sum();
        assert!(caught > histories, "{caught} stale replies of {} caught", 4 * histories);
    }
}

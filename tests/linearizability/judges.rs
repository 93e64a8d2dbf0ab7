//! Two other judges of histories: stateright's tester, and every order there is.

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::linearizable::{Call, End, Sequential};
use super::model::{Key, Op, Reply};

impl SequentialSpec for Key {
    type Op = Op;
    type Ret = Reply;

    fn invoke(&mut self, op: &Op) -> Reply {
        self.apply(op)
    }
}

enum Event {
    Invoked(Op),
    Returned(Reply),
}

/// Only returned calls, and open ones that are their clients' last.
pub fn by_stateright(calls: &[Call<Op, Reply>]) -> bool {
    let mut events = Vec::new();
    for call in calls {
        events.push((call.invoked, call.client, Event::Invoked(call.op)));
        match &call.end {
            End::Returned { at, reply } => events.push((*at, call.client, Event::Returned(reply.clone()))),
            End::Open => {}
            End::Applied { .. } | End::Perhaps { .. } => panic!("stateright has no such end: {call:?}"),
        }
    }
    events.sort_by_key(|(place, client, event)| (*place, *client, matches!(event, Event::Invoked(_))));
    let mut tester = LinearizabilityTester::new(Key::default());
    for (_, client, event) in events {
        let taken = match event {
            Event::Invoked(op) => tester.on_invoke(client, op).map(drop),
            Event::Returned(reply) => tester.on_return(client, reply).map(drop),
        };
        taken.expect("a history in which each client waits for its reply");
    }
    tester.is_consistent()
}

/// Tries each order of each choice of calls, but for those that begin wrongly.
pub fn by_permutations(calls: &[Call<Op, Reply>]) -> bool {
    some_order(&Key::default(), &calls.iter().collect::<Vec<_>>())
}

/// Is there an order of these calls, of which the optional ones may be left out?
fn some_order(state: &Key, left: &[&Call<Op, Reply>]) -> bool {
    if left.iter().all(|call| matches!(call.end, End::Open | End::Perhaps { .. })) {
        return true;
    }
    (0..left.len()).any(|index| {
        let (call, mut rest) = (left[index], left.to_vec());
        rest.remove(index);
        // Whoever ended before this one was invoked cannot come after it: it is left out, if it may be.
        let too_late = |other: &&Call<Op, Reply>| end(other) <= call.invoked;
        if rest.iter().any(|other| too_late(other) && !matches!(other.end, End::Perhaps { .. })) {
            return false;
        }
        rest.retain(|other| !too_late(other));
        let mut next = state.clone();
        let reply = next.apply(&call.op);
        let fits = !matches!(&call.end, End::Returned { reply: told, .. } if *told != reply);
        fits && some_order(&next, &rest)
    })
}

fn end(call: &Call<Op, Reply>) -> u64 {
    match call.end {
        End::Returned { at, .. } | End::Applied { at } | End::Perhaps { at } => at,
        End::Open => u64::MAX,
    }
}

//! Answers without what they bring: a round decides by where nodes stand, and its driver finds the rest by the node.

use anarchoredis::protocol::{Ack, ApplyAnswer, ReadAnswer};

use super::node::Seen;

pub fn without_state(answer: &ApplyAnswer<Seen>) -> ApplyAnswer<()> {
    match answer {
        ApplyAnswer::Ack(ack) => ApplyAnswer::Ack(Ack { standing: ack.standing, ran: ack.ran, reply: () }),
        ApplyAnswer::Absent { .. } => ApplyAnswer::Absent { reply: () },
        ApplyAnswer::Nack { promised } => ApplyAnswer::Nack { promised: *promised },
        ApplyAnswer::Expiring { at_ms } => ApplyAnswer::Expiring { at_ms: *at_ms },
        ApplyAnswer::NoVote(why) => ApplyAnswer::NoVote(*why),
    }
}

pub fn without_reply(answer: &ReadAnswer<Seen>) -> ReadAnswer<()> {
    match answer {
        ReadAnswer::Report { promised, standing, .. } => {
            ReadAnswer::Report { promised: *promised, standing: *standing, due_ms: 0, reply: () }
        }
        ReadAnswer::Absent { .. } => ReadAnswer::Absent { reply: () },
        ReadAnswer::Expiring { at_ms } => ReadAnswer::Expiring { at_ms: *at_ms },
        ReadAnswer::NoVote => ReadAnswer::NoVote,
    }
}

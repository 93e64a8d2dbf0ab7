//! WAIT: on how many nodes this connection's last write is.
//!
//! A write is acknowledged when a majority has it, so there is mostly nothing to wait for; the others get it in the background.

use super::{int, integer, refuse, wrong_arity};
use crate::client::Client;
use crate::client::steps::reply_or_error;
use crate::command::Register;
use crate::node::{Node, Seat};
use crate::protocol::{Ballot, Position, Standing};
use crate::proxy::dialogue::{Dialogue, Step};
use crate::proxy::request::Request;
use crate::script::{ReadCall, ReadReply};
use futures_util::future::join_all;
use redis::Value;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// WAIT nodes timeout
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    if request.len() != 3 {
        return wrong_arity("wait");
    }
    let Some(wanted) = integer(request.word(1)) else {
        return refuse("ERR value is not an integer or out of range");
    };
    let Some(millis) = integer(request.word(2)) else {
        return refuse("ERR timeout is not an integer or out of range");
    };
    let Ok(millis) = u64::try_from(millis) else { return refuse("ERR timeout is negative") };
    let client = with.client.clone();
    let Some(key) = with.last_write.clone() else {
        // It has written nothing that a node could lack.
        let voters = with.shared.voters();
        return Step::Now(int(voters));
    };
    let until = (millis > 0).then(|| Instant::now() + Duration::from_millis(millis));
    Step::Alone(Box::pin(async move {
        let position = match client.version(&key).await {
            Ok(Some(position)) => position,
            Ok(None) => return int(client.nodes().len()),
            Err(error) => return reply_or_error(Err(error)),
        };
        let wanted = usize::try_from(wanted).unwrap_or(0).min(client.nodes().len());
        loop {
            let held = holders(&client, &key, position).await;
            if held >= wanted || until.is_some_and(|until| Instant::now() >= until) {
                return int(held);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }))
}

/// How many nodes have this history, or one that is longer.
async fn holders(client: &Client, key: &[u8], position: Position) -> usize {
    let looks = looks(client, &client.table().scopes().register_of(key)).await;
    // What a node has settled since extends what was committed before; what it has only run may not.
    let holds = |look: &&Look| {
        look.standing.is_some_and(|(_, held)| held.position == position || held.settled >= position.version)
    };
    looks.iter().filter(holds).count()
}

/// What one node holds of a register.
pub struct Look {
    /// Its address.
    pub node: String,
    /// What it counts as.
    pub seat: Seat,
    /// The ballot that it has promised, and where its history stands; none where it has no record.
    pub standing: Option<(Ballot, Standing)>,
    /// Why it said nothing.
    pub error: Option<String>,
}

/// Asks every node for itself.
pub async fn looks(client: &Client, register: &Register) -> Vec<Look> {
    let record = register.record_key();
    let patience = client.config().answer_timeout;
    let at_ms = client.config().surroundings.now_us() / 1_000;
    let roster = client.inner().roster();
    let asked = roster.nodes.iter().map(|node| {
        let call = ReadCall { record: &record, keys: &[], at_ms, commands: &[] };
        let calling = node.send(&|ticket| call.encode(ticket), patience);
        async move {
            let mut look =
                Look { node: node.name().to_owned(), seat: node.seat(), standing: None, error: None };
            match calling.await.map_err(|error| error.to_string()).and_then(parse) {
                Ok(standing) => look.standing = standing,
                Err(error) => look.error = Some(error),
            }
            look
        }
    });
    join_all(asked).await
}

fn parse(reply: Value) -> Result<Option<(Ballot, Standing)>, String> {
    match ReadReply::parse(reply) {
        Ok(ReadReply::Report { promised, standing, .. }) => Ok(Some((promised, standing))),
        Ok(ReadReply::Absent(_)) => Ok(None),
        Ok(ReadReply::Expiring(at_ms)) => Err(format!("a key expires at {at_ms}")),
        Ok(ReadReply::Refused(why)) => Err(why),
        Ok(ReadReply::Fenced) => Err("FENCED: its admission changed".into()),
        Err(malformed) => Err(malformed.to_string()),
    }
}

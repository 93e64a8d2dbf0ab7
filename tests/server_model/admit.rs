//! lua/admit.lua

use super::fragments::{Call, Ended, as_text, error_of, give_up, number, or_empty};
use super::reply::{Reply, words};

const NODE: &[u8] = b"anrcho_node";
const CONTRACT: &[u8] = b"2";

/// What `anrcho_node` and `anrcho_fence` say.
struct Info {
    cluster: Vec<u8>,
    node: Vec<u8>,
    epoch: Vec<u8>,
    role: Vec<u8>,
    run_id: Vec<u8>,
    members: Vec<u8>,
    scopes: Vec<u8>,
    flushed: Vec<u8>,
    purge_age_ms: Vec<u8>,
    contract: Vec<u8>,
    fence: Vec<u8>,
}

impl Info {
    fn load(call: &mut Call<'_, '_>) -> Ended<Info> {
        let fields: [&[u8]; 10] = [
            b"cluster",
            b"node",
            b"epoch",
            b"role",
            b"run_id",
            b"members",
            b"scopes",
            b"flushed",
            b"purge_age_ms",
            b"contract",
        ];
        let info = call.session.call_strings(&[&[b"HMGET", NODE], &fields[..]].concat())?;
        let [cluster, node, epoch, role, run_id, members, scopes] =
            [0, 1, 2, 3, 4, 5, 6].map(|at| or_empty(&info[at]));
        let flushed = info[7].clone().unwrap_or_else(|| b"0".to_vec());
        let purge_age_ms = or_empty(&info[8]);
        // A cluster of before there were numbers keeps the first contract.
        let known = if cluster.is_empty() { Vec::new() } else { b"1".to_vec() };
        let contract = if cluster.is_empty() { known } else { info[9].clone().unwrap_or(known) };
        let fence = or_empty(&call.session.call_string(&[b"GET", b"anrcho_fence"])?);
        Ok(Info {
            cluster,
            node,
            epoch,
            role,
            run_id,
            members,
            scopes,
            flushed,
            purge_age_ms,
            contract,
            fence,
        })
    }
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    let what = call.arg(1)?;
    let mut info = Info::load(&mut call)?;
    if !info.contract.is_empty() && info.contract != CONTRACT {
        if what != b"look" {
            return Ok(other("contract", &info.contract));
        }
        info.fence.clear();
    }
    match what {
        b"look" => look(&mut call, info),
        b"claim" => claim(&mut call, info),
        b"adopt" => adopt(&mut call, info),
        b"start" => start(&mut call, &info),
        b"readmit" | b"demote" => after_restart(&mut call, &info, what),
        b"rejoin" => rejoin(&mut call, &info),
        b"move" => move_to(&mut call, info),
        b"epoch" => epoch(&mut call, &info),
        b"promote" => promote(&mut call, &info),
        _ => bookkeeping(&mut call, &info, what),
    }
}

fn other(field: &str, value: &[u8]) -> Reply {
    words!["OTHER", field, value]
}

/// Gives up with OTHER unless the node is what the call takes it for.
fn must_be(field: &str, found: &[u8], named: &[u8]) -> Ended<()> {
    if found == named { Ok(()) } else { give_up(other(field, found)) }
}

fn write(call: &mut Call<'_, '_>, fields: &[&[u8]]) -> Ended<Reply> {
    let reply = call.session.pcall(&[&[b"HSET", NODE], fields].concat());
    match error_of(&reply) {
        Some(refused) => give_up(words!["REFUSED", refused]),
        None => Ok(words!["OK"]),
    }
}

fn write_with_fence(call: &mut Call<'_, '_>, token: &[u8], fields: &[&[u8]]) -> Ended<Reply> {
    let answer = write(call, fields)?;
    call.session.call(&[b"SET", b"anrcho_fence", token])?;
    Ok(answer)
}

fn look(call: &mut Call<'_, '_>, info: Info) -> Ended<Reply> {
    let Info { cluster, node, epoch, role, run_id, members, scopes, flushed, purge_age_ms, contract, fence } =
        info;
    let (keys, now_us) = (call.session.store.len().to_string(), call.session.now_us.to_string());
    let decided = call.session.call_string(&[b"HGET", b"anrcho_config", b"generation"])?;
    let decided = decided.unwrap_or_else(|| b"0".to_vec());
    let who = words!["NODE", cluster, node, epoch, role, run_id, members, fence, keys, now_us];
    let Reply::Array(mut all) = who else { unreachable!("words are an array") };
    all.extend([scopes, flushed, purge_age_ms, decided, contract].map(Reply::bulk));
    Ok(Reply::Array(all))
}

fn must_be_empty(call: &Call<'_, '_>) -> Ended<()> {
    match call.session.store.len() {
        0 => Ok(()),
        keys => give_up(words!["NOT_EMPTY", as_text(keys as i64)]),
    }
}

fn claim(call: &mut Call<'_, '_>, info: Info) -> Ended<Reply> {
    let (cluster, node) = (call.arg(2)?, call.arg(3)?);
    if !info.cluster.is_empty() {
        let is_mine = info.cluster == cluster && info.node == node;
        return Ok(if is_mine { words!["OK"] } else { words!["CLAIMED", info.cluster, info.members] });
    }
    must_be_empty(call)?;
    let (members, run_id) = (call.arg(4)?, call.arg(5)?);
    let who = [b"cluster", cluster, b"node", node, b"members", members, b"run_id", run_id];
    let [scopes, purge_age] = [5, 6].map(|at| call.args.get(at).copied().unwrap_or_default());
    write(
        call,
        &[
            &who[..],
            &[b"epoch", b"1", b"role", b"claimed", b"scopes", scopes, b"purge_age_ms", purge_age],
            &[b"contract", CONTRACT],
        ]
        .concat(),
    )
}

fn adopt(call: &mut Call<'_, '_>, info: Info) -> Ended<Reply> {
    let (cluster, node) = (call.arg(2)?, call.arg(3)?);
    if !info.cluster.is_empty() {
        if info.cluster != cluster || info.node != node {
            return Ok(words!["CLAIMED", info.cluster, info.members]);
        }
        must_be("role", &info.role, b"adopting")?;
    }
    let who = [b"cluster", cluster, b"node", node, b"members", call.arg(4)?, b"run_id", call.arg(5)?];
    let when = [b"epoch", call.arg(7)?, b"role", b"adopting"];
    let [scopes, purge_age] = [7, 8].map(|at| call.args.get(at).copied().unwrap_or_default());
    let terms = [b"scopes".as_slice(), scopes, b"purge_age_ms", purge_age, b"contract", CONTRACT];
    write_with_fence(call, call.arg(6)?, &[&who[..], &when[..], &terms].concat())
}

fn start(call: &mut Call<'_, '_>, info: &Info) -> Ended<Reply> {
    must_be("cluster", &info.cluster, call.arg(2)?)?;
    if info.role != b"claimed" {
        return Ok(words!["OK"]);
    }
    write_with_fence(call, call.arg(3)?, &[b"role", b"voter"])
}

fn after_restart(call: &mut Call<'_, '_>, info: &Info, what: &[u8]) -> Ended<Reply> {
    must_be("node", &info.node, call.arg(2)?)?;
    if what == b"readmit" {
        must_be("run_id", &info.run_id, call.arg(5)?)?;
        return write_with_fence(call, call.arg(4)?, &[b"run_id", call.arg(3)?]);
    }
    must_be("run_id", &info.run_id, call.arg(4)?)?;
    if call.args.get(4) != Some(&info.fence.as_slice()) {
        return Ok(other("fence", b""));
    }
    write_with_fence(call, call.arg(3)?, &[b"role", b"joining"])
}

fn rejoin(call: &mut Call<'_, '_>, info: &Info) -> Ended<Reply> {
    must_be("node", &info.node, call.arg(2)?)?;
    must_be("role", &info.role, b"joining")?;
    if generation_of(&info.epoch) != generation_of(call.arg(3)?) {
        return Ok(other("epoch", &info.epoch));
    }
    write_with_fence(call, call.arg(5)?, &[b"epoch", call.arg(3)?, b"run_id", call.arg(4)?])
}

fn generation_of(epoch: &[u8]) -> i64 {
    let epoch: Option<i64> = std::str::from_utf8(epoch).ok().and_then(|text| text.parse().ok());
    epoch.unwrap_or(0) / 1_000_000
}

fn move_to(call: &mut Call<'_, '_>, info: Info) -> Ended<Reply> {
    let (from, to) = (generation_of(&info.epoch), generation_of(call.arg(5)?));
    if info.cluster.is_empty() {
        must_be_empty(call)?;
    } else if info.cluster != call.arg(2)? || info.node != call.arg(3)? {
        return Ok(words!["CLAIMED", info.cluster, info.members]);
    } else if from == to && (info.members != call.arg(4)? || info.flushed != call.arg(8)?) {
        return Ok(other("members", &info.members));
    } else if from >= to {
        return Ok(words!["OK"]);
    }
    let is_named = |member: &[u8]| member.split(|byte| *byte == b'@').next() == call.arg(3).ok();
    if !call.arg(4)?.split(|byte| *byte == b',').any(is_named) {
        return Ok(other("node", &info.node));
    }
    let votes_on = info.role == b"voter" && from + 1 == to;
    if !info.cluster.is_empty() && call.number(8)? > from {
        call.session.store.keep_only(&[b"anrcho_config", b"anrcho_version:{anrcho_config}"]);
    }
    let who = [b"cluster", call.arg(2)?, b"node", call.arg(3)?, b"members", call.arg(4)?];
    let role: &[u8] = if votes_on { b"voter" } else { b"joining" };
    let run_id = if votes_on { info.run_id.as_slice() } else { call.arg(7)? };
    let when = [b"epoch", call.arg(5)?, b"flushed", call.arg(8)?, b"role", role, b"run_id", run_id];
    let optional = |at: usize| call.args.get(at).copied().unwrap_or_default();
    let scopes = [b"scopes".as_slice(), optional(8), b"purge_age_ms", optional(9), b"contract", CONTRACT];
    write_with_fence(call, call.arg(6)?, &[&who[..], &when[..], &scopes].concat())
}

fn epoch(call: &mut Call<'_, '_>, info: &Info) -> Ended<Reply> {
    must_be("node", &info.node, call.arg(2)?)?;
    if number(&info.epoch)? >= call.number(3)? || generation_of(&info.epoch) != generation_of(call.arg(3)?) {
        return Ok(other("epoch", &info.epoch));
    }
    write_with_fence(call, call.arg(4)?, &[b"epoch", call.arg(3)?])
}

fn promote(call: &mut Call<'_, '_>, info: &Info) -> Ended<Reply> {
    must_be("node", &info.node, call.arg(2)?)?;
    if info.role != b"adopting" {
        must_be("role", &info.role, b"joining")?;
    }
    must_be("epoch", &info.epoch, call.arg(3)?)?;
    must_be("run_id", &info.run_id, call.arg(4)?)?;
    if call.args.get(5) != Some(&info.fence.as_slice()) {
        return Ok(other("fence", b""));
    }
    write_with_fence(call, call.arg(5)?, &[b"role", b"voter"])
}

/// The heal's own: these need the fence.
fn bookkeeping(call: &mut Call<'_, '_>, info: &Info, what: &[u8]) -> Ended<Reply> {
    if info.fence.is_empty() || call.args.get(1) != Some(&info.fence.as_slice()) {
        return Ok(other("fence", b""));
    }
    match what {
        b"forget" => forget(call, info),
        b"mark" => {
            let reply = call.session.pcall(&[b"HSET", b"anrcho_dirty", call.arg(3)?, call.arg(4)?]);
            Ok(error_of(&reply).map_or(words!["OK"], |refused| words!["REFUSED", refused]))
        }
        b"swept" | b"filling" => write(call, &[what, call.arg(3)?]),
        b"clean" => {
            let marked = call.session.call_string(&[b"HGET", b"anrcho_dirty", call.arg(3)?])?;
            if marked.as_deref() == call.args.get(3).copied() {
                call.session.call(&[b"HDEL", b"anrcho_dirty", call.arg(3)?])?;
            }
            Ok(words!["OK"])
        }
        _ => Ok(other("call", what)),
    }
}

fn forget(call: &mut Call<'_, '_>, info: &Info) -> Ended<Reply> {
    must_be("role", &info.role, b"joining")?;
    let record = call.key(1)?;
    let head = call.session.load_head(record)?;
    for key in call.session.keys_of(record, head.as_ref())? {
        call.session.call(&[b"DEL", &key])?;
    }
    call.session.call(&[b"DEL", record])?;
    Ok(words!["OK"])
}

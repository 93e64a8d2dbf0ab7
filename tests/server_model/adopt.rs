//! lua/adopt.lua

use super::fragments::{
    Call, Ended, as_text, entry_field, give_up, log_field, number, or_empty, register_of,
};
use super::pack::pack;
use super::record::Head;
use super::reply::{Reply, words};

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    if call.arg(3)? == b"drop" {
        return drop_keys(&mut call);
    }
    let role = or_empty(&call.session.call_string(&[b"HGET", b"anrcho_node", b"role"])?);
    if role != b"adopting" {
        return give_up(words!["OTHER", "role", role]);
    }
    let (record, ballot, op) = (call.key(1)?, call.arg(4)?, call.arg(5)?);
    if ballot.len() != 33 || op.len() != 33 {
        return give_up(words!["REFUSED", "ERR no ballot or op id"]);
    }
    let anew = call.args.get(5) == Some(&b"1".as_slice());
    let held = call.session.load_head(record)?;
    let mut head = held.clone().unwrap_or_default();
    let Head { promised, version, digest, .. } = head.clone();
    let (listed, gone, many) = compare(&mut call, record, held.as_ref())?;
    let many = many || head.is_many();
    if listed.is_empty() && gone.is_empty() && !(anew && held.is_some()) {
        return Ok(words!["SAME", version, digest]);
    }
    if ballot <= promised.as_slice() {
        return give_up(words!["NACK", promised]);
    }
    let version = as_text(number(&version)? + 1).into_bytes();
    let digest =
        sha1_smol::Sha1::from([&digest[..], op, ballot].concat()).hexdigest().as_bytes()[..32].to_vec();
    head.promise(ballot)?;
    (head.accepted, head.settled) = (ballot.to_vec(), version.clone());
    (head.version, head.digest) = (version.clone(), digest.clone());
    if many {
        head.list_many();
    } else if !gone.is_empty() {
        head.entry = Vec::new();
    } else if let Some((_, entry)) = listed.first() {
        head.entry = entry.clone();
    }
    call.session.save_head(record, &head, &[])?;
    if many {
        for (field, entry) in &listed {
            call.session.call(&[b"HSET", record, field, entry])?;
        }
        for field in &gone {
            call.session.call(&[b"HDEL", record, field])?;
        }
        let fields = listed.iter().map(|(field, _)| field).chain(&gone);
        let changed: Vec<Vec<u8>> = match anew {
            true => call.user_keys().iter().map(|key| key.to_vec()).collect(),
            false => fields.map(|field| field[1..].to_vec()).collect(),
        };
        let length = call.session.log_length(record)?;
        let entry = words![version.clone(), digest.clone(), Reply::strings(&changed)];
        call.session.set_field(record, &log_field(number(&version)?, length), &pack(&entry))?;
    }
    Ok(words!["LISTED", version, digest])
}

type Compared = (Vec<(Vec<u8>, Vec<u8>)>, Vec<Vec<u8>>, bool);

/// What is to be listed, what not any more, and whether there is more than the key that is the register's ID.
fn compare(call: &mut Call<'_, '_>, record: &[u8], head: Option<&Head>) -> Ended<Compared> {
    let (mut listed, mut gone, mut multi) = (Vec::new(), Vec::new(), false);
    let now_ms = call.session.now_ms();
    for key in call.user_keys() {
        let field = entry_field(key);
        let entry = call.session.entry_of(record, head, key)?;
        let expiry = call.session.expiry_of(key)?;
        if expiry == -2 {
            if let Some(entry) = entry
                && (entry == b"0" || number(&entry)? > now_ms)
            {
                gone.push(field);
            }
            continue;
        }
        let now_listed = as_text(expiry.max(0)).into_bytes();
        if entry.as_deref() != Some(&now_listed[..]) {
            listed.push((field, now_listed));
        }
        multi |= *key != register_of(record);
    }
    Ok((listed, gone, multi))
}

fn drop_keys(call: &mut Call<'_, '_>) -> Ended<Reply> {
    let (record, mut dropped) = (call.key(1)?, 0);
    let head = call.session.load_head(record)?;
    for key in call.user_keys() {
        if call.session.entry_of(record, head.as_ref(), key)?.is_none() {
            dropped += call.session.call_integer(&[b"DEL", key])?;
        }
    }
    Ok(words!["DROPPED", as_text(dropped)])
}

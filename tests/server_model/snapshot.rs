//! lua/snapshot.lua

use super::fragments::{Call, Ended, as_text, give_up, length_command, log_field, number, or_zero};
use super::pack::unpack;
use super::record::Head;
use super::remembered::pack_ops;
use super::reply::{Reply, words};
use std::collections::BTreeSet;

/// The keys that are asked for, with the log entries that go along.
struct Selection {
    mode: &'static str,
    names: Vec<Vec<u8>>,
    log: Vec<Vec<u8>>,
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let (record, what) = (call.key(1)?, call.arg(3)?);
    let Some(head) = call.session.load_head(record)? else { return give_up(words!["ABSENT"]) };
    let (version, digest) = (head.version.clone(), head.digest.clone());
    if what == b"names" {
        if !head.is_many() {
            let keys = call.session.keys_of(record, Some(&head))?;
            return Ok(words!["SLICE", version, digest, "0", Reply::strings(keys)]);
        }
        return names(&mut call, version, digest);
    }
    if call.is_filling()? {
        return give_up(words!["LOST", ""]);
    }
    if what == b"slice" {
        return slice(&mut call, version, digest);
    }
    let selection = match what {
        b"since" => changed_since(&mut call, number(&version)?)?,
        b"keys" => {
            let names = call.user_keys().iter().map(|key| key.to_vec()).collect();
            Some(Selection { mode: "delta", names, log: Vec::new() })
        }
        _ => None,
    };
    let Selection { mode, names, log } = match selection {
        Some(selection) => selection,
        None if call.session.call_integer(&[b"HLEN", record])? > call.session.most_keys => {
            Selection { mode: "many", names: Vec::new(), log: Vec::new() }
        }
        None => every_key(&mut call, &head)?,
    };
    let states = states(&mut call, &head, &names)?;
    let remembered = head.remembered()?;
    let ops = if remembered.is_empty() { Vec::new() } else { pack_ops(&remembered) };
    let (multi, log) = (if head.is_many() { "1" } else { "0" }, Reply::strings(log));
    let Head { promised, accepted, settled, .. } = head;
    Ok(words!["SNAPSHOT", promised, accepted, settled, version, digest, ops, multi, mode, log, states])
}

fn names(call: &mut Call<'_, '_>, version: Vec<u8>, digest: Vec<u8>) -> Ended<Reply> {
    let (record, position, count) = (call.key(1)?, call.arg(5)?, call.arg(6)?);
    let page = call.session.call(&[b"HSCAN", record, position, b"COUNT", count])?;
    let Reply::Array(page) = page else { unreachable!("a scan answers cursor and elements") };
    let [following, fields]: [Reply; 2] = page.try_into().expect("cursor and elements");
    let Reply::Array(fields) = fields else { unreachable!("fields and values") };
    let names = fields.into_iter().step_by(2).filter_map(|field| match field {
        Reply::Bulk(field) => field.strip_prefix(b"k").map(<[u8]>::to_vec),
        _ => None,
    });
    Ok(words!["SLICE", version, digest, following, Reply::strings(names.collect::<Vec<_>>())])
}

fn slice(call: &mut Call<'_, '_>, version: Vec<u8>, digest: Vec<u8>) -> Ended<Reply> {
    let (key, position, count) = (call.key(2)?, call.arg(5)?, call.arg(6)?);
    let form = call.session.form_of(key);
    let Some(length) = length_command(form) else { return give_up(words!["LOST", key]) };
    if form == "hash" || form == "set" {
        let command: &[u8] = if form == "hash" { b"HSCAN" } else { b"SSCAN" };
        let page = call.session.call(&[command, key, position, b"COUNT", count])?;
        let Reply::Array(page) = page else { unreachable!("a scan answers cursor and elements") };
        let [following, elements]: [Reply; 2] = page.try_into().expect("cursor and elements");
        return Ok(words!["SLICE", version, digest, following, elements]);
    }
    let to = number(position)? + number(count)? - 1;
    let (from, last) = (as_text(number(position)?), as_text(to));
    let (from, last) = (from.as_bytes(), last.as_bytes());
    let elements = match form {
        "string" => words![call.session.call(&[b"GETRANGE", key, from, last])?],
        "list" => call.session.call(&[b"LRANGE", key, from, last])?,
        _ => call.session.call(&[b"ZRANGE", key, from, last, b"WITHSCORES"])?,
    };
    let length = call.session.call_integer(&[length, key])?;
    let following = as_text(if to + 1 < length { to + 1 } else { 0 });
    Ok(words!["SLICE", version, digest, following, elements])
}

/// The keys that changed after the given digest, where the log reaches back to it.
fn changed_since(call: &mut Call<'_, '_>, version: i64) -> Ended<Option<Selection>> {
    let (record, bases) = (call.key(1)?, call.arg(5)?);
    let mut wanted: BTreeSet<&[u8]> = bases.split(|byte| *byte == b',').collect();
    let length = call.session.log_length(record)?;
    let mut selection = Selection { mode: "delta", names: Vec::new(), log: Vec::new() };
    for back in 0..=version.min(length - 1) {
        let packed = call.session.call_string(&[b"HGET", record, &log_field(version - back, length)])?;
        let Some(packed) = packed else { return Ok(None) };
        let Some((logged, digest, changed)) = log_entry(&packed) else { return Ok(None) };
        if logged != as_text(version - back).as_bytes() {
            return Ok(None);
        }
        selection.log.push(packed);
        wanted.remove(digest.as_slice());
        if wanted.is_empty() {
            return Ok(Some(selection));
        }
        if selection.names.len() as i64 > call.session.most_keys {
            return Ok(None);
        }
        for name in changed {
            if !selection.names.contains(&name) {
                selection.names.push(name);
            }
        }
    }
    Ok(None)
}

/// Version, digest, changed keys.
type LogEntry = (Vec<u8>, Vec<u8>, Vec<Vec<u8>>);

fn log_entry(packed: &[u8]) -> Option<LogEntry> {
    let Reply::Array(fields) = unpack(packed)? else { return None };
    let [Reply::Bulk(version), Reply::Bulk(digest), Reply::Array(changed)]: [Reply; 3] =
        fields.try_into().ok()?
    else {
        return None;
    };
    let bytes = |name: Reply| if let Reply::Bulk(name) = name { Some(name) } else { None };
    Some((version, digest, changed.into_iter().map(bytes).collect::<Option<_>>()?))
}

fn every_key(call: &mut Call<'_, '_>, head: &Head) -> Ended<Selection> {
    let record = call.key(1)?;
    let (names, mut log) = (call.session.keys_of(record, Some(head))?, Vec::new());
    for field in call.session.fields(record)? {
        if field.starts_with(b"l") {
            log.extend(call.session.call_string(&[b"HGET", record, &field])?);
        }
    }
    Ok(Selection { mode: "full", names, log })
}

fn states(call: &mut Call<'_, '_>, head: &Head, names: &[Vec<u8>]) -> Ended<Vec<Reply>> {
    let (record, limit) = (call.key(1)?, call.number(4)?);
    let (mut states, mut total) = (Vec::new(), 0);
    for name in names {
        let listed = call.session.entry_of(record, Some(head), name)?;
        let entry = or_zero(&listed);
        let mut form = call.session.form_of(name);
        let is_alive = entry == b"0" || number(&entry)? > call.session.now_ms();
        if form == "gone" && listed.is_some() && is_alive {
            return give_up(words!["LOST", name.clone()]);
        }
        if listed.is_none() {
            form = "gone";
        }
        if total >= limit {
            states.push(words![name.clone(), "later", entry, Reply::Array(Vec::new())]);
            continue;
        }
        let (elements, size) = call.session.elements_within(name, form, limit, 1_000)?;
        total += name.len() as i64 + elements.as_ref().map_or(0, |_| size);
        states.push(match elements {
            Some(elements) => words![name.clone(), form, entry, Reply::strings(elements)],
            None => words![name.clone(), "large", entry, words![form, as_text(size)]],
        });
    }
    Ok(states)
}

//! lua/copy.lua

use super::fragments::{Call, Ended, Field, as_text, give_up, number, or_empty};
use super::pack::{pack, unpack};
use super::record::Head;
use super::reply::{Reply, words};

const MOST_FIELDS: i64 = 200;
const MOST_ELEMENTS: i64 = 1_000;
const MOST_BYTES: i64 = 65_536;

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    if call.arg(3)? == b"out" {
        return give(&mut call);
    }
    if call.session.call_string(&[b"HGET", b"anrcho_node", b"role"])?.as_deref() != Some(b"joining") {
        return give_up(words!["REFUSED", "ERR this node is not being filled"]);
    }
    let Some(Reply::Array(copies)) = unpack(call.arg(4)?) else {
        return super::fragments::raise("ERR no copies");
    };
    let mut taken = 0;
    for copy in copies {
        taken += i64::from(take(&mut call, copy)?);
    }
    Ok(words!["COPIED", as_text(taken)])
}

fn give(call: &mut Call<'_, '_>) -> Ended<Reply> {
    let limit = call.number(4)?;
    let mut records: Vec<Vec<u8>> = call.keys.iter().map(|key| key.to_vec()).collect();
    let mut following = Reply::bulk("0");
    if records.is_empty() {
        (following, records) = call.page_of_records(call.arg(5)?, call.arg(6)?)?;
    }
    let (mut copies, mut left, mut total) = (Vec::new(), Vec::new(), 0);
    for record in records {
        if total >= limit {
            left.push(record);
        } else if let Some((copy, bytes)) = copy_of(call, &record)? {
            copies.push(copy);
            total += bytes;
        }
    }
    let (count, packed) = (as_text(copies.len() as i64), pack(&Reply::Array(copies)));
    Ok(words!["COPIES", following, count, packed, Reply::strings(left)])
}

fn copy_of(call: &mut Call<'_, '_>, record: &[u8]) -> Ended<Option<(Reply, i64)>> {
    let Reply::Int(length) = call.session.pcall(&[b"HLEN", record]) else { return Ok(None) };
    if length > MOST_FIELDS {
        return Ok(None);
    }
    let all = call.session.call_strings(&[b"HGETALL", record])?;
    let all: Vec<Vec<u8>> = all.into_iter().flatten().collect();
    let (mut keys, mut bytes) = (Vec::new(), all.iter().map(Vec::len).sum::<usize>() as i64);
    let head = head_in(&all);
    if head.is_none() || field_of(&all, b"f").is_some() {
        return Ok(None);
    }
    for key in call.session.keys_of(record, head.as_ref())? {
        let value = or_empty(&call.session.entry_of(record, head.as_ref(), &key)?);
        let form = call.session.form_of(&key);
        if form == "gone" && (value == b"0" || number(&value)? > call.session.now_ms()) {
            return Ok(None);
        }
        let (elements, size) = call.session.elements_within(&key, form, MOST_BYTES, MOST_ELEMENTS)?;
        let Some(elements) = elements else { return Ok(None) };
        bytes += size;
        keys.push(words![key, form, Reply::strings(elements), value]);
    }
    Ok(Some((words![record, Reply::strings(all), keys], bytes)))
}

fn field_of(all: &[Vec<u8>], field: &[u8]) -> Field {
    all.chunks(2).find(|pair| pair[0] == field).map(|pair| pair[1].clone())
}

fn head_in(all: &[Vec<u8>]) -> Option<Head> {
    Head::parse([b"h", b"d", b"a", b"o"].map(|field| field_of(all, field)).each_ref())
}

/// The strings of an array.
fn strings(reply: Reply) -> Vec<Vec<u8>> {
    let Reply::Array(items) = reply else { return Vec::new() };
    let bytes = |item| if let Reply::Bulk(bytes) = item { Some(bytes) } else { None };
    items.into_iter().filter_map(bytes).collect()
}

fn take(call: &mut Call<'_, '_>, copy: Reply) -> Ended<bool> {
    let Reply::Array(parts) = copy else { return super::fragments::raise("ERR no copy") };
    let Ok([Reply::Bulk(record), fields, Reply::Array(keys)]) = <[Reply; 3]>::try_from(parts) else {
        return super::fragments::raise("ERR no copy");
    };
    let fields = strings(fields);
    let Some(there) = head_in(&fields) else { return super::fragments::raise("ERR no copy") };
    let held = call.session.load_head(&record)?;
    let mut own = held.clone().unwrap_or_default();
    let is_filling = call.session.call_string(&[b"HGET", &record, b"f"])?.is_some();
    if is_filling || own.promised > there.promised || own.accepted > there.accepted {
        return Ok(false);
    }
    let marks = |head: &Head| [head.promised.clone(), head.accepted.clone(), head.digest.clone()];
    if marks(&own) == marks(&there) {
        return Ok(false);
    }
    if held.is_some() && call.session.call_integer(&[b"HLEN", &record])? > MOST_FIELDS {
        return Ok(false);
    }
    own.promise(&there.promised)?;
    call.session.save_head(&record, &own, &[])?;
    for key in call.session.keys_of(&record, held.as_ref())? {
        call.session.call(&[b"DEL", &key])?;
    }
    for key in keys {
        store(call, key)?;
    }
    call.session.call(&[b"DEL", &record])?;
    let set: Vec<&[u8]> =
        [b"HSET", record.as_slice()].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
    call.session.call(&set)?;
    Ok(true)
}

fn store(call: &mut Call<'_, '_>, key: Reply) -> Ended<()> {
    let Reply::Array(parts) = key else { return super::fragments::raise("ERR no key") };
    let Ok([Reply::Bulk(name), Reply::Bulk(form), elements, Reply::Bulk(expiry)]) =
        <[Reply; 4]>::try_from(parts)
    else {
        return super::fragments::raise("ERR no key");
    };
    let elements = strings(elements);
    let words: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    let form = std::str::from_utf8(&form).unwrap_or_default();
    call.session.call(&[b"DEL", &name])?;
    call.session.store_value(&name, form, &words)?;
    if form != "gone" && expiry != b"0" {
        call.session.call(&[b"PEXPIREAT", &name, &expiry])?;
    }
    Ok(())
}

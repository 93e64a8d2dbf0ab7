//! lua/copy.lua

use super::fragments::{Call, Ended, as_text, entry_field, error_of, give_up, number, or_empty};
use super::pack::{pack, unpack};
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
    let (mut keys, mut bytes, mut promised) = (Vec::new(), 0, false);
    for pair in all.chunks(2) {
        let (field, value) = (&pair[0], &pair[1]);
        if field == b"f" {
            return Ok(None);
        }
        promised |= field == b"p";
        bytes += (field.len() + value.len()) as i64;
        let Some(key) = field.strip_prefix(b"k") else { continue };
        let form = call.session.form_of(key);
        if form == "gone" && (value == b"0" || number(value)? > call.session.now_ms()) {
            return Ok(None);
        }
        let (elements, size) = call.session.elements_within(key, form, MOST_BYTES, MOST_ELEMENTS)?;
        let Some(elements) = elements else { return Ok(None) };
        bytes += size;
        keys.push(words![key, form, Reply::strings(elements)]);
    }
    Ok(promised.then(|| (words![record, Reply::strings(all), keys], bytes)))
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
    let given = |field: &[u8]| {
        fields.chunks(2).find(|pair| pair[0] == field).map(|pair| pair[1].clone()).unwrap_or_default()
    };
    let head = call.session.call_strings(&[b"HMGET", &record, b"p", b"a", b"d", b"f"])?;
    let [promised, accepted, digest] = [0, 1, 2].map(|at| or_empty(&head[at]));
    if head[3].is_some() || promised > given(b"p") || accepted > given(b"a") {
        return Ok(false);
    }
    if [&promised, &accepted, &digest] == [&given(b"p"), &given(b"a"), &given(b"d")] {
        return Ok(false);
    }
    if head[0].is_some() && call.session.call_integer(&[b"HLEN", &record])? > MOST_FIELDS {
        return Ok(false);
    }
    let reply = call.session.pcall(&[b"HSET", &record, b"p", &given(b"p")]);
    if let Some(refused) = error_of(&reply) {
        return give_up(words!["REFUSED", refused]);
    }
    for field in call.session.fields(&record)? {
        if let Some(key) = field.strip_prefix(b"k") {
            call.session.call(&[b"DEL", key])?;
        }
    }
    for key in keys {
        store(call, key, &given)?;
    }
    call.session.call(&[b"DEL", &record])?;
    let set: Vec<&[u8]> =
        [b"HSET", record.as_slice()].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
    call.session.call(&set)?;
    Ok(true)
}

fn store(call: &mut Call<'_, '_>, key: Reply, given: &impl Fn(&[u8]) -> Vec<u8>) -> Ended<()> {
    let Reply::Array(parts) = key else { return super::fragments::raise("ERR no key") };
    let Ok([Reply::Bulk(name), Reply::Bulk(form), elements]) = <[Reply; 3]>::try_from(parts) else {
        return super::fragments::raise("ERR no key");
    };
    let elements = strings(elements);
    let words: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    let form = std::str::from_utf8(&form).unwrap_or_default();
    let expiry = given(&entry_field(&name));
    call.session.call(&[b"DEL", &name])?;
    call.session.store_value(&name, form, &words)?;
    if form != "gone" && expiry != b"0" {
        call.session.call(&[b"PEXPIREAT", &name, &expiry])?;
    }
    Ok(())
}

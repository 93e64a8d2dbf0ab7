//! lua/settle.lua

use super::Mistake;
use super::fragments::{
    Call, Ended, as_text, entry_field, error_of, give_up, length_command, log_field, number, raise,
    register_of,
};
use super::pack::unpack;
use super::record::Head;
use super::remembered::unpack_ops;
use super::reply::{Reply, words};

/// One key of the state that came along.
struct Key<'c> {
    name: &'c [u8],
    form: &'c str,
    expiry: &'c [u8],
    elements: &'c [&'c [u8]],
}

/// What the call brings beside a confirmation's words.
#[derive(Default)]
struct State<'c> {
    log: Vec<&'c [u8]>,
    keys: Vec<Key<'c>>,
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let mode = call.arg(6)?;
    if call.session.load_head(call.key(1)?)?.is_none() {
        call.refuse_old(call.arg(3)?)?;
    }
    if mode == b"reset" {
        return reset(&mut call);
    }
    let needs_state = check_history(&mut call, mode)?;
    let state = if mode == b"confirm" { State::default() } else { parse(&mut call, needs_state)? };
    refuse_dumps(&mut call, &state)?;
    if mode == b"fill" {
        return fill(&mut call, &state);
    }
    let before = accept(&mut call, &state)?;
    if mode == b"confirm" {
        return Ok(words!["SETTLED"]);
    }
    let record = call.key(1)?;
    if call.arg(5)?.is_empty() {
        call.session.call(&[b"HDEL", record, b"d", b"o"])?;
    }
    if mode == b"full" {
        drop_unlisted(&mut call, &state, &before)?;
    }
    for key in &state.keys {
        store(&mut call, record, key)?;
    }
    for entry in &state.log {
        let length = call.session.log_length(record)?;
        let field = log_field(logged_version(entry)?, length);
        call.session.set_field(record, &field, entry)?;
    }
    Ok(words!["SETTLED"])
}

/// Ends where ballot or digest forbid the settle; answers the NEEDS_STATE that a missing stage causes.
fn check_history(call: &mut Call<'_, '_>, mode: &[u8]) -> Ended<Reply> {
    let (ballot, digest, base) = (call.arg(3)?, call.arg(5)?, call.arg(7)?);
    let record = call.key(1)?;
    let head = call.session.load_head(record)?.unwrap_or_default();
    let Head { promised, accepted, version, digest: held, .. } = head;
    let filling = call.session.call_string(&[b"HGET", record, b"f"])?;
    let filling = filling.map(|filling| filling[..32].to_vec());
    if mode != b"fill" && ballot < promised.as_slice() {
        return give_up(words!["NACK", promised]); // I1
    }
    if mode != b"fill" && ballot == accepted && ballot == promised && digest != held {
        return give_up(words!["CONFLICT", held]); // I3
    }
    let mistake = call.session.mistake;
    let is_other = match mode {
        b"fill" => filling.as_deref() != Some(base),
        b"confirm" => (filling.is_some() || held != digest) && mistake != Some(Mistake::ConfirmAnyDigest),
        b"delta" => filling.as_ref().unwrap_or(&held) != base && mistake != Some(Mistake::DeltaFromAnyBase),
        _ => false,
    };
    let needs_state = words!["NEEDS_STATE", version, held];
    if is_other { give_up(needs_state) } else { Ok(needs_state) }
}

/// The node forgets its history, and only a delta from the token ends that.
fn reset(call: &mut Call<'_, '_>) -> Ended<Reply> {
    let (record, ballot, token, replaced) = (call.key(1)?, call.arg(3)?, call.arg(7)?, call.arg(8)?);
    let Head { promised, accepted, entry, .. } = call.session.load_head(record)?.unwrap_or_default();
    let found = call.session.call_string(&[b"HGET", record, b"f"])?;
    let now_ms = call.session.now_ms();
    let is_others = match &found {
        Some(filling) => &filling[..32] != replaced && number(&filling[32..])? > now_ms - 20_000,
        None => false,
    };
    if ballot <= accepted.as_slice() || is_others {
        return give_up(words!["NACK", promised]);
    }
    let filling = [token, as_text(now_ms).as_bytes()].concat();
    let mut forgetful = Head::default();
    (forgetful.promised, forgetful.entry) = (ballot.max(&promised).to_vec(), entry);
    forgetful.list_many();
    call.session.save_head(record, &forgetful, &[b"f", &filling])?;
    call.session.call(&[b"HDEL", record, b"d", b"o", b"a"])?;
    for field in call.session.fields(record)? {
        if field.starts_with(b"l") {
            call.session.call(&[b"HDEL", record, &field])?;
        }
    }
    Ok(words!["SETTLED"])
}

/// Some keys, under no ballot.
fn fill(call: &mut Call<'_, '_>, state: &State<'_>) -> Ended<Reply> {
    let (record, now_ms) = (call.key(1)?, call.session.now_ms());
    let filling = [call.arg(7)?, as_text(now_ms).as_bytes()].concat();
    let reply = call.session.pcall(&[b"HSET", record, b"f", &filling]);
    if let Some(refused) = error_of(&reply) {
        return give_up(words!["REFUSED", refused]);
    }
    for key in &state.keys {
        store(call, record, key)?;
    }
    Ok(words!["SETTLED"])
}

/// ARGV from 11 on, word by word.
struct Words<'c>(&'c [&'c [u8]]);

impl<'c> Words<'c> {
    fn take(&mut self) -> Ended<&'c [u8]> {
        let Some((word, rest)) = self.0.split_first() else { return raise("ERR a nil among ARGV") };
        self.0 = rest;
        Ok(word)
    }

    fn take_number(&mut self) -> Ended<i64> {
        number(self.take()?)
    }
}

/// How many elements a form has: so many, or a multiple of so many.
fn has_elements(form: &str, count: usize) -> bool {
    match form {
        "string" | "dump" => count == 1,
        "staged" => count == 3,
        "gone" => count == 0,
        "list" | "set" => count > 0,
        "hash" | "zset" => count > 0 && count.is_multiple_of(2),
        _ => false,
    }
}

fn parse<'c>(call: &mut Call<'c, '_>, needs_state: Reply) -> Ended<State<'c>> {
    let mut words = Words(call.args.get(10..).unwrap_or_default());
    let mut state = State::default();
    for _ in 0..words.take_number()? {
        state.log.push(words.take()?);
    }
    for _ in 0..words.take_number()? {
        let (name, form, expiry) = (words.take()?, words.take()?, words.take()?);
        let count = words.take_number()?;
        let form = std::str::from_utf8(form).unwrap_or_default();
        let length = usize::try_from(count).unwrap_or(usize::MAX);
        if !has_elements(form, length) || number(expiry).is_err() {
            let text = format!("ERR a state of form {form} with {count} elements");
            return give_up(words!["REFUSED", text]);
        }
        let there = words.0.split_at_checked(length);
        let Some((elements, rest)) = there else {
            return give_up(words!["REFUSED", "ERR the arguments do not add up"]);
        };
        words.0 = rest;
        if form == "staged" {
            let again = state.keys.iter().any(|key| key.form == "staged" && key.elements[0] == elements[0]);
            if again || !elements[0].starts_with(b"anrcho_stage:") {
                return give_up(words!["REFUSED", "ERR a stage that is none"]);
            }
            if !is_staged(call, elements)? {
                return give_up(needs_state);
            }
        }
        state.keys.push(Key { name, form, expiry, elements });
    }
    if !words.0.is_empty() {
        return give_up(words!["REFUSED", "ERR the arguments do not add up"]);
    }
    Ok(state)
}

fn is_staged(call: &mut Call<'_, '_>, elements: &[&[u8]]) -> Ended<bool> {
    let (stage, form) = (elements[0], std::str::from_utf8(elements[1]).unwrap_or_default());
    if call.session.store.get(stage).map_or("none", |value| value.kind()) != form {
        return Ok(false);
    }
    let Some(command) = length_command(form) else { return raise("ERR a stage of no form") };
    Ok(as_text(call.session.call_integer(&[command, stage])?).as_bytes() == elements[2])
}

/// This model has no DUMP, so a server finds each one wrong.
fn refuse_dumps(call: &mut Call<'_, '_>, state: &State<'_>) -> Ended<()> {
    for key in state.keys.iter().filter(|key| key.form == "dump") {
        let restored = call.session.pcall(&[b"RESTORE", key.name, b"0", key.elements[0], b"REPLACE"]);
        if let Some(refused) = error_of(&restored) {
            return give_up(words!["REFUSED", refused]);
        }
    }
    Ok(())
}

/// Answers what the record said of its keys before.
fn accept(call: &mut Call<'_, '_>, state: &State<'_>) -> Ended<Vec<u8>> {
    let (record, ballot, version, digest) = (call.key(1)?, call.arg(3)?, call.arg(4)?, call.arg(5)?);
    let mut head = call.session.load_head(record)?.unwrap_or_default();
    let before = head.entry.clone();
    head.promise(ballot)?;
    (head.accepted, head.digest) = (ballot.to_vec(), digest.to_vec());
    let mode = call.arg(6)?;
    if mode == b"confirm" {
        head.settled = head.version.clone();
    } else {
        (head.settled, head.version) = (version.to_vec(), version.to_vec());
        head.remember(&match call.arg(8)? {
            b"" => Vec::new(),
            packed => unpack_ops(packed)?,
        });
        let is_other = |key: &Key<'_>| key.name != register_of(record);
        if call.arg(10)? == b"1" || state.keys.iter().any(is_other) {
            head.list_many();
        } else if !head.is_many() {
            if mode == b"full" {
                head.entry = Vec::new();
            }
            if let Some(key) = state.keys.first() {
                head.entry = entry_in(key).to_vec();
            }
        }
    }
    call.session.save_head(record, &head, &[])?;
    call.session.call(&[b"HDEL", record, b"f"])?;
    if call.args.get(8) == Some(&b"1".as_slice()) {
        call.session.set_field(b"anrcho_dirty", register_of(record), ballot)?;
    }
    Ok(before)
}

/// What the record is to say of a key.
fn entry_in<'c>(key: &Key<'c>) -> &'c [u8] {
    if key.form == "gone" && key.expiry == b"0" { b"" } else { key.expiry }
}

fn drop_unlisted(call: &mut Call<'_, '_>, state: &State<'_>, before: &[u8]) -> Ended<()> {
    let record = call.key(1)?;
    let is_gone = call.session.load_head(record)?.is_some_and(|head| head.entry.is_empty());
    if is_gone && !before.is_empty() {
        call.session.call(&[b"DEL", register_of(record)])?;
    }
    for field in call.session.fields(record)? {
        let is_kept = || state.keys.iter().any(|key| key.name == &field[1..]);
        match field.first() {
            Some(b'l') => {}
            Some(b'k') if !is_kept() => drop(call.session.call(&[b"DEL", &field[1..]])?),
            _ => continue,
        }
        call.session.call(&[b"HDEL", record, &field])?;
    }
    Ok(())
}

fn store(call: &mut Call<'_, '_>, record: &[u8], key: &Key<'_>) -> Ended<()> {
    let session = &mut *call.session;
    session.call(&[b"DEL", key.name])?;
    if key.form == "staged" {
        session.call(&[b"RENAME", key.elements[0], key.name])?;
        session.call(&[b"PERSIST", key.name])?;
    } else {
        session.store_value(key.name, key.form, key.elements)?;
    }
    if key.form != "gone" && key.expiry != b"0" {
        session.call(&[b"PEXPIREAT", key.name, key.expiry])?;
    }
    if !session.load_head(record)?.is_some_and(|head| head.is_many()) {
        return Ok(());
    }
    if entry_in(key).is_empty() {
        session.call(&[b"HDEL", record, &entry_field(key.name)])?;
    } else {
        session.set_field(record, &entry_field(key.name), key.expiry)?;
    }
    Ok(())
}

/// `tonumber(cmsgpack.unpack(entry)[1])`
fn logged_version(entry: &[u8]) -> Ended<i64> {
    let fields = unpack(entry);
    if let Some(Reply::Array(fields)) = &fields
        && let Some(Reply::Bulk(version)) = fields.first()
    {
        return number(version);
    }
    raise("ERR a log entry that was not packed here")
}

//! lua/purge.lua

use super::fragments::{Call, Ended, as_text, number, or_zero, register_of};
use super::record::Head;
use super::reply::{Reply, words};

struct Held {
    what: &'static str,
    version: Vec<u8>,
    digest: Vec<u8>,
    accepted: Vec<u8>,
    is_tombstone: bool,
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let what = call.arg(3)?;
    if what == b"drop" {
        return drop_record(&mut call);
    }
    let mut records: Vec<Vec<u8>> = call.keys.iter().map(|key| key.to_vec()).collect();
    let mut following = Reply::bulk("0");
    if what == b"scan" {
        (following, records) = call.page_of_records(call.arg(4)?, call.arg(5)?)?;
    }
    let (mut rows, mut tombstones) = (Vec::new(), 0);
    for record in &records {
        let held = judge(&mut call, record)?;
        tombstones += i64::from(held.is_tombstone);
        if what == b"of" || matches!(held.what, "GO" | "UNSETTLED") {
            rows.push(words![register_of(record), held.what, held.version, held.digest, held.accepted]);
        }
    }
    Ok(words!["PAGE", following, rows, as_text(tombstones)])
}

fn drop_record(call: &mut Call<'_, '_>) -> Ended<Reply> {
    let record = call.key(1)?;
    let held = judge(call, record)?;
    let named = [call.arg(4)?, call.arg(5)?, call.arg(6)?];
    if held.what != "GO" || named != [&held.version[..], &held.digest, &held.accepted] {
        return Ok(words!["KEPT", held.what]);
    }
    call.session.call(&[b"DEL", record])?;
    Ok(words!["PURGED"])
}

fn judge(call: &mut Call<'_, '_>, record: &[u8]) -> Ended<Held> {
    let Some(head) = call.session.load_head(record)? else {
        let (version, digest, accepted) = (b"0".to_vec(), Vec::new(), Vec::new());
        return Ok(Held { what: "NONE", version, digest, accepted, is_tombstone: false });
    };
    let value = alive(call, record, &head)?;
    let Head { promised, accepted, settled, version, digest, .. } = head;
    let what = if value != Alive::Not || !call.is_older_than_purge_age(call.time_of(&promised))? {
        "STAYS"
    } else if promised != accepted || settled != version {
        "UNSETTLED"
    } else {
        "GO"
    };
    Ok(Held { what, version, digest, accepted, is_tombstone: value != Alive::Now })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alive {
    Now,
    Lately,
    Not,
}

fn alive(call: &mut Call<'_, '_>, record: &[u8], head: &Head) -> Ended<Alive> {
    if head.is_many() && call.session.call_integer(&[b"HLEN", record])? > 5_200 {
        return Ok(Alive::Now);
    }
    let mut answer = Alive::Not;
    for key in call.session.keys_of(record, Some(head))? {
        let expiry = call.session.entry_of(record, Some(head), &key)?;
        let expiry_ms = number(&or_zero(&expiry))?;
        if expiry_ms == 0 || expiry_ms > call.session.now_ms() || call.session.exists(&key) {
            return Ok(Alive::Now);
        }
        if !call.is_older_than_purge_age(expiry_ms)? {
            answer = Alive::Lately;
        }
    }
    Ok(answer)
}

impl Call<'_, '_> {
    /// lib/age.lua
    pub fn is_older_than_purge_age(&mut self, ms: i64) -> Ended<bool> {
        let now_ms = self.session.now_ms();
        if ms > now_ms - 1_000 {
            return Ok(false);
        }
        let age = self.session.call_string(&[b"HGET", b"anrcho_node", b"purge_age_ms"])?;
        let age_ms = age.and_then(|age| std::str::from_utf8(&age).ok()?.parse::<i64>().ok());
        Ok(age_ms.is_some_and(|age_ms| ms < now_ms - age_ms))
    }

    /// lib/age.lua
    pub fn time_of(&self, ballot: &[u8]) -> i64 {
        let ms = ballot.get(..13).unwrap_or(ballot);
        std::str::from_utf8(ms).ok().and_then(|ms| ms.parse().ok()).unwrap_or(0)
    }

    /// What a node without a record says to a ballot of which it may have forgotten a higher one.
    pub fn refuse_old(&mut self, ballot: &[u8]) -> Ended<()> {
        if self.is_older_than_purge_age(self.time_of(ballot))? {
            return super::fragments::give_up(words!["EXPIRED", as_text(self.session.now_ms())]);
        }
        Ok(())
    }
}

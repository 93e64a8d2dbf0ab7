//! lua/digest.lua

use super::fragments::{Call, Ended, register_of};
use super::record::Head;
use super::reply::{Reply, words};

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let what = call.arg(3)?;
    if what == b"dirty" {
        return dirty(&mut call);
    }
    if what == b"count" {
        let (following, keys) = page(call.session.call(&[b"SCAN", call.arg(4)?, b"COUNT", call.arg(5)?])?);
        let users = keys.iter().filter(|key| !key.starts_with(b"anrcho_")).count();
        return Ok(words!["PAGE", following, Reply::Array(vec![Reply::bulk(users.to_string())])]);
    }
    let mut records: Vec<Vec<u8>> = call.keys.iter().map(|key| key.to_vec()).collect();
    let mut following = Reply::bulk("0");
    if what != b"of" {
        (following, records) = call.page_of_records(call.arg(4)?, call.arg(5)?)?;
    }
    match what {
        b"sum" => return sum(&mut call, following, &records),
        b"marks" => return marks(&mut call, following, &records),
        b"pick" => {
            let wanted = call.arg(6)?.to_vec();
            records.retain(|record| wanted.chunks(8).any(|mark| mark == &mark_of(record).as_bytes()[..8]));
        }
        _ => {}
    }
    let mut rows = Vec::new();
    for record in &records {
        let held = call.session.load_head(record)?;
        let version = held.as_ref().map(|head| head.version.clone()).unwrap_or_default();
        let Head { digest, promised, accepted, .. } = held.unwrap_or_default();
        rows.push(words![register_of(record), version, digest, promised, accepted]);
    }
    Ok(words!["PAGE", following, rows])
}

impl Call<'_, '_> {
    /// A page of the node's own records, and the next cursor.
    pub fn page_of_records(&mut self, cursor: &[u8], count: &[u8]) -> Ended<(Reply, Vec<Vec<u8>>)> {
        let command = [b"SCAN", cursor, b"MATCH", b"anrcho_version:{*", b"COUNT", count];
        Ok(page(self.session.call(&command)?))
    }
}

fn dirty(call: &mut Call<'_, '_>) -> Ended<Reply> {
    let (cursor, count) = (call.arg(4)?, call.arg(5)?);
    let (following, pairs) =
        page(call.session.call(&[b"HSCAN", b"anrcho_dirty", cursor, b"COUNT", count])?);
    let rows: Vec<Reply> = pairs.chunks(2).map(Reply::strings).collect();
    Ok(words!["PAGE", following, rows])
}

fn mark_of(record: &[u8]) -> String {
    sha1_smol::Sha1::from(register_of(record)).hexdigest()
}

fn state_of(call: &mut Call<'_, '_>, record: &[u8], id: &str, kind: &[u8]) -> Ended<String> {
    let head = call.session.load_head(record)?.unwrap_or_default();
    if kind == b"a" {
        let all = [id.as_bytes(), &head.digest, &head.promised, &head.accepted].concat();
        return Ok(sha1_smol::Sha1::from(all).hexdigest());
    }
    let digest = String::from_utf8_lossy(&head.digest).into_owned();
    Ok(if digest.is_empty() { id.to_owned() } else { digest })
}

fn number(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

fn sum(call: &mut Call<'_, '_>, following: Reply, records: &[Vec<u8>]) -> Ended<Reply> {
    let kind = call.arg(6)?.to_vec();
    let mut sums = [0; 16];
    for record in records {
        let id = mark_of(record);
        let state = state_of(call, record, &id, &kind)?;
        let sum = &mut sums[usize::try_from(number(&id[..1])).expect("a digit")];
        *sum = (*sum + number(&state[..12])) % (1 << 48);
    }
    let sums: Vec<String> = sums.iter().map(u64::to_string).collect();
    let parts = vec![Reply::bulk(records.len().to_string()), Reply::bulk(sums.join(" "))];
    Ok(words!["PAGE", following, Reply::Array(parts)])
}

fn marks(call: &mut Call<'_, '_>, following: Reply, records: &[Vec<u8>]) -> Ended<Reply> {
    let [kind, parts, from] = [call.arg(6)?, call.arg(7)?, call.arg(8)?].map(<[u8]>::to_vec);
    let from: usize = String::from_utf8_lossy(&from).parse().expect("a number");
    let mut marks = Vec::new();
    for record in records {
        let id = mark_of(record);
        if !parts.contains(&id.as_bytes()[0]) {
            continue;
        }
        let state = state_of(call, record, &id, &kind)?;
        let mut word =
            |digits: &str| marks.extend(u32::try_from(number(digits)).expect("8 digits").to_be_bytes());
        word(&id[..8]);
        word(&state[from - 1..from + 7]);
        if kind == b"a" {
            word(&state[from + 7..from + 15]);
        }
    }
    Ok(words!["PAGE", following, Reply::Array(vec![Reply::bulk(marks)])])
}

/// The next cursor, and the elements.
fn page(answer: Reply) -> (Reply, Vec<Vec<u8>>) {
    let Reply::Array(parts) = answer else { unreachable!("a scan answers cursor and elements") };
    let [following, Reply::Array(elements)]: [Reply; 2] = parts.try_into().expect("cursor and elements")
    else {
        unreachable!("the elements are an array")
    };
    let bytes = |element: Reply| if let Reply::Bulk(bytes) = element { Some(bytes) } else { None };
    (following, elements.into_iter().filter_map(bytes).collect())
}

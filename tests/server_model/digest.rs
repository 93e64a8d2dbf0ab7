//! lua/digest.lua

use super::fragments::{Call, Ended, or_empty, or_zero, register_of};
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
    if what == b"scan" {
        (following, records) = call.page_of_records(call.arg(4)?, call.arg(5)?)?;
    }
    let mut rows = Vec::new();
    for record in &records {
        let head = call.session.call_strings(&[b"HMGET", record, b"v", b"d", b"p", b"a"])?;
        let version = if head[2].is_some() { or_zero(&head[0]) } else { Vec::new() };
        let [digest, promised, accepted] = [1, 2, 3].map(|at| or_empty(&head[at]));
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

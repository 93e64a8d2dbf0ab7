//! Iteration in pages. The order is that of a hash of the elements, so that what is there all the time is found, whatever
//! is added or removed between two pages: the promise of SCAN and no more.

use super::super::reply::{Error, Outcome, Reply, SYNTAX};
use super::super::session::Session;
use super::super::value::{Bytes, Hash, Set};
use super::number;

const INVALID_CURSOR: &str = "ERR invalid cursor";
/// Cursors stay far below what a double holds.
const CURSOR_BITS: u32 = 48;

/// FNV-1a; zero begins a scan and ends it, so it is nobody's place.
fn place(element: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    (element.iter().fold(0xcbf2_9ce4_8422_2325, step) >> (64 - CURSOR_BITS)).max(1)
}

struct Options {
    cursor: u64,
    count: usize,
    prefix: Option<Bytes>,
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Options, Error> {
        let cursor = std::str::from_utf8(words[0]).ok().and_then(|text| text.parse().ok());
        let cursor = cursor.ok_or(Error::new(INVALID_CURSOR))?;
        let mut options = Options { cursor, count: 10, prefix: None };
        for pair in words[1..].chunks(2) {
            match pair {
                [word, count] if word.eq_ignore_ascii_case(b"COUNT") => {
                    options.count = usize::try_from(number(count)?).ok().filter(|n| *n > 0).ok_or(SYNTAX)?;
                }
                [word, pattern] if word.eq_ignore_ascii_case(b"MATCH") => {
                    options.prefix = Some(prefix(pattern).to_vec());
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }

    /// The next cursor, and the elements of this page.
    fn page<T>(&self, all: impl Iterator<Item = (Bytes, T)>) -> (u64, Vec<(Bytes, T)>) {
        let mut rest: Vec<_> = all.map(|(element, more)| (place(&element), element, more)).collect();
        rest.retain(|(place, ..)| *place >= self.cursor);
        rest.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let last = rest.get(self.count - 1).map_or(u64::MAX, |(place, ..)| *place);
        let next = rest.iter().map(|(place, ..)| *place).find(|place| *place > last).unwrap_or(0);
        let here = rest.into_iter().filter(|(place, ..)| *place <= last);
        (next, here.map(|(_, element, more)| (element, more)).collect())
    }
}

/// Of patterns only a fixed beginning with a star behind it is known.
fn prefix(pattern: &[u8]) -> &[u8] {
    pattern.strip_suffix(b"*").expect("a pattern that ends in a star")
}

fn answer(next: u64, elements: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::text(next), Reply::Array(elements)])
}

pub fn keys(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let begins = |key: &&Bytes| key.starts_with(prefix(words[1]));
    Ok(Reply::strings(session.store.keys().filter(begins)))
}

pub fn scan(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let options = Options::parse(&words[1..])?;
    let (next, mut page) = options.page(session.store.keys().map(|key| (key.clone(), ())));
    page.retain(|(key, ())| options.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix)));
    Ok(answer(next, page.into_iter().map(|(key, ())| Reply::Bulk(key)).collect()))
}

pub fn sscan(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let options = Options::parse(&words[2..])?;
    let members = session.store.view::<Set>(words[1])?.into_iter().flatten();
    let (next, page) = options.page(members.map(|member| (member.clone(), ())));
    Ok(answer(next, page.into_iter().map(|(member, ())| Reply::Bulk(member)).collect()))
}

pub fn hscan(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let options = Options::parse(&words[2..])?;
    let pairs = session.store.view::<Hash>(words[1])?.into_iter().flatten();
    let (next, page) = options.page(pairs.map(|(field, value)| (field.clone(), value.clone())));
    let elements = page.into_iter().flat_map(|(field, value)| [Reply::Bulk(field), Reply::Bulk(value)]);
    Ok(answer(next, elements.collect()))
}

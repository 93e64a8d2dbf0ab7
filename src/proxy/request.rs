//! Requests out of bytes: arrays of bulk strings, and lines as a person types them.
//!
//! What has been looked at is not looked at again, however small the pieces are in which a request comes, and what a header
//! promises is not set aside before it has arrived.

use super::inline;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// One request: its words, the command's name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    data: Bytes,
    words: Vec<Range<usize>>,
}

impl Request {
    /// From words that are there already.
    pub fn of<W: AsRef<[u8]>>(given: &[W]) -> Request {
        let (mut data, mut words) = (Vec::new(), Vec::with_capacity(given.len()));
        for word in given {
            let start = data.len();
            data.extend_from_slice(word.as_ref());
            words.push(start..data.len());
        }
        Request { data: data.into(), words }
    }

    /// Its words.
    pub fn words(&self) -> Vec<&[u8]> {
        self.words.iter().map(|range| &self.data[range.clone()]).collect()
    }

    /// The word at this place, empty where there is none.
    pub fn word(&self, place: usize) -> &[u8] {
        self.words.get(place).map_or(&[], |range| &self.data[range.clone()])
    }

    /// How many words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word at all.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many bytes its words have.
    pub fn bytes(&self) -> usize {
        self.words.iter().map(Range::len).sum()
    }

    /// The request without its first words.
    pub fn after(&self, count: usize) -> Request {
        let words = self.words.get(count..).unwrap_or_default().to_vec();
        Request { data: self.data.clone(), words }
    }
}

/// What one client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most words of a request.
    pub words: usize,
    /// Longest word, in bytes.
    pub word: usize,
    /// Longest request, in bytes.
    pub request: usize,
}

impl Limits {
    /// As Redis 7 has them for who has not shown a password yet.
    pub const STRANGER: Limits = Limits { words: 10, word: 16_384, request: 10 * 16_384 };
    /// Longest line: a header, or a whole inline command.
    pub const LINE: usize = 64 * 1024;
}

/// Why the bytes of a client are no request, in Redis' words. There is no way to know where the next one would begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR Protocol error: {0}")]
pub struct Malformed(pub String);

fn malformed<T>(words: &str) -> Result<T, Malformed> {
    Err(Malformed(words.to_owned()))
}

/// A request in the making.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes that belong to the request so far.
    seen: usize,
    /// Bytes behind them in which no line ended.
    searched: usize,
    /// Words that are still to come; none before the header.
    missing: Option<usize>,
    /// The length of the word that comes next.
    next: Option<usize>,
    words: Vec<Range<usize>>,
    bytes: usize,
}

impl Parser {
    /// Takes the next request out of the buffer; none as long as it is not all there. After an error the client is beyond help.
    pub fn next(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Request>, Malformed> {
        loop {
            if self.missing.is_none() {
                match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {}
                    Some(_) => match self.typed(buffer)? {
                        Some(words) if words.is_empty() => continue,
                        words => return Ok(words.map(|words| Request::of(&words))),
                    },
                }
                let Some(count) = self.header(buffer, limits)? else { return Ok(None) };
                if count == 0 {
                    // Redis takes it for nothing at all.
                    self.finish(buffer);
                    continue;
                }
                self.missing = Some(count);
            }
            return Ok(self.bulks(buffer, limits)?.then(|| self.finish(buffer)));
        }
    }

    /// How many more bytes the request is known to need.
    pub fn needs(&self, buffer: &BytesMut) -> usize {
        self.next.map_or(0, |length| (self.seen + length + 2).saturating_sub(buffer.len()))
    }

    fn header(&mut self, buffer: &BytesMut, limits: &Limits) -> Result<Option<usize>, Malformed> {
        let Some(line) = self.line(buffer, "too big mbulk count string")? else { return Ok(None) };
        match integer(&buffer[line.start + 1..line.end]) {
            Some(count) if count > 10 && *limits == Limits::STRANGER => {
                malformed("unauthenticated multibulk length")
            }
            Some(count) if count <= 0 => Ok(Some(0)),
            Some(count) => match usize::try_from(count) {
                Ok(count) if count <= limits.words => Ok(Some(count)),
                _ => malformed("invalid multibulk length"),
            },
            None => malformed("invalid multibulk length"),
        }
    }

    /// Goes on with the words; whether all of them are there.
    fn bulks(&mut self, buffer: &BytesMut, limits: &Limits) -> Result<bool, Malformed> {
        while self.missing.is_some_and(|missing| missing > 0) {
            if self.next.is_none() {
                let Some(line) = self.line(buffer, "too big bulk count string")? else { return Ok(false) };
                self.next = Some(self.length(&buffer[line], limits)?);
            }
            let length = self.next.unwrap_or_default();
            if buffer.len() < self.seen + length + 2 {
                return Ok(false);
            }
            self.words.push(self.seen..self.seen + length);
            self.seen += length + 2;
            self.next = None;
            self.missing = self.missing.map(|missing| missing - 1);
        }
        Ok(true)
    }

    fn length(&mut self, line: &[u8], limits: &Limits) -> Result<usize, Malformed> {
        let digits = match line.split_first() {
            Some((b'$', digits)) => digits,
            other => {
                let found = other.map_or(' ', |(first, _)| char::from(*first));
                return malformed(&format!("expected '$', got '{}'", found.escape_default()));
            }
        };
        let Some(length) = integer(digits).and_then(|length| usize::try_from(length).ok()) else {
            return malformed("invalid bulk length");
        };
        if length > limits.word {
            let stranger = *limits == Limits::STRANGER;
            return malformed(if stranger { "unauthenticated bulk length" } else { "invalid bulk length" });
        }
        self.bytes += length;
        if self.bytes > limits.request {
            return malformed(&format!("the request is longer than {} bytes", limits.request));
        }
        Ok(length)
    }

    /// The next line, without its end; it counts as seen.
    fn line(&mut self, buffer: &BytesMut, too_long: &str) -> Result<Option<Range<usize>>, Malformed> {
        let rest = &buffer[self.seen..];
        let Some(end) = rest[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = rest.len();
            return if rest.len() > Limits::LINE { malformed(too_long) } else { Ok(None) };
        };
        let end = self.searched + end;
        if end > Limits::LINE {
            return malformed(too_long);
        }
        let text = if end > 0 && rest[end - 1] == b'\r' { end - 1 } else { end };
        let line = self.seen..self.seen + text;
        self.seen += end + 1;
        self.searched = 0;
        Ok(Some(line))
    }

    /// The words of a line that somebody typed; none as long as it has no end.
    fn typed(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Vec<u8>>>, Malformed> {
        let Some(line) = self.line(buffer, "too big inline request")? else { return Ok(None) };
        let Some(words) = inline::words(&buffer[line]) else {
            return malformed("unbalanced quotes in request");
        };
        self.finish(buffer);
        Ok(Some(words))
    }

    /// Cuts the request out of the buffer and begins anew.
    fn finish(&mut self, buffer: &mut BytesMut) -> Request {
        let data = buffer.split_to(self.seen).freeze();
        let whole = std::mem::take(self);
        Request { data, words: whole.words }
    }
}

fn integer(digits: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

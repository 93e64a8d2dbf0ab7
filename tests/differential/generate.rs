//! A command from the server's own description of it.

use crate::docs::{Argument, Command, Kind};
use crate::keys::Choice;
use crate::pools::{self, Range};
use crate::rng::Rng;

/// One command line, its name first.
pub type Words = Vec<Vec<u8>>;

/// How many times an argument is given that may be given several times.
const TIMES: &[u64] = &[1, 1, 1, 2, 2, 3, 4];

/// A command in the making.
struct Phrase<'a> {
    rng: &'a mut Rng,
    command: &'a str,
    keys: Choice,
    range: Range,
    payloads: &'a [Vec<u8>],
    words: Words,
    /// Where the number of the keys that follow belongs.
    numkeys_at: Option<usize>,
    numkeys: u64,
}

/// The command with arguments as they should be.
pub fn phrase(rng: &mut Rng, command: &Command, payloads: &[Vec<u8>]) -> Words {
    let keys = Choice::of(rng, &command.group);
    let styles = [Range::Index, Range::Score, Range::Lex];
    let range = if command.name.contains("lex") { Range::Lex } else { rng.pick(&styles) };
    let words = command.name.split('|').map(|word| spelled(rng, word)).collect();
    let mut phrase =
        Phrase { rng, command: &command.name, keys, range, payloads, words, numkeys_at: None, numkeys: 1 };
    phrase.all(&command.arguments);
    phrase.words
}

/// Redis reads names and options in any case.
fn spelled(rng: &mut Rng, word: &str) -> Vec<u8> {
    let upper = rng.percent(70);
    if upper { word.to_ascii_uppercase().into_bytes() } else { word.to_ascii_lowercase().into_bytes() }
}

impl Phrase<'_> {
    fn all(&mut self, arguments: &[Argument]) {
        for argument in arguments {
            if !argument.is_optional || self.rng.percent(40) {
                self.one(argument);
            }
        }
    }

    fn one(&mut self, argument: &Argument) {
        let before = self.words.len();
        for turn in 0..self.times(argument) {
            if let Some(token) = argument.token.as_ref().filter(|_| turn == 0 || argument.has_multiple_tokens)
            {
                self.words.push(spelled(self.rng, token));
            }
            self.body(argument);
        }
        if let Some(at) = self.numkeys_at.filter(|_| argument.kind == Kind::Key) {
            self.numkeys = (self.words.len() - before) as u64;
            self.words[at] = self.numkeys.to_string().into_bytes();
            self.numkeys_at = None;
        }
    }

    fn times(&mut self, argument: &Argument) -> u64 {
        match argument.name.as_str() {
            "weight" => self.numkeys,
            _ if argument.is_multiple => self.rng.pick(TIMES),
            _ => 1,
        }
    }

    fn body(&mut self, argument: &Argument) {
        match argument.kind {
            // The token is all there is.
            Kind::Token => {}
            Kind::Block => self.all(&argument.parts),
            Kind::OneOf => {
                let choice = self.rng.below(argument.parts.len() as u64) as usize;
                self.one(&argument.parts[choice]);
            }
            _ => {
                let word = self.word(argument);
                self.words.push(word);
            }
        }
    }

    fn word(&mut self, argument: &Argument) -> Vec<u8> {
        let (rng, name) = (&mut *self.rng, argument.name.as_str());
        match (argument.kind, name) {
            (_, "numkeys") => {
                self.numkeys_at = Some(self.words.len());
                b"1".to_vec()
            }
            (Kind::Key, _) => self.keys.key(rng),
            (Kind::Pattern, _) => pools::pattern(rng),
            (Kind::Time, _) => pools::moment(rng, name.contains("seconds") && !name.contains("milli")),
            (_, "seconds") => pools::time_from_now(rng, true),
            (_, "milliseconds" | "ttl") => pools::time_from_now(rng, false),
            (Kind::Integer, "offset") => match self.command {
                "setbit" | "getbit" | "setrange" => pools::bit_offset(rng),
                "bitfield" | "bitfield_ro" => pools::field_offset(rng),
                _ => pools::integer(rng, name),
            },
            (Kind::Integer, _) if name == "value" => rng.pick(&["0", "1", "2", "255", "-9"]).into(),
            (Kind::Integer, _) => pools::integer(rng, name),
            (Kind::Double, _) => pools::double(rng, name),
            (_, "min" | "max" | "start" | "stop") => pools::range(rng, self.range),
            (_, "encoding") => pools::encoding(rng),
            (_, "operation") => rng.pick(&["AND", "or", "XOR", "NOT"]).into(),
            (_, "serialized-value") => self.payloads[rng.below(self.payloads.len() as u64) as usize].clone(),
            (_, "value") => pools::value(rng),
            _ => pools::element(rng),
        }
    }
}

/// Makes a command wrong in one way, or odd.
pub fn spoil(rng: &mut Rng, words: &mut Words) {
    let last = words.len() as u64 - 1;
    let at = if last == 0 { 0 } else { 1 + rng.below(last) as usize };
    match rng.below(9) {
        0 if last > 0 => drop(words.remove(at)),
        1 if last > 0 => words.push(words[at].clone()),
        2 if last > 1 => words.swap(at, 1),
        3 if last > 0 => words.insert(at, pools::odd(rng)),
        4 => words.push(pools::odd(rng)),
        5 => words.truncate(at.max(1)),
        6 if rng.percent(10) => words[0] = b"NOSUCH".to_vec(),
        _ if last > 0 => words[at] = pools::odd(rng),
        _ => words.push(pools::element(rng)),
    }
}

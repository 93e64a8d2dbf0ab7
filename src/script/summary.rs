//! `digest`, in short: what many registers come to, so that only those that differ need be named.

use super::call::Ticket;
use super::digest::open;
use super::parse::{Malformed, bytes, integer, next, text};
use super::{Name, script};
use redis::{Cmd, Value};

/// How many parts the registers are in, by the first hex digit of their ids' SHA-1.
pub const PARTS: usize = 16;

/// What of a register is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Its history.
    Digests,
    /// Also what it promised and accepted: a node that lost its memory must have these again before it votes.
    Ballots,
}

impl Compared {
    fn word(self) -> &'static str {
        match self {
            Compared::Digests => "d",
            Compared::Ballots => "a",
        }
    }

    /// Bytes of a mark.
    fn width(self) -> usize {
        match self {
            Compared::Digests => 8,
            Compared::Ballots => 12,
        }
    }
}

/// Registers of a node, and for each part the sum of their states. Equal sums, equal states: chance finds two of 48 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many registers.
    pub registers: u64,
    /// Modulo 2^48.
    pub parts: [u64; PARTS],
}

impl Sums {
    /// Another page of the same node.
    pub fn add(&mut self, page: &Sums) {
        self.registers += page.registers;
        for (sum, more) in self.parts.iter_mut().zip(page.parts) {
            *sum = (*sum + more) % (1 << 48);
        }
    }
}

/// One register of a node, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The first 4 bytes of its id's SHA-1.
    pub register: u32,
    /// A part of what its state comes to.
    pub state: u64,
}

impl Mark {
    /// The mark of the register with this id.
    pub fn register_of(id: &[u8]) -> u32 {
        let [first, second, third, fourth, ..] = sha1_smol::Sha1::from(id).digest().bytes();
        u32::from_be_bytes([first, second, third, fourth])
    }
}

fn call(ticket: &Ticket<'_>, what: &str, cursor: &str, count: usize) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Digest).sha).arg(0).arg(ticket.fence).arg(ticket.deadline_ms);
    cmd.arg(what).arg(cursor).arg(count);
    cmd
}

/// The `EVALSHA` for the sums of a page.
pub fn sum_call(ticket: &Ticket<'_>, cursor: &str, count: usize, compared: Compared) -> Cmd {
    let mut cmd = call(ticket, "sum", cursor, count);
    cmd.arg(compared.word());
    cmd
}

/// The `EVALSHA` for the marks of those of a page's registers that are in these parts. The states' marks begin at one of the
/// digits 1 to 25: what has one mark by chance has two from another digit on.
pub fn marks_call(
    ticket: &Ticket<'_>,
    cursor: &str,
    count: usize,
    compared: Compared,
    parts: &[usize],
    digit: u64,
) -> Cmd {
    let parts: String = parts.iter().map(|part| format!("{part:x}")).collect();
    let mut cmd = call(ticket, "marks", cursor, count);
    cmd.arg(compared.word()).arg(parts).arg(digit);
    cmd
}

/// The `EVALSHA` for the rows of those of a page's registers that have one of these marks.
pub fn pick_call(ticket: &Ticket<'_>, cursor: &str, count: usize, registers: &[u32]) -> Cmd {
    let marks: String = registers.iter().map(|mark| format!("{mark:08x}")).collect();
    let mut cmd = call(ticket, "pick", cursor, count);
    cmd.arg(marks);
    cmd
}

/// The sums of a page, and the cursor of the next one.
pub fn parse_sums(value: Value) -> Result<(Option<String>, Sums), Malformed> {
    let (cursor, rows) = open(value)?;
    let mut rows = rows.into_iter();
    let registers = integer(next(&mut rows)?)?;
    let line = text(next(&mut rows)?)?;
    let mut sums = Sums { registers, parts: [0; PARTS] };
    let mut words = line.split(' ');
    for sum in &mut sums.parts {
        let word = words.next().unwrap_or_default();
        *sum = word.parse().map_err(|_| Malformed(line.clone()))?;
    }
    Ok((cursor, sums))
}

/// The marks of a page, and the cursor of the next one.
pub fn parse_marks(value: Value, compared: Compared) -> Result<(Option<String>, Vec<Mark>), Malformed> {
    let (cursor, rows) = open(value)?;
    let packed = bytes(next(&mut rows.into_iter())?)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let marks = packed.chunks_exact(compared.width()).map(|mark| Mark {
        register: u32::try_from(number(&mark[..4])).unwrap_or_default(),
        state: number(&mark[4..]),
    });
    Ok((cursor, marks.collect()))
}

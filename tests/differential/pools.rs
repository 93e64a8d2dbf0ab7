//! What commands are made of: few keys, so that commands meet; usual values; and odd ones.

use crate::rng::Rng;

/// Stands for the name of the run: each run has keys of its own.
pub const RUN: &str = "<RUN>";

/// How many words there are to choose from: few elements, so that commands meet.
const ELEMENTS: &[&str] = &["a", "b", "c", "d", "e", "", "1", "2", "10", "x y", "Z"];
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "7",
    "10",
    "3.5",
    "-0.25",
    "1e3",
    "v",
    "hello",
    "foobar",
    "ohmytext",
    "mynewtext",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "nan",
    "inf",
];
const SMALL: &[&str] = &["0", "1", "2", "3", "5", "10", "-1", "-2", "-3", "-10", "100"];
const STEPS: &[&str] = &[
    "1",
    "-1",
    "0",
    "5",
    "-7",
    "100",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
];
/// None is so large or so small that `strtod` complains: Redis' SORT looks at the `errno` that it leaves behind, and then fails
/// on that server until something clears it. Such numbers have a test of their own.
const DOUBLES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "0.1",
    "0.7",
    "-1.5",
    "3.25",
    "1e3",
    "1e17",
    "-1e17",
    "1e308",
    "inf",
    "-inf",
    "+inf",
    "0.30000000000000004",
    "-0",
    "100",
    "17179869184.000001",
];
/// Where bits and bytes are set: near, or so far that every server refuses. Between them a value would fill the memory.
const OFFSETS: &[&str] =
    &["0", "1", "2", "7", "8", "9", "100", "1000", "-1", "9223372036854775807", "9223372036854775808"];
const FIELDS: &[&str] = &["0", "7", "8", "100", "#0", "#1", "#3", "-1", "#-1"];
const ENCODINGS: &[&str] = &[
    "u1", "u2", "i5", "u8", "i8", "i16", "u32", "i53", "u53", "u0", "i0", "u64", "i65", "x8", "i", "i64",
    "u63",
];
const INDEXES: &[&str] = &["0", "1", "2", "-1", "-2", "-3", "5", "100", "-100"];
const SCORES: &[&str] =
    &["0", "1", "(1", "2", "(2", "-inf", "+inf", "inf", "(0.1", "-1", "3.25", "1e17", "(-inf"];
const LEXES: &[&str] = &["-", "+", "[a", "(a", "[b", "(c", "[d", "[", "(", "[Z", "[1"];
const PATTERNS: &[&str] = &["nosort", "#", "#", "nosort", "<RUN>*", "w_*", ""];
const RADII: &[&str] = &["0", "1", "10", "200", "1000.5", "100000", "1e300", "-1"];
/// Longitude and latitude of places, and of none.
const PLACES: &[(&str, &str)] = &[
    ("13.361389", "38.115556"),
    ("15.087269", "37.502669"),
    ("2.3333", "48.85"),
    ("-179.5", "10"),
    ("179.5", "-10"),
    ("0", "0"),
    ("181", "3"),
    ("3", "86"),
];

/// What stands where something else belongs.
const ODD: &[&str] = &[
    "",
    "abc",
    "1.5",
    "3.0",
    "-1",
    "0",
    "2",
    "nan",
    "inf",
    "-inf",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "0x10",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "1e5",
    "(1",
    "[a",
    "*",
    "LIMIT",
    "COUNT",
    "WITHSCORES",
    "STORE",
    "GET",
    "EX",
    "NX",
    "XX",
    "GT",
    "KEEPTTL",
    "REPLACE",
    "BYSCORE",
    "LEFT",
    "ASC",
    "ANY",
    "\u{7f}\0",
    "1\x002",
    "\r\n",
];

/// The style of a range: all ends of one command have the same one.
#[derive(Debug, Clone, Copy)]
pub enum Range {
    Index,
    Score,
    Lex,
}

fn from(rng: &mut Rng, pool: &[&str]) -> Vec<u8> {
    rng.pick(pool).as_bytes().to_vec()
}

pub fn element(rng: &mut Rng) -> Vec<u8> {
    match rng.below(40) {
        0 => b"\xff\x00\r\n".to_vec(),
        1 => vec![b'm'; 70],
        2..6 => rng.below(40).to_string().into_bytes(),
        _ => from(rng, ELEMENTS),
    }
}

pub fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(30) {
        0 => b"\x00\xff\xfe\r\n$-1\r\n".to_vec(),
        1 => vec![b'w'; 300],
        2..5 => rng.below(100_000).to_string().into_bytes(),
        _ => from(rng, VALUES),
    }
}

pub fn integer(rng: &mut Rng, name: &str) -> Vec<u8> {
    match name {
        "bit" => from(rng, &["0", "1", "0", "1", "2"]),
        "increment" | "decrement" => from(rng, STEPS),
        "weight" => double(rng, name),
        "start" | "end" | "stop" | "index" => from(rng, INDEXES),
        _ => from(rng, SMALL),
    }
}

pub fn double(rng: &mut Rng, name: &str) -> Vec<u8> {
    match name {
        "longitude" => rng.pick(PLACES).0.as_bytes().to_vec(),
        "latitude" => rng.pick(PLACES).1.as_bytes().to_vec(),
        "radius" | "width" | "height" => from(rng, RADII),
        "min" | "max" => from(rng, SCORES),
        _ => from(rng, DOUBLES),
    }
}

pub fn range(rng: &mut Rng, style: Range) -> Vec<u8> {
    let pool = match style {
        Range::Index => INDEXES,
        Range::Score => SCORES,
        Range::Lex => LEXES,
    };
    from(rng, pool)
}

pub fn bit_offset(rng: &mut Rng) -> Vec<u8> {
    from(rng, OFFSETS)
}

pub fn field_offset(rng: &mut Rng) -> Vec<u8> {
    from(rng, FIELDS)
}

pub fn encoding(rng: &mut Rng) -> Vec<u8> {
    from(rng, ENCODINGS)
}

pub fn pattern(rng: &mut Rng) -> Vec<u8> {
    from(rng, PATTERNS)
}

pub fn odd(rng: &mut Rng) -> Vec<u8> {
    from(rng, ODD)
}

/// Seconds or milliseconds from now: so far that nothing expires while a test runs, and so many choices that none comes
/// twice. At times none at all, or one that is past.
pub fn time_from_now(rng: &mut Rng, in_seconds: bool) -> Vec<u8> {
    if rng.percent(15) {
        return from(rng, &["0", "-1", "-100000", "9223372036854775807", "-9223372036854775808", "1e9"]);
    }
    let unit = if in_seconds { 1 } else { 1_000 };
    (unit * (10_000_000 + rng.below(900_000_000))).to_string().into_bytes()
}

/// Seconds or milliseconds since 1970: in the far future, and at times long past.
pub fn moment(rng: &mut Rng, in_seconds: bool) -> Vec<u8> {
    if rng.percent(15) {
        return from(rng, &["0", "1", "-1", "1000000", "9223372036854775807", "9007199254740993"]);
    }
    let unit = if in_seconds { 1 } else { 1_000 };
    (unit * (4_000_000_000 + rng.below(900_000_000))).to_string().into_bytes()
}

//! Commands of which some forms need care: what their arguments say about reading, numbers and witnesses.

use super::call::Access;
use super::chunk::{Chunk, MAX_PASSED};
use super::movable::destinations;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::{Request, integer};

/// COPY source destination [DB n] [REPLACE]
pub(super) fn copy(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if draft.request.has(3, "DB") {
        return Err(Refusal::unsupported(
            "copy db",
            "there is one database, 0; use a prefix of the keys instead",
        ));
    }
    Ok(())
}

/// Replies with scores: their digits are the server version's own (%.17g before 7.2, the shortest since). A range by lex
/// is the node's own where scores differ.
pub(super) fn scores(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    draft.unordered |= ["WITHSCORES", "WITHSCORE", "BYLEX"].iter().any(|option| draft.request.has(2, option));
    Ok(())
}

/// ZRANGESTORE destination source min max [BYSCORE|BYLEX] ...
pub(super) fn zrangestore(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if draft.request.has(5, "BYLEX") {
        bear_witness(draft, draft.request.arg(1));
    }
    Ok(())
}

/// SORT without STORE reads. What it stores is sorted by bytes, what it returns by the node's own locale.
pub(super) fn sort(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if draft.keys.len() > 1 {
        return Ok(());
    }
    draft.access = Access::Read;
    draft.unordered = true;
    if draft.table.knows("sort_ro") {
        draft.command = draft.request.to_command();
        rename(draft, "SORT_RO");
    }
    Ok(())
}

fn rename(draft: &mut Draft<'_>, name: &str) {
    if let Some(first) = draft.command.first_mut() {
        *first = name.as_bytes().to_vec();
    }
}

/// GEORADIUS[BYMEMBER]: without STORE and STOREDIST it reads.
pub(super) fn georadius(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    // The last destination counts, as in Redis.
    if let [_, .., destination] = draft.keys {
        bear_witness(draft, request.arg(*destination));
        return Ok(());
    }
    // Options that the node will refuse may follow a destination; the form that only reads has none.
    let start = if draft.name == "georadius" { 6 } else { 5 };
    let (stores, _) = destinations(&request, start);
    let is_kept = |index: &usize| !stores.iter().any(|store| store == index || store + 1 == *index);
    draft.command = (0..request.len()).filter(is_kept).map(|index| request.arg(index).to_vec()).collect();
    draft.access = Access::Read;
    rename(draft, &format!("{}_RO", request.name()));
    Ok(())
}

/// GEOSEARCHSTORE destination source ...
pub(super) fn geosearchstore(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    bear_witness(draft, draft.request.arg(1));
    Ok(())
}

/// ZUNIONSTORE and ZINTERSTORE: the sum of two scores is the same everywhere, but servers may add three in another
/// order, or multiply and add in one rounding.
pub(super) fn weighted(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    let inputs = draft.keys.len() - 1;
    let options = 3 + inputs;
    let last = request.len() - 1;
    let chosen = last > options && ["MIN", "MAX"].iter().any(|aggregate| request.is(last, aggregate));
    if !chosen && (inputs > 2 || request.has(options, "WEIGHTS")) {
        bear_witness(draft, request.arg(1));
    }
    Ok(())
}

/// Servers could store different scores here. So what was stored is read back in the same op, and the digest covers it:
/// equal digests still mean equal values (I2), and a difference is settled like any other.
fn bear_witness(draft: &mut Draft<'_>, destination: &[u8]) {
    let words: [&[u8]; 5] = [b"ZRANGE", destination, b"0", b"-1", b"WITHSCORES"];
    draft.witness = Some(words.iter().map(|word| word.to_vec()).collect());
    draft.hash_replies = true;
    draft.unordered = false;
}

/// ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]
pub(super) fn zadd(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let options = ["NX", "XX", "GT", "LT", "CH", "INCR"];
    let head = 2 + leading(&draft.request, &options);
    draft.unordered = (2..head).any(|index| draft.request.is(index, "INCR"));
    divide_floats(draft, head, 2, |_| Ok(()))
}

/// GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]
pub(super) fn geoadd(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let head = 2 + leading(&draft.request, &["NX", "XX", "CH"]);
    divide_floats(draft, head, 3, |place| match place {
        [longitude, latitude] if longitude.abs() > 180.0 || latitude.abs() > 85.051_128_78 => {
            Err(Refusal::invalid(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
        }
        _ => Ok(()),
    })
}

/// How many of these options follow the key.
fn leading(request: &Request<'_>, options: &[&str]) -> usize {
    (2..request.len()).take_while(|index| options.iter().any(|option| request.is(*index, option))).count()
}

/// A long command divides into chunks, so all of its numbers are checked here: none may fail after another was applied.
/// They are sent in a spelling that every server reads alike.
fn divide_floats(
    draft: &mut Draft<'_>,
    head: usize,
    stride: usize,
    check: fn(&[f64]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let request = draft.request;
    if request.len() <= MAX_PASSED {
        return Ok(());
    }
    let (options, elements) = request.args().split_at(head.min(request.len()));
    if !elements.len().is_multiple_of(stride) {
        return Err(Refusal::syntax());
    }
    draft.command = options.iter().map(|option| option.to_vec()).collect();
    for element in elements.chunks(stride) {
        let (numbers, member) = element.split_at(stride - 1);
        let numbers = numbers.iter().map(|text| float(text)).collect::<Result<Vec<f64>, Refusal>>()?;
        check(&numbers)?;
        draft.command.extend(numbers.iter().map(|number| format!("{number:e}").into_bytes()));
        draft.command.extend(member.iter().map(|member| member.to_vec()));
    }
    draft.chunk = draft.chunk.map(|chunk| Chunk { head, ..chunk });
    Ok(())
}

/// As Redis reads floats, but for hexadecimal ones.
fn float(text: &[u8]) -> Result<f64, Refusal> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next().unwrap_or_default();
    let out_of_range = |number: f64| {
        let digits = mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
        digits && (number.is_infinite() || number == 0.0)
    };
    parsed
        .filter(|number| !number.is_nan() && !out_of_range(*number))
        .ok_or_else(|| Refusal::invalid("value is not a valid float"))
}

/// HINCRBYFLOAT key field increment. Redis 6.2 refuses infinity only after it has made the hash, and leaves it there empty.
pub(super) fn hincrbyfloat(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let number = draft.request.arg(3);
    let unsigned = number.strip_prefix(b"-").or_else(|| number.strip_prefix(b"+")).unwrap_or(number);
    if [b"inf".as_slice(), b"infinity"].iter().any(|infinity| unsigned.eq_ignore_ascii_case(infinity)) {
        return Err(Refusal::invalid("value is NaN or Infinity"));
    }
    Ok(())
}

/// SRANDMEMBER key [count], HRANDFIELD and ZRANDMEMBER key [count [...]]. Redis 6.2 dies of a count that has no positive twin.
pub(super) fn random_count(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let is_counted = draft.name != "srandmember" || draft.request.len() == 3;
    if is_counted && integer(draft.request.arg(2)) == Some(i64::MIN) {
        let (least, most) = (-i64::MAX, i64::MAX);
        return Err(Refusal::invalid(format!(
            "value is out of range, value must between {least} and {most}"
        )));
    }
    Ok(())
}

/// SETRANGE key offset value. Redis 6.2 dies of an offset whose sum with the value's length does not fit into 64 bits.
pub(super) fn setrange(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    // Longer than any string may be, so that the node refuses it as it would refuse the offset given.
    const TOO_FAR: i64 = 1 << 40;
    if integer(draft.request.arg(2)).is_some_and(|offset| offset > TOO_FAR) {
        draft.command = draft.request.to_command();
        if let Some(offset) = draft.command.get_mut(2) {
            *offset = TOO_FAR.to_string().into_bytes();
        }
    }
    Ok(())
}

/// BITFIELD key [GET type offset | SET type offset value | INCRBY type offset n | OVERFLOW WRAP|SAT|FAIL] ...
pub(super) fn bitfield(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if check_bitfield(draft)? {
        draft.access = Access::Read;
        draft.command = draft.request.to_command();
        rename(draft, "BITFIELD_RO");
    }
    Ok(())
}

/// BITFIELD_RO key [GET type offset] ...
pub(super) fn bitfield_ro(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    check_bitfield(draft).map(drop)
}

/// Whether it only reads.
fn check_bitfield(draft: &Draft<'_>) -> Result<bool, Refusal> {
    let request = &draft.request;
    let mut reads = true;
    let mut index = 2;
    while index < request.len() {
        let (length, typed) = match request.len() - index {
            3.. if request.is(index, "GET") => (3, true),
            4.. if request.is(index, "SET") || request.is(index, "INCRBY") => (4, true),
            2.. if request.is(index, "OVERFLOW") => (2, false),
            // The server refuses it in its own words, before it runs anything.
            _ => return Ok(false),
        };
        if typed && !check_width(draft.name, request.arg(index + 1))? {
            return Ok(false);
        }
        reads &= length < 4;
        index += length;
    }
    Ok(reads)
}

/// Whether it is a type at all. Scripts return integers as doubles, exact to 2^53 (pitfall P35): wider ones are refused.
fn check_width(name: &str, kind: &[u8]) -> Result<bool, Refusal> {
    let bits = match kind {
        [b'i' | b'u', digits @ ..] => integer(digits),
        _ => None,
    };
    match bits {
        Some(1..=53) => Ok(true),
        Some(54..=64) if kind != b"u64" => Err(Refusal::unsupported(
            name,
            "types wider than i53 and u53 are not supported: servers' scripts return integers exactly only to 2^53",
        )),
        _ => Ok(false),
    }
}

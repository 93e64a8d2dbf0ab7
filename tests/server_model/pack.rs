//! MessagePack as the server's `cmsgpack` writes it: the same bytes, because the packed replies enter digests.

use super::reply::Reply;

/// `cmsgpack.pack` of a value: numbers as the smallest integer, strings as the smallest raw form.
pub fn pack(value: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Reply, out: &mut Vec<u8>) {
    match value {
        Reply::Nil => out.push(0xc2), // in Lua a nil reply is false
        Reply::Int(number) => put_integer(*number, out),
        Reply::Bulk(bytes) => put_string(bytes, out),
        Reply::Status(text) => put_table("ok", text, out),
        Reply::Error(text) => put_table("err", text, out),
        Reply::Array(items) => {
            match items.len() {
                length @ 0..=15 => out.push(0x90 | length as u8),
                length @ 16..=0xffff => put_head(0xdc, &(length as u16).to_be_bytes(), out),
                length => put_head(0xdd, &(length as u32).to_be_bytes(), out),
            }
            items.iter().for_each(|item| put(item, out));
        }
    }
}

fn put_head(tag: u8, length: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(length);
}

fn put_table(key: &str, text: &str, out: &mut Vec<u8>) {
    out.push(0x81);
    put_string(key.as_bytes(), out);
    put_string(text.as_bytes(), out);
}

fn put_string(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => put_head(0xd9, &[length as u8], out),
        length @ 0x100..=0xffff => put_head(0xda, &(length as u16).to_be_bytes(), out),
        length => put_head(0xdb, &(length as u32).to_be_bytes(), out),
    }
    out.extend_from_slice(bytes);
}

fn put_integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=127 => out.push(number as u8),
        128..=0xff => put_head(0xcc, &[number as u8], out),
        0x100..=0xffff => put_head(0xcd, &(number as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => put_head(0xce, &(number as u32).to_be_bytes(), out),
        0x1_0000_0000.. => put_head(0xcf, &number.to_be_bytes(), out),
        -32..=-1 => out.push(number as u8),
        -0x80..=-33 => put_head(0xd0, &[number as u8], out),
        -0x8000..=-0x81 => put_head(0xd1, &(number as i16).to_be_bytes(), out),
        -0x8000_0000..=-0x8001 => put_head(0xd2, &(number as i32).to_be_bytes(), out),
        _ => put_head(0xd3, &number.to_be_bytes(), out),
    }
}

/// `cmsgpack.unpack` of what [`pack`] wrote; none of anything else.
pub fn unpack(bytes: &[u8]) -> Option<Reply> {
    let mut rest = bytes;
    let value = take(&mut rest)?;
    rest.is_empty().then_some(value)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn take_unsigned(rest: &mut &[u8], length: usize) -> Option<u64> {
    Some(take_bytes(rest, length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn take_signed(rest: &mut &[u8], length: usize) -> Option<i64> {
    let unused = 64 - 8 * length;
    Some((take_unsigned(rest, length)? << unused) as i64 >> unused)
}

fn take(rest: &mut &[u8]) -> Option<Reply> {
    let tag = *take_bytes(rest, 1)?.first()?;
    let width = |first: u8| 1 << (tag - first);
    Some(match tag {
        0x00..=0x7f => Reply::Int(i64::from(tag)),
        0xe0..=0xff => Reply::Int(i64::from(tag as i8)),
        0xcc..=0xcf => Reply::Int(take_unsigned(rest, width(0xcc))? as i64),
        0xd0..=0xd3 => Reply::Int(take_signed(rest, width(0xd0))?),
        0xa0..=0xbf => Reply::bulk(take_bytes(rest, usize::from(tag & 0x1f))?),
        0xd9..=0xdb => {
            let length = take_unsigned(rest, width(0xd9))? as usize;
            Reply::bulk(take_bytes(rest, length)?)
        }
        0x81 => take_table(rest)?,
        0x90..=0x9f => take_array(rest, usize::from(tag & 0xf))?,
        0xdc..=0xdd => {
            let length = take_unsigned(rest, 2 * width(0xdc))? as usize;
            take_array(rest, length)?
        }
        0xc2 => Reply::Nil,
        _ => return None,
    })
}

fn take_array(rest: &mut &[u8], length: usize) -> Option<Reply> {
    (0..length).map(|_| take(rest)).collect::<Option<_>>().map(Reply::Array)
}

fn take_table(rest: &mut &[u8]) -> Option<Reply> {
    let (key, Reply::Bulk(text)) = (take(rest)?, take(rest)?) else { return None };
    let text = String::from_utf8(text).ok()?.into();
    if key == Reply::bulk("ok") { Some(Reply::Status(text)) } else { Some(Reply::Error(text)) }
}

#[test]
fn what_was_packed_is_unpacked_and_as_short_as_it_can_be() {
    let string = |length: usize| Reply::Bulk(vec![b'x'; length]);
    let array = |length: usize| Reply::Array(vec![Reply::Nil; length]);
    for (value, head) in [
        (Reply::Int(127), vec![0x7f]),
        (Reply::Int(128), vec![0xcc, 0x80]),
        (Reply::Int(300), vec![0xcd, 0x01, 0x2c]),
        (Reply::Int(70_000), vec![0xce, 0, 1, 0x11, 0x70]),
        (Reply::Int(1 << 40), vec![0xcf, 0, 0, 1, 0, 0, 0, 0, 0]),
        (Reply::Int(-32), vec![0xe0]),
        (Reply::Int(-33), vec![0xd0, 0xdf]),
        (Reply::Int(-129), vec![0xd1, 0xff, 0x7f]),
        (Reply::Int(-70_000), vec![0xd2, 0xff, 0xfe, 0xee, 0x90]),
        (Reply::Int(-(1 << 40)), vec![0xd3, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]),
        (string(31), vec![0xbf, b'x']),
        (string(32), vec![0xd9, 32, b'x']),
        (string(256), vec![0xda, 1, 0, b'x']),
        (string(65_536), vec![0xdb, 0, 1, 0, 0, b'x']),
        (array(15), vec![0x9f, 0xc2]),
        (array(16), vec![0xdc, 0, 16, 0xc2]),
        (array(65_536), vec![0xdd, 0, 1, 0, 0, 0xc2]),
        (Reply::OK, b"\x81\xa2ok\xa2OK".to_vec()),
        (Reply::Error("E".into()), b"\x81\xa3err\xa1E".to_vec()),
    ] {
        let packed = pack(&value);
        assert!(packed.starts_with(&head), "{head:x?}");
        assert_eq!(unpack(&packed), Some(value));
    }
}

//! Replies into bytes, in RESP2 or RESP3.

use super::shape::{Form, Shape};
use bytes::{BufMut, BytesMut};
use redis::{PushKind, ServerError, Value};

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Every client.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

impl Protocol {
    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// Writes one reply.
pub fn write(out: &mut BytesMut, protocol: Protocol, form: &Form, value: &Value) {
    let mut writer = Writer { out, resp3: protocol == Protocol::Resp3 };
    match (form, value) {
        (Form::One(shape), value) => writer.shaped(shape, value),
        (Form::Exec(shapes), Value::Array(items)) => writer.fields(shapes, items),
        (Form::Pushes, Value::Array(items)) => items.iter().for_each(|item| writer.pushed(item)),
        (Form::Pushes, value) => writer.plain(value),
        (Form::Exec(_), value) => writer.shaped(&Shape::List, value),
    }
}

/// An error of ours, code first. One line, as the protocol has it.
pub fn error(text: &str) -> Value {
    let line = text.replace(['\r', '\n'], " ");
    let (code, detail) = line.split_once(' ').unwrap_or((&line, ""));
    let parsed = redis::parse_redis_value(format!("-{code} {detail}\r\n").as_bytes());
    parsed.unwrap_or(Value::SimpleString(line))
}

/// The code that an error reply begins with, where it is one.
pub fn code_of(value: &Value) -> Option<&str> {
    match value {
        Value::ServerError(error) => Some(error.code()),
        _ => None,
    }
}

struct Writer<'a> {
    out: &'a mut BytesMut,
    resp3: bool,
}

impl Writer<'_> {
    fn shaped(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (_, Value::ServerError(error)) => self.error(error),
            (Shape::Plain | Shape::Set | Shape::Double | Shape::Text | Shape::Map(_), Value::Nil) => {
                self.nil()
            }
            (_, Value::Nil) => self.nil_list(),
            (Shape::Text, Value::BulkString(text)) => self.text(text),
            (Shape::Double, Value::BulkString(number)) => self.double(number),
            (Shape::Set, Value::Array(items)) => self.list(b'~', items, &Shape::Plain),
            (Shape::Map(shapes), Value::Array(items)) if items.len().is_multiple_of(2) => {
                self.map(shapes, items)
            }
            (Shape::Each(of), Value::Array(items)) => self.list(b'*', items, of),
            (Shape::Pairs(second), Value::Array(items)) => self.pairs(second, items),
            (Shape::Entries, Value::Array(items)) => self.entries(items),
            (Shape::Fields(shapes), Value::Array(items)) => self.fields(shapes, items),
            (Shape::Places, Value::Array(items)) => self.places(items),
            (_, value) => self.plain(value),
        }
    }

    fn plain(&mut self, value: &Value) {
        match value {
            Value::Nil => self.nil(),
            Value::Int(number) => self.line(b':', number.to_string().as_bytes()),
            Value::BulkString(bytes) => self.bulk(b'$', bytes),
            Value::SimpleString(text) => self.line(b'+', text.as_bytes()),
            Value::Okay => self.line(b'+', b"OK"),
            Value::Array(items) => self.list(b'*', items, &Shape::Plain),
            Value::Set(items) => self.list(b'~', items, &Shape::Plain),
            Value::Map(pairs) => {
                self.header(b'%', pairs.len());
                for (name, value) in pairs {
                    self.plain(name);
                    self.plain(value);
                }
            }
            Value::Double(number) => self.double(shown(*number).as_bytes()),
            Value::Boolean(truth) if self.resp3 => self.line(b'#', if *truth { b"t" } else { b"f" }),
            Value::Boolean(truth) => self.line(b':', if *truth { b"1" } else { b"0" }),
            Value::VerbatimString { text, .. } => self.text(text.as_bytes()),
            Value::BigNumber(digits) => self.bulk(b'$', digits),
            Value::Attribute { data, .. } => self.plain(data),
            Value::Push { kind, data } => self.push(kind, data),
            Value::ServerError(error) => self.error(error),
            _ => self.line(b'-', b"ERR a reply of a kind that is not known here"),
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.put_u8(kind);
        self.out.put_slice(text);
        self.out.put_slice(b"\r\n");
    }

    fn bulk(&mut self, kind: u8, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.line(kind, bytes.len().to_string().as_bytes());
        self.out.put_slice(bytes);
        self.out.put_slice(b"\r\n");
    }

    fn text(&mut self, text: &[u8]) {
        if !self.resp3 {
            return self.bulk(b'$', text);
        }
        self.line(b'=', (text.len() + 4).to_string().as_bytes());
        self.out.put_slice(b"txt:");
        self.out.put_slice(text);
        self.out.put_slice(b"\r\n");
    }

    fn double(&mut self, number: &[u8]) {
        let is_number = std::str::from_utf8(number).is_ok_and(|text| text.parse::<f64>().is_ok());
        if self.resp3 && is_number { self.line(b',', number) } else { self.bulk(b'$', number) }
    }

    fn nil(&mut self) {
        self.out.put_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    fn nil_list(&mut self) {
        self.out.put_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    fn error(&mut self, error: &ServerError) {
        let mut text = error.code().to_owned();
        if let Some(details) = error.details() {
            text.push(' ');
            text.push_str(details);
        }
        self.line(b'-', text.replace(['\r', '\n'], " ").as_bytes());
    }

    /// The header of a list of any kind; a map's counts its pairs.
    fn header(&mut self, kind: u8, count: usize) {
        let (kind, count) = match kind {
            b'%' if !self.resp3 => (b'*', count * 2),
            _ if !self.resp3 => (b'*', count),
            kind => (kind, count),
        };
        self.line(kind, count.to_string().as_bytes());
    }

    fn list(&mut self, kind: u8, items: &[Value], of: &Shape) {
        self.header(kind, items.len());
        items.iter().for_each(|item| self.shaped(of, item));
    }

    fn map(&mut self, shapes: &[(&str, Shape)], items: &[Value]) {
        self.header(b'%', items.len() / 2);
        for pair in items.chunks_exact(2) {
            self.plain(&pair[0]);
            let is_it = |(name, _): &&(&str, Shape)| matches!(&pair[0], Value::BulkString(found) if name.as_bytes() == found);
            let shape = shapes.iter().find(is_it).map_or(&Shape::Plain, |(_, shape)| shape);
            self.shaped(shape, &pair[1]);
        }
    }

    fn pairs(&mut self, second: &Shape, items: &[Value]) {
        // What does not come in pairs is passed on as it is.
        if !items.len().is_multiple_of(2) || items.iter().any(|item| matches!(item, Value::Array(_))) {
            return self.list(b'*', items, &Shape::Plain);
        }
        let count = if self.resp3 { items.len() / 2 } else { items.len() };
        self.header(b'*', count);
        for pair in items.chunks_exact(2) {
            if self.resp3 {
                self.header(b'*', 2);
            }
            self.plain(&pair[0]);
            self.shaped(second, &pair[1]);
        }
    }

    fn entries(&mut self, items: &[Value]) {
        let pairs: Option<Vec<&[Value]>> = items.iter().map(pair).collect();
        let Some(pairs) = pairs.filter(|_| self.resp3) else {
            return self.list(b'*', items, &Shape::Plain);
        };
        self.header(b'%', pairs.len());
        pairs.into_iter().flatten().for_each(|part| self.plain(part));
    }

    fn fields(&mut self, shapes: &[Shape], items: &[Value]) {
        self.header(b'*', items.len());
        let rest = std::iter::repeat(&Shape::Plain);
        shapes.iter().chain(rest).zip(items).for_each(|(shape, item)| self.shaped(shape, item));
    }

    fn places(&mut self, items: &[Value]) {
        self.header(b'*', items.len());
        for item in items {
            let Value::Array(parts) = item else {
                self.plain(item);
                continue;
            };
            self.header(b'*', parts.len());
            for part in parts {
                let shape =
                    if matches!(part, Value::Array(_)) { Shape::Each(&Shape::Double) } else { Shape::Plain };
                self.shaped(&shape, part);
            }
        }
    }

    fn pushed(&mut self, item: &Value) {
        match item {
            Value::Array(parts) => self.list(b'>', parts, &Shape::Plain),
            other => self.plain(other),
        }
    }

    fn push(&mut self, kind: &PushKind, data: &[Value]) {
        self.header(b'>', data.len() + 1);
        self.bulk(b'$', kind.to_string().as_bytes());
        data.iter().for_each(|part| self.plain(part));
    }
}

fn pair(item: &Value) -> Option<&[Value]> {
    match item {
        Value::Array(parts) if parts.len() == 2 => Some(parts),
        _ => None,
    }
}

fn shown(number: f64) -> String {
    match number {
        infinite if infinite == f64::INFINITY => "inf".into(),
        infinite if infinite == f64::NEG_INFINITY => "-inf".into(),
        number => number.to_string(),
    }
}

//! What clients send, and what they get, as bytes: random requests in random pieces, damaged ones, and plain rubbish.
//!
//! Failures are kept in tests/proxy_input.proptest-regressions and tried first in every later run.

use anarchoredis::proxy::{Form, Limits, Malformed, Parser, Protocol, Request, Settings, Shape, write};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use redis::Value;

fn limits() -> Limits {
    Settings::default().limits
}

fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// What the parser makes of pieces that come one after the other, and how much it holds at most beyond what has come.
fn parsed(pieces: &[&[u8]], limits: &Limits) -> (Vec<Vec<Vec<u8>>>, Option<Malformed>) {
    let (mut parser, mut buffer, mut requests) = (Parser::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&mut buffer, limits) {
                Ok(Some(request)) => {
                    requests.push(request.words().iter().map(|word| word.to_vec()).collect())
                }
                Ok(None) => break,
                Err(malformed) => return (requests, Some(malformed)),
            }
        }
    }
    (requests, None)
}

/// The text, cut at these places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40), 1..8)
}

/// As a person would have to type it.
fn typed(words: &[Vec<u8>]) -> Vec<u8> {
    let quoted = words.iter().map(|word| {
        let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{bytes}\"")
    });
    (quoted.collect::<Vec<_>>().join(" ") + "\r\n").into_bytes()
}

fn oracle(words: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    use redis_protocol::resp2::types::OwnedFrame;
    let (frame, _) = redis_protocol::resp2::decode::decode(&encoded(words)).ok()??;
    let OwnedFrame::Array(items) = frame else { return None };
    items
        .into_iter()
        .map(|item| match item {
            OwnedFrame::BulkString(bytes) => Some(bytes),
            _ => None,
        })
        .collect()
}

fn configuration() -> ProptestConfig {
    let file = "tests/proxy_input.proptest-regressions";
    let kept = proptest::test_runner::FileFailurePersistence::Direct(file);
    ProptestConfig { failure_persistence: Some(Box::new(kept)), ..ProptestConfig::with_cases(512) }
}

/// Values that a node's reply can be.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Okay),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Boolean),
        vec(any::<u8>(), 0..20).prop_map(Value::BulkString),
        "[a-zA-Z ]{0,10}".prop_map(Value::SimpleString),
        (-1e9..1e9).prop_map(Value::Double),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(inner.clone(), 0..6).prop_map(Value::Set),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Plain),
        Just(Shape::List),
        Just(Shape::Map(&[])),
        Just(Shape::Each(&Shape::Plain)),
        Just(Shape::Pairs(&Shape::Plain)),
        Just(Shape::Entries),
        Just(Shape::Fields(&[Shape::Plain, Shape::List])),
        Just(Shape::Set),
        Just(Shape::Text),
        Just(Shape::Places),
    ]
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn requests_are_the_same_however_they_are_cut_into_pieces(
        requests in vec(words(), 1..6),
        places in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole: Vec<u8> = requests.iter().flat_map(|words| encoded(words)).collect();
        let (found, malformed) = parsed(&cut(&whole, &places), &limits());
        prop_assert_eq!(malformed, None);
        prop_assert_eq!(found, requests);
    }

    #[test]
    fn typed_lines_and_arrays_may_follow_each_other(
        requests in vec((any::<bool>(), words()), 1..6),
        places in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut whole = Vec::new();
        for (by_hand, words) in &requests {
            whole.extend(if *by_hand { typed(words) } else { encoded(words) });
            whole.extend_from_slice(b"\r\n\n*0\r\n");
        }
        let (found, malformed) = parsed(&cut(&whole, &places), &limits());
        prop_assert_eq!(malformed, None);
        prop_assert_eq!(found, requests.into_iter().map(|(_, words)| words).collect::<Vec<_>>());
    }

    #[test]
    fn another_parser_finds_the_same_words(words in words()) {
        let found = oracle(&words).expect("a request that redis-protocol can read");
        prop_assert_eq!(parsed(&[&encoded(&words)], &limits()).0, vec![found]);
    }

    #[test]
    fn rubbish_is_refused_or_waits_for_more_and_nothing_else_happens(
        bytes in vec(any::<u8>(), 0..400),
        places in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        parsed(&cut(&bytes, &places), &limits());
        parsed(&cut(&bytes, &places), &Limits::STRANGER);
    }

    #[test]
    fn a_damaged_request_is_refused_or_is_another_one(
        requests in vec(words(), 1..4),
        damage in vec((any::<prop::sample::Index>(), prop::sample::select(b"*$-\r\n0129 \"'\\x\0\xff".to_vec())), 1..6),
    ) {
        let mut whole: Vec<u8> = requests.iter().flat_map(|words| encoded(words)).collect();
        for (place, byte) in damage {
            let place = place.index(whole.len());
            whole[place] = byte;
        }
        let (found, _) = parsed(&[&whole], &limits());
        let taken: usize = found.iter().flatten().map(Vec::len).sum();
        prop_assert!(taken <= whole.len(), "no byte is made up");
    }

    #[test]
    fn replies_of_any_shape_are_whole_replies(value in value(), shape in shape()) {
        let mut two = BytesMut::new();
        write(&mut two, Protocol::Resp2, &Form::One(shape), &value);
        let read = redis_protocol::resp2::decode::decode(&two).expect("RESP2");
        prop_assert_eq!(read.map(|(_, length)| length), Some(two.len()));
        let mut three = BytesMut::new();
        write(&mut three, Protocol::Resp3, &Form::One(shape), &value);
        prop_assert_eq!(length_in_resp3(&three), Some(three.len()));
    }
}

/// By redis-rs, since redis-protocol refuses maps whose keys are lists.
fn length_in_resp3(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    redis::Parser::new().parse_value(&mut rest).ok()?;
    Some(bytes.len() - rest.len())
}

fn refusal(bytes: &[u8], limits: &Limits) -> String {
    let (requests, malformed) = parsed(&[bytes], limits);
    assert!(requests.is_empty(), "{requests:?}");
    malformed.map(|malformed| malformed.to_string()).unwrap_or_default()
}

#[test]
fn what_is_too_much_is_refused_in_redis_words() {
    let limits = limits();
    for (bytes, words) in [
        (&b"*2147483648\r\n"[..], "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*1\r\n$2147483648\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*2\r\n$200000000\r\n", ""),
        (b"GET \"a\r\n", "unbalanced quotes in request"),
        (b"GET \"a\"b\r\n", "unbalanced quotes in request"),
    ] {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let expected = if words.is_empty() { String::new() } else { format!("ERR Protocol error: {words}") };
        assert_eq!(refusal(bytes, &limits), expected, "{shown}");
    }
    assert!(refusal(&[b'a'; 70_000], &limits).contains("too big inline request"));
    assert!(refusal(&[b'*'; 70_000], &limits).contains("too big mbulk count string"));
    let large = [&b"*1\r\n$"[..], &[b'1'; 70_000]].concat();
    assert!(refusal(&large, &limits).contains("too big bulk count string"));
    let mut two = b"*2\r\n$200000000\r\n".to_vec();
    two.resize(two.len() + 200_000_000, b'x');
    two.extend_from_slice(b"\r\n$200000000\r\n");
    assert!(refusal(&two, &limits).contains("the request is longer than"));
}

#[test]
fn a_stranger_may_send_little() {
    assert!(refusal(b"*11\r\n", &Limits::STRANGER).contains("unauthenticated multibulk length"));
    assert!(refusal(b"*1\r\n$16385\r\n", &Limits::STRANGER).contains("unauthenticated bulk length"));
}

#[test]
fn a_header_that_promises_much_sets_nothing_aside() {
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::from(&b"*1000000\r\n$300000000\r\nabc"[..]));
    assert_eq!(parser.next(&mut buffer, &limits()), Ok(None));
    assert!(buffer.capacity() < 1_024, "{} bytes", buffer.capacity());
    assert!(parser.needs(&buffer) > 200_000_000);
}

#[test]
fn a_request_of_very_many_words_that_comes_byte_by_byte_is_looked_at_once() {
    // Read from the beginning each time, this would be 10^11 steps.
    let words: Vec<Vec<u8>> = (0..50_000).map(|_| b"x".to_vec()).collect();
    let bytes = encoded(&words);
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::new());
    let mut found = None;
    for byte in bytes {
        buffer.extend_from_slice(&[byte]);
        found = parser.next(&mut buffer, &limits()).expect("a request");
    }
    assert_eq!(found.map(|request: Request| request.len()), Some(50_000));
}

#[test]
fn a_typed_line_is_split_as_redis_does() {
    for (line, words) in [
        (&br#"SET "a b" 'c d'"#[..], vec![&b"SET"[..], b"a b", b"c d"]),
        (br#"a"b""#, vec![b"ab"]),
        (br#""\x41\n\t\\\"\q""#, vec![b"A\n\t\\\"q"]),
        (br"'it\'s \n'", vec![br"it's \n"]),
        (br#"  "" ''  "#, vec![b"", b""]),
        (b"PING\0x", vec![b"PING", b"x"]),
    ] {
        let line = [line, b"\r\n"].concat();
        let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
        assert_eq!(parsed(&[&line], &limits()), (vec![words], None), "{}", String::from_utf8_lossy(&line));
    }
}

/// What attackers and broken programs send, by name; `None` is what only waits for more, with the bytes that may be held for it.
fn corpus() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let nested = |open: &str| open.repeat(100_000).into_bytes();
    let rubbish = |seed: u32| {
        let mut state = seed;
        let next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(200_000).collect::<Vec<u8>>()
    };
    vec![
        ("half-open, nothing", Vec::new(), None),
        ("half-open, a count", b"*3\r\n".to_vec(), None),
        ("half-open, a word", b"*2\r\n$3\r\nGET\r\n$10\r\nabc".to_vec(), None),
        ("half-open, a line", b"PI".to_vec(), None),
        ("a bulk header of 2 GiB", b"*1\r\n$2147483648\r\n".to_vec(), Some("invalid bulk length")),
        ("a bulk header just below 2 GiB", b"*1\r\n$2147483647\r\n".to_vec(), Some("invalid bulk length")),
        (
            "a bulk header of the most there may be, and nothing behind it",
            b"*1\r\n$314572800\r\n".to_vec(),
            None,
        ),
        ("2 Gi words", b"*2147483647\r\n".to_vec(), Some("invalid multibulk length")),
        ("arrays in arrays", nested("*1\r\n"), Some("expected '$', got '*'")),
        ("maps in maps", nested("%1\r\n"), Some("")),
        ("attributes before attributes", nested("|1\r\n"), Some("")),
        ("a line without end", vec![b'a'; 100_000], Some("too big inline request")),
        ("a count without end", [&b"*"[..], &[b'1'; 100_000]].concat(), Some("too big mbulk count string")),
        ("zeros", vec![0; 100_000], Some("too big inline request")),
        ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n".to_vec(), Some("")),
        ("an HTTP request", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Some("")),
        ("rubbish", rubbish(1), Some("")),
        ("other rubbish", rubbish(2), Some("")),
        ("rubbish in an array", [&b"*3\r\n"[..], &rubbish(3)].concat(), Some("expected '$'")),
    ]
}

/// All at once, and byte by byte, as one comes who wants to keep a server busy for long with little.
#[test]
fn what_attackers_send_is_refused_or_waits_without_a_panic_and_without_memory() {
    for (name, bytes, expected) in corpus() {
        for piece in [bytes.len().max(1), 1] {
            let (mut parser, mut buffer, mut refused, mut most) =
                (Parser::default(), BytesMut::new(), None, 0);
            for piece in bytes.chunks(piece) {
                buffer.extend_from_slice(piece);
                refused = loop {
                    match parser.next(&mut buffer, &limits()) {
                        Ok(Some(_)) => {}
                        Ok(None) => break None,
                        Err(malformed) => break Some(malformed.to_string()),
                    }
                };
                most = most.max(buffer.capacity());
                if refused.is_some() {
                    break;
                }
            }
            assert!(most <= 3 * bytes.len() + 1_024, "{name}: {most} bytes are held");
            match expected {
                None => assert_eq!(refused, None, "{name}"),
                // Rubbish may be lines; then each is a request, and none of them one that there is.
                Some("") => {}
                Some(words) => {
                    assert!(refused.as_ref().is_some_and(|why| why.contains(words)), "{name}: {refused:?}")
                }
            }
        }
    }
}

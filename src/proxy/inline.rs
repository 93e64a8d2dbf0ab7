//! Commands as a person types them: words between spaces, quoted where they need it, by the rules of Redis' `sdssplitargs`.

/// The words of a line; none where quotes do not match.
///
/// Between double quotes `\n`, `\r`, `\t`, `\b`, `\a`, `\\`, `\"` and `\xHH` stand for one byte each; between single quotes only `\'` does.
/// A closing quote ends the word, so a space or the end of the line must follow it.
pub fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let Some((first, tail)) = rest.split_first()
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, tail) = word(rest)?;
        words.push(word);
        rest = tail;
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || byte == 0
}

/// The first word, and what follows it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        match first {
            b'"' => return closed(word, double_quoted(tail)?),
            b'\'' => return closed(word, single_quoted(tail)?),
            byte if is_space(*byte) => break,
            byte => word.push(*byte),
        }
        rest = tail;
    }
    Some((word, rest))
}

/// A word that ends with the quoted text.
fn closed(mut word: Vec<u8>, (quoted, rest): (Vec<u8>, &[u8])) -> Option<(Vec<u8>, &[u8])> {
    word.extend(quoted);
    rest.first().is_none_or(|byte| is_space(*byte)).then_some((word, rest))
}

fn double_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Some((text, tail)),
            [b'\\', b'x', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                text.push(hex(*high)? * 16 + hex(*low)?);
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                tail
            }
            [byte, tail @ ..] => {
                text.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn single_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        rest = match rest {
            [b'\'', tail @ ..] => return Some((text, tail)),
            [b'\\', b'\'', tail @ ..] => {
                text.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                text.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

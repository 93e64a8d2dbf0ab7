//! The crate's own calls are the contract's, argument for argument.

use anarchoredis::protocol::{Digest, Position, Standing, Version};
use anarchoredis::script::{
    ApplyCall, Flags, Form, KeyState, Name, ReadCall, SettleCall, SettleMode, Snapshot, Ticket, Want, script,
    snapshot_call, stage_call,
};
use redis::Cmd;

use super::support::*;

const DIGEST: &str = "0123456789abcdef0123456789abcdef";
const TICKET: Ticket<'_> = Ticket { fence: FENCE, deadline_ms: 99_999_999_999_999 };

fn assert_is(cmd: &Cmd, name: Name, keys: &[Bytes], args: &[Bytes]) {
    let mut expected = words(&format!("EVALSHA {} {}", script(name).sha, keys.len()));
    expected.extend(keys.iter().chain(args).cloned());
    let found: Vec<Bytes> = cmd
        .args_iter()
        .map(|arg| match arg {
            redis::Arg::Simple(bytes) => bytes.to_vec(),
            other => panic!("an argument of another kind: {other:?}"),
        })
        .collect();
    let shown = |args: &[Bytes]| args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>();
    assert_eq!(shown(&found), shown(&expected));
}

fn digest() -> Digest {
    DIGEST.parse().expect("a digest")
}

#[test]
fn apply_is_encoded_as_the_contract_says() {
    let (record, keys) = (record("t"), words("t {t}a"));
    for (flags, letters) in [
        (Flags::default(), ""),
        (Flags { keep: true, read_only: true, ..Flags::default() }, "kr"),
        (Flags { hash_replies: true, ..Flags::default() }, "h"),
        (Flags { keep: true, wake: true, ..Flags::default() }, "kw"),
    ] {
        let until = format!("{DIGEST}<1234");
        for (expected, holds_until_ms, text) in [
            (None, None, "*"),
            (None, Some(1234), "*"),
            (Some(Digest::EMPTY), None, ""),
            (Some(Digest::EMPTY), Some(7), "<7"),
            (Some(digest()), None, DIGEST),
            (Some(digest()), Some(1234), until.as_str()),
        ] {
            let plain = Apply {
                expected: text.into(),
                state_limit: 1,
                reply_limit: 2,
                retry_window_ms: 3,
                max_offset_ms: 4,
                lowest_expiry_ms: 5,
                ..Apply::new("t", 7, "MSET t 1 {t}a 2;GET {t}a")
            }
            .flags(letters);
            let call = ApplyCall {
                record: &record,
                keys: &keys,
                ballot: ballot(7),
                op: op(7),
                flags,
                expected,
                holds_until_ms,
                state_limit: 1,
                reply_limit: 2,
                retry_window_ms: 3,
                max_clock_offset_ms: 4,
                lowest_expiry_ms: 5,
                commands: &plain.commands,
            };
            assert_is(&call.encode(&TICKET), Name::Apply, &plain.keys(), &plain.args(FENCE, NEVER));
        }
    }
}

#[test]
fn read_is_encoded_as_the_contract_says() {
    let plain = Apply::new("t", 1, "GET t;STRLEN {t}a");
    let call =
        ReadCall { record: &record("t"), keys: &words("t {t}a"), at_ms: 17, commands: &plain.commands };
    let mut args = words(&format!("{FENCE} {NEVER} 17"));
    args.extend(plain.command_args());
    assert_is(&call.encode(&TICKET), Name::Read, &plain.keys(), &args);
}

fn snapshot(position: Position) -> Snapshot {
    let key = |key: &str, form, expiry_ms, elements: &str| KeyState {
        key: key.into(),
        form,
        expiry_ms,
        elements: words(elements),
    };
    Snapshot {
        promised: ballot(1),
        standing: Standing { accepted: None, settled: Version(0), position },
        ops: b"ops\0".to_vec(),
        multi: true,
        many: false,
        delta: false,
        log: words("one two"),
        states: vec![key("{t}a", Form::Zset, 9, "m 1"), key("{t}b", Form::Gone, 0, "")],
    }
}

#[test]
fn settle_is_encoded_as_the_contract_says() {
    let position = Position { version: Version(3), digest: digest() };
    let snapshot = snapshot(position);
    let plain = Settle {
        ops: snapshot.ops.clone(),
        multi: true,
        log: snapshot.log.clone(),
        ..Settle::full(
            "t",
            ballot(2),
            3,
            DIGEST,
            vec![Key::new("{t}a", "zset", &["m", "1"]).expiring_at(9), Key::new("{t}b", "gone", &[])],
        )
    };
    let record = record("t");
    let encoded = |mode, dirty| {
        SettleCall { record: &record, ballot: ballot(2), position, mode, dirty }.encode(&TICKET)
    };
    let is = |cmd: &Cmd, plain: &Settle| {
        assert_is(cmd, Name::Settle, std::slice::from_ref(&record), &plain.args())
    };
    is(&encoded(SettleMode::Full(&snapshot), false), &plain);
    let delta = Settle { mode: "delta", base: DIGEST.into(), ..plain };
    is(&encoded(SettleMode::Delta(&snapshot, digest()), false), &delta);
    let confirm = Settle { dirty: true, ..Settle::confirm("t", ballot(2), 3, DIGEST) };
    is(&encoded(SettleMode::Confirm, true), &confirm);
}

#[test]
fn snapshot_and_stage_are_encoded_as_the_contract_says() {
    let (record, keys) = (record("t"), words("{t}a {t}b"));
    for (want, named, rest) in [
        (Want::All, 0, "all 5".to_owned()),
        (Want::Since(&[digest(), digest()]), 0, format!("since 5 {DIGEST},{DIGEST}")),
        (Want::Names("7", 1_000), 0, "names 5 7 1000".into()),
        (Want::Keys(&keys), 2, "keys 5".to_owned()),
        (Want::Slice(&keys[..1], "17", 9), 1, "slice 5 17 9".to_owned()),
    ] {
        let all: Vec<Bytes> = std::iter::once(&record).chain(&keys[..named]).cloned().collect();
        let args = words(&format!("{FENCE} {NEVER} {rest}"));
        assert_is(&snapshot_call(&TICKET, &record, &want, 5), Name::Snapshot, &all, &args);
    }
    let staged = stage_call(&TICKET, &record, b"stage", Form::Hash, true, None, 60, &words("f v"));
    let args = words(&format!("{FENCE} {NEVER} hash 1 60 f v"));
    assert_is(&staged, Name::Stage, &[record, b"stage".to_vec()], &args);
}

//! All that two servers hold, compared.

use redis::Value;

use crate::harness::Version;
use crate::pair::{Difference, Pair, Words};
use crate::reply::Reply;

/// A stage's expiry counts from a moment that the model knows to a few milliseconds; as does what is computed from a TTL.
const NEAR_MS: i64 = 1_000;

fn words(line: &[&[u8]]) -> Words {
    line.iter().map(|word| word.to_vec()).collect()
}

fn value_command(kind: &str, key: &[u8]) -> Words {
    match kind {
        "string" => words(&[b"GET", key]),
        "list" => words(&[b"LRANGE", key, b"0", b"-1"]),
        "hash" => words(&[b"HGETALL", key]),
        "set" => words(&[b"SMEMBERS", key]),
        _ => words(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
    }
}

/// Keys, types, values and expiries of a server and its model are the same.
pub async fn compare(pair: &mut Pair) -> Result<(), Difference> {
    let Value::Array(keys) = pair.run(&words(&[b"KEYS", b"*"])).await? else { unreachable!("KEYS lists") };
    for key in keys {
        let Value::BulkString(key) = key else { unreachable!("a key is a string") };
        let kind = Reply(pair.run(&words(&[b"TYPE", &key])).await?).to_string();
        pair.run(&value_command(&kind, &key)).await?;
        compare_expiry(pair, &key).await?;
    }
    Ok(())
}

async fn compare_expiry(pair: &mut Pair, key: &[u8]) -> Result<(), Difference> {
    let is_exact = pair.version() >= Version::V7_0 && !key.starts_with(b"anrcho_stage");
    if is_exact {
        return pair.run(&words(&[b"PEXPIRETIME", key])).await.map(|_| ());
    }
    let pttl = words(&[b"PTTL", key]);
    let (now_us, real) = pair.ask_at(&pttl).await;
    let modelled = pair.model(now_us, &pttl);
    match (&real, &modelled) {
        (Value::Int(real), Value::Int(model)) if *real >= 0 && (real - model).abs() < NEAR_MS => Ok(()),
        (real, model) if real == model => Ok(()),
        _ => Err(Difference(format!("PTTL {}: {real:?}, {modelled:?}", key.escape_ascii()))),
    }
}

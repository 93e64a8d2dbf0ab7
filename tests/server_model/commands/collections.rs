//! Hashes, sets and sorted sets. What has no order in Redis comes sorted.

use super::super::reply::{Error, OVERFLOW, Outcome, Reply, SYNTAX};
use super::super::session::Session;
use super::super::value::{Bytes, Hash, Score, Set, Zset};
use super::{number, range};

pub fn hset(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    if !words.len().is_multiple_of(2) {
        return Err(Error::new("ERR wrong number of arguments for 'hset' command"));
    }
    session.store.edit(words[1], |hash: &mut Hash| {
        let set = |pair: &&[&[u8]]| hash.insert(pair[0].to_vec(), pair[1].to_vec()).is_none();
        Reply::count(words[2..].chunks(2).filter(set).count())
    })
}

pub fn hget(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::optional(session.store.view::<Hash>(words[1])?.and_then(|hash| hash.get(words[2]))))
}

pub fn hmget(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let hash = session.store.view::<Hash>(words[1])?;
    let field = |field: &&[u8]| Reply::optional(hash.and_then(|hash| hash.get(*field)));
    Ok(Reply::Array(words[2..].iter().map(field).collect()))
}

pub fn hdel(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    session.store.edit(words[1], |hash: &mut Hash| {
        Reply::count(words[2..].iter().filter(|field| hash.remove(**field).is_some()).count())
    })
}

pub fn hexists(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let hash = session.store.view::<Hash>(words[1])?;
    Ok(Reply::Int(i64::from(hash.is_some_and(|hash| hash.contains_key(words[2])))))
}

pub fn hlen(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.view::<Hash>(words[1])?.map_or(0, Hash::len)))
}

pub fn hkeys(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::strings(session.store.view::<Hash>(words[1])?.into_iter().flat_map(Hash::keys)))
}

pub fn hgetall(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let pairs = session.store.view::<Hash>(words[1])?.into_iter().flatten();
    Ok(Reply::strings(pairs.flat_map(|(field, value)| [field, value])))
}

pub fn hincrby(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let amount = number(words[3])?;
    let found = session.store.view::<Hash>(words[1])?.and_then(|hash| hash.get(words[2]));
    let not_an_integer = |_| Error::new("ERR hash value is not an integer");
    let before = found.map_or(Ok(0), |value| number(value)).map_err(not_an_integer)?;
    let after = before.checked_add(amount).ok_or(OVERFLOW)?;
    session.store.edit(words[1], |hash: &mut Hash| {
        hash.insert(words[2].to_vec(), after.to_string().into_bytes());
        Reply::Int(after)
    })
}

pub fn sadd(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    session.store.edit(words[1], |set: &mut Set| {
        Reply::count(words[2..].iter().filter(|member| set.insert(member.to_vec())).count())
    })
}

pub fn srem(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    session.store.edit(words[1], |set: &mut Set| {
        Reply::count(words[2..].iter().filter(|member| set.remove(**member)).count())
    })
}

pub fn smembers(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::strings(session.store.view::<Set>(words[1])?.into_iter().flatten()))
}

/// With a count that is not negative. A real server picks at random; here the clock picks, so that nodes differ.
pub fn srandmember(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let count = usize::try_from(super::number(words[2])?).unwrap_or(0);
    let first = usize::try_from(session.now_us / 1_000).unwrap_or(0);
    let members: Vec<&Vec<u8>> = session.store.view::<Set>(words[1])?.into_iter().flatten().collect();
    let picked = (0..count.min(members.len())).map(|place| members[(first + place) % members.len()]);
    Ok(Reply::strings(picked))
}

pub fn scard(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.view::<Set>(words[1])?.map_or(0, Set::len)))
}

pub fn sismember(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let set = session.store.view::<Set>(words[1])?;
    Ok(Reply::Int(i64::from(set.is_some_and(|set| set.contains(words[2])))))
}

/// Without options.
pub fn zadd(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    if !words.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let not_a_score = || Error::new("ERR value is not a valid float");
    let pair = |pair: &[&[u8]]| Ok((Score::parse(pair[0]).ok_or_else(not_a_score)?, pair[1].to_vec()));
    let pairs: Vec<(Score, Bytes)> = words[2..].chunks(2).map(pair).collect::<Result<_, Error>>()?;
    session.store.edit(words[1], |zset: &mut Zset| {
        let mut is_new = |(score, member): &(Score, Bytes)| zset.0.insert(member.clone(), *score).is_none();
        Reply::count(pairs.iter().filter(|pair| is_new(pair)).count())
    })
}

pub fn zrem(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    session.store.edit(words[1], |zset: &mut Zset| {
        Reply::count(words[2..].iter().filter(|member| zset.0.remove(**member).is_some()).count())
    })
}

pub fn zscore(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let zset = session.store.view::<Zset>(words[1])?;
    Ok(zset.and_then(|zset| zset.0.get(words[2])).map_or(Reply::Nil, Reply::text))
}

pub fn zcard(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.view::<Zset>(words[1])?.map_or(0, |zset| zset.0.len())))
}

/// By rank.
pub fn zrange(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let with_scores = match &words[4..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"WITHSCORES") => true,
        _ => return Err(SYNTAX),
    };
    number(words[2]).and(number(words[3]))?;
    let Some(zset) = session.store.view::<Zset>(words[1])? else { return Ok(Reply::Array(Vec::new())) };
    let mut items = Vec::new();
    for (score, member) in &zset.ranked()[range(words[2], words[3], zset.0.len())?] {
        items.push(Reply::bulk(member));
        if with_scores {
            items.push(Reply::text(score));
        }
    }
    Ok(Reply::Array(items))
}

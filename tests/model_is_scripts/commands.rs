//! Random commands: of few keys and small values, so that types collide, counters overflow and collections run empty.

use crate::pair::Words;
use crate::rng::Rng;

/// `K`: a key; `E`: another key; `V`: a small value; `N`: a number; `T`: an expiry.
const WRITES: [&str; 41] = [
    "SET K V",
    "SET K V PXAT T",
    "SET K V NX",
    "SET K V XX",
    "SET K V KEEPTTL",
    "SET K V GET",
    "SET K N",
    "SET K 9007199254740990",
    "SETNX K V",
    "GETDEL K",
    "APPEND K V",
    "INCR K",
    "INCRBY K N",
    "DECR K",
    "DECRBY K N",
    "INCRBY K 9007199254740000",
    "DEL K",
    "DEL K E",
    "MSET K V E V",
    "RENAME K E",
    "COPY K E",
    "COPY K E REPLACE",
    "RPUSH K V V",
    "LPUSH K V",
    "LPOP K",
    "RPOP K",
    "LPOP K 2",
    "LREM K N V",
    "LSET K N V",
    "SADD K V V",
    "SREM K V",
    "HSET K V V V V",
    "HDEL K V",
    "HINCRBY K V N",
    "HSET K V N",
    "ZADD K N V",
    "ZREM K V",
    "PEXPIREAT K T",
    "PERSIST K",
    "PEXPIREAT K T",
    "HINCRBY K V 9007199254740993",
];
const READS: [&str; 24] = [
    "GET K",
    "STRLEN K",
    "EXISTS K E",
    "TYPE K",
    "MGET K E",
    "LRANGE K 0 -1",
    "LRANGE K N N",
    "LLEN K",
    "SMEMBERS K",
    "SCARD K",
    "SISMEMBER K V",
    "HGET K V",
    "HGETALL K",
    "HLEN K",
    "HMGET K V V",
    "HEXISTS K V",
    "HKEYS K",
    "ZSCORE K V",
    "ZRANGE K 0 -1 WITHSCORES",
    "ZCARD K",
    "PTTL none",
    "GET K",
    "GETRANGE K 0 2",
    "LRANGE K 0 -1",
];
/// They fail without having run; what the server says differs from version to version.
const WRONG: [&str; 3] = ["NOSUCHCOMMAND K", "GET K K K", "HSET K"];
const VALUES: [&str; 7] = ["a", "b", "7", "-1", "", "0", "a-longer-value-of-more-than-thirty-two-bytes"];
const NUMBERS: [&str; 7] = ["1", "-1", "2", "0", "300", "-70000", "x"];

/// The keys of one register, and the times that expiries are set to.
pub struct Material<'a> {
    pub keys: &'a [&'a str],
    pub base_ms: u64,
}

impl Material<'_> {
    /// Far from now, and from every ballot.
    pub fn expiry_ms(&self, rng: &mut Rng) -> u64 {
        self.base_ms + 50_000 + 100_000 * rng.below(7) - 300_000
    }

    fn fill(&self, rng: &mut Rng, template: &str) -> Words {
        let word = |rng: &mut Rng, word: &str| match word {
            "K" | "E" => rng.pick(self.keys).to_owned(),
            "V" => rng.pick(&VALUES).to_owned(),
            "N" => rng.pick(&NUMBERS).to_owned(),
            "T" => self.expiry_ms(rng).to_string(),
            other => other.to_owned(),
        };
        template.split(' ').map(|part| word(rng, part).into_bytes()).collect()
    }

    pub fn write(&self, rng: &mut Rng) -> Words {
        let template = rng.pick(&WRITES);
        // With these, the expiry of a copy is the other key's; the scripts are told all keys all the same.
        self.fill(rng, template)
    }

    pub fn read(&self, rng: &mut Rng) -> Words {
        let template = rng.pick(&READS);
        self.fill(rng, template)
    }

    /// One op's commands.
    pub fn batch(&self, rng: &mut Rng, read_only: bool) -> Vec<Words> {
        if rng.percent(3) {
            let template = rng.pick(&WRONG);
            return vec![self.fill(rng, template)];
        }
        let count = if rng.percent(70) { 1 } else { 1 + rng.below(4) };
        let one = |rng: &mut Rng| if read_only { self.read(rng) } else { self.write(rng) };
        (0..count).map(|_| one(rng)).collect()
    }
}

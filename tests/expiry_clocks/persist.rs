//! What each command does to the time to live of the keys that it writes to.

/// How it stands with a key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Set,
    None,
    /// No such key.
    Gone,
}

/// What {}a is made of, what is done, and how it stands with {}a and {}b then. {}a begins with a time to live of 1,000 s and {}b without
/// a key, but for the lines that say otherwise.
pub type Row = (&'static str, &'static str, Expiry, Expiry);

use Expiry::{Gone, None, Set};

const TEXT: &str = "SET {}a 5 EX 1000";
const LIST: &str = "RPUSH {}a 3 1 2|EXPIRE {}a 1000";
const HASH: &str = "HSET {}a f 1 g 2|EXPIRE {}a 1000";
const SETS: &str = "SADD {}a 1 2 3|EXPIRE {}a 1000";
const ZSET: &str = "ZADD {}a 1 m 2 n|EXPIRE {}a 1000";
const STREAM: &str = "XADD {}a 1-1 f v|EXPIRE {}a 1000";
/// Both keys have one.
const TEXTS: &str = "SET {}a 5 EX 1000|SET {}b 6 EX 2000";
/// Only {}b has one.
const ONLY_B: &str = "SET {}a 5|SET {}b 6 EX 2000";

/// One row a line, whatever its length.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // Writes to a part of the value keep it.
    (TEXT, "APPEND {}a 1", Set, Gone), (TEXT, "INCR {}a", Set, Gone), (TEXT, "DECRBY {}a 2", Set, Gone),
    (TEXT, "INCRBYFLOAT {}a 0.5", Set, Gone), (TEXT, "SETRANGE {}a 1 x", Set, Gone), (TEXT, "SETBIT {}a 1 1", Set, Gone),
    (TEXT, "BITFIELD {}a INCRBY u4 0 1", Set, Gone), (TEXT, "SET {}a 6 KEEPTTL", Set, Gone), (TEXT, "SET {}a 6 XX KEEPTTL GET", Set, Gone),
    (TEXT, "SETNX {}a 6", Set, Gone), (TEXT, "SET {}a 6 NX", Set, Gone), (TEXT, "GETEX {}a", Set, Gone), (TEXT, "MSETNX {}a 6 {}b 7", Set, Gone),
    (LIST, "LPUSH {}a 4", Set, Gone), (LIST, "RPUSHX {}a 4", Set, Gone), (LIST, "LPOP {}a", Set, Gone), (LIST, "LSET {}a 0 9", Set, Gone),
    (LIST, "LINSERT {}a BEFORE 1 9", Set, Gone), (LIST, "LREM {}a 0 1", Set, Gone), (LIST, "LTRIM {}a 0 0", Set, Gone),
    (LIST, "LMOVE {}a {}b LEFT RIGHT", Set, None), (LIST, "LMPOP 1 {}a LEFT", Set, Gone), (LIST, "BLPOP {}a 1", Set, Gone),
    (HASH, "HSET {}a f 9", Set, Gone), (HASH, "HINCRBY {}a f 1", Set, Gone), (HASH, "HDEL {}a f", Set, Gone), (HASH, "HSETNX {}a h 1", Set, Gone),
    (SETS, "SADD {}a 9", Set, Gone), (SETS, "SREM {}a 1", Set, Gone), (SETS, "SPOP {}a", Set, Gone), (SETS, "SMOVE {}a {}b 1", Set, None),
    (ZSET, "ZADD {}a 9 m", Set, Gone), (ZSET, "ZINCRBY {}a 1 m", Set, Gone), (ZSET, "ZREM {}a m", Set, Gone), (ZSET, "ZPOPMIN {}a", Set, Gone),
    (ZSET, "ZREMRANGEBYRANK {}a 0 0", Set, Gone), (STREAM, "XADD {}a 2-1 f v", Set, Gone), (STREAM, "XTRIM {}a MAXLEN 0", Set, Gone),
    (STREAM, "XDEL {}a 1-1", Set, Gone), (STREAM, "XGROUP CREATE {}a g 0", Set, Gone), ("PFADD {}a x|EXPIRE {}a 1000", "PFADD {}a y", Set, Gone),
    ("GEOADD {}a 1 1 m|EXPIRE {}a 1000", "GEOADD {}a 2 2 n", Set, Gone), (LIST, "SORT {}a STORE {}b", Set, None),
    // A failed command changes nothing.
    (LIST, "INCR {}a", Set, Gone), (LIST, "GETSET {}a 1", Set, Gone), (TEXT, "RENAME {}b {}a", Set, Gone), (TEXT, "SET {}a 6 EX 0", Set, Gone),
    // A new value takes it off.
    (TEXT, "SET {}a 6", None, Gone), (TEXT, "SET {}a 6 XX", None, Gone), (TEXT, "SET {}a 6 GET", None, Gone), (TEXT, "GETSET {}a 6", None, Gone),
    (TEXT, "MSET {}a 6 {}b 7", None, None), (TEXT, "PERSIST {}a", None, Gone), (TEXT, "GETEX {}a PERSIST", None, Gone),
    (LIST, "SET {}a 6", None, Gone), (LIST, "SORT {}a STORE {}a", None, Gone), (SETS, "SUNIONSTORE {}a {}a", None, Gone),
    (ZSET, "ZUNIONSTORE {}a 1 {}a", None, Gone), (ZSET, "ZRANGESTORE {}a {}a 0 -1", None, Gone), (TEXT, "BITOP NOT {}a {}a", None, Gone),
    // PFMERGE writes into what is there.
    ("PFADD {}a x|EXPIRE {}a 1000", "PFMERGE {}a {}a", Set, Gone),
    // The last element takes the key with it, and a new key has none.
    ("RPUSH {}a 1|EXPIRE {}a 1000", "LPOP {}a", Gone, Gone), (TEXT, "GETDEL {}a", Gone, Gone), (TEXT, "DEL {}a", Gone, Gone), (TEXT, "UNLINK {}a", Gone, Gone),
    (SETS, "SREM {}a 1 2 3", Gone, Gone), (SETS, "SINTERSTORE {}a {}a {}b", Gone, Gone),
    // It goes where the value goes, in the place of what the other key had.
    (TEXT, "RENAME {}a {}b", Gone, Set), (TEXTS, "RENAME {}a {}b", Gone, Set), (ONLY_B, "RENAME {}a {}b", Gone, None), (TEXTS, "RENAMENX {}a {}b", Set, Set),
    (TEXT, "COPY {}a {}b", Set, Set), (ONLY_B, "COPY {}a {}b REPLACE", None, None), (ONLY_B, "COPY {}b {}a REPLACE", Set, Set), (ONLY_B, "COPY {}a {}b", None, Set),
    // Set anew, on conditions.
    ("SET {}a 5", "SET {}a 6 EX 3000", Set, Gone), ("SET {}a 5", "SET {}a 6 PX 3000000", Set, Gone), ("SET {}a 5", "SETEX {}a 3000 6", Set, Gone), ("SET {}a 5", "PSETEX {}a 3000000 6", Set, Gone),
    ("SET {}a 5", "SET {}a 6 PXAT 99999999999999", Set, Gone), ("SET {}a 5", "GETEX {}a EX 3000", Set, Gone), ("SET {}a 5", "GETEX {}a EXAT 99999999999", Set, Gone),
    ("SET {}a 5", "EXPIRE {}a 3000", Set, Gone), ("SET {}a 5", "EXPIRE {}a 3000 NX", Set, Gone), ("SET {}a 5", "EXPIRE {}a 3000 XX", None, Gone), ("SET {}a 5", "EXPIRE {}a 3000 GT", None, Gone),
    ("SET {}a 5", "EXPIRE {}a 3000 LT", Set, Gone), ("SET {}a 5", "EXPIREAT {}a 99999999999", Set, Gone), ("SET {}a 5", "PEXPIREAT {}a 99999999999999 LT XX", None, Gone),
    (TEXT, "PEXPIREAT {}a 1 GT", Set, Gone), (TEXT, "PEXPIREAT {}a 1 NX", Set, Gone), (TEXT, "EXPIRE {}b 3000", Set, Gone),
    // What has passed takes the key with it.
    (TEXT, "EXPIRE {}a 0", Gone, Gone), (TEXT, "PEXPIREAT {}a 1 LT", Gone, Gone), (TEXT, "EXPIRE {}a -1 XX", Gone, Gone), (TEXT, "SET {}a 6 PXAT 1", Gone, Gone), (TEXT, "GETEX {}a PXAT 1", Gone, Gone),
];

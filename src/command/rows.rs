//! Our table: every command that we run, one row each, and how.
//!
//! Redis 7.0's commands on strings, bitmaps, HyperLogLog, hashes, lists, sets, sorted sets, geo, streams and keys of any type. A
//! row says only what `COMMAND` does not: `read`/`write` as we run it (not as a server flags it), and what makes it
//! deterministic. Keys are where `COMMAND` says, unless a row has a rule of its own.

use super::arguments as a;
use super::blocking as b;
use super::call::Access;
use super::expiry as e;
use super::fold::{Fold, Join};
use super::local::{echo, ping, select};
use super::movable as m;
use super::pick::{spop, zremrangebylex};
use super::restore::restore;
use super::row::{Kind, Row, ask, local, read, row, write};
use super::scripts as u;
use super::stream as s;
use super::stream_read::{xread, xread_keys, xreadgroup_keys};
use super::walk as w;

/// The row of a command (lower case; a subcommand as `object|encoding`).
pub(super) fn row_of(name: &str) -> Option<&'static Row> {
    ROWS.iter().copied().flatten().find(|row| row.name == name)
}

/// The names of all rows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().copied().flatten().map(|row| row.name)
}

static ROWS: &[&[Row]] =
    &[CONNECTION, SCRIPTS, KEYS, STRINGS, BITMAPS, HASHES, LISTS, SETS, SORTED_SETS, GEO, STREAMS, PUBSUB];

const CONNECTION: &[Row] =
    &[local("ping", ping), local("echo", echo), local("select", select), ask("lolwut"), ask("time")];

/// What a script does is known only where it runs: its keys are those that it declares, and nodes whose answers to it differ have
/// different histories.
const SCRIPTS: &[Row] = &[
    write("eval").keys(u::declared).by(u::eval).unordered().waking(),
    read("eval_ro").keys(u::declared).by(u::eval).unordered(),
    write("evalsha").keys(u::declared).by(u::evalsha).unordered().waking(),
    read("evalsha_ro").keys(u::declared).by(u::evalsha).unordered(),
    local("script|exists", u::exists),
    local("script|flush", u::flush),
    ask("script|help"),
    local("script|load", u::load),
];

/// Beside the protocol: what is published is stored nowhere.
const PUBSUB: &[Row] = &[
    row("publish", Kind::Publish, Access::Read),
    row("pubsub|channels", Kind::Census, Access::Read),
    ask("pubsub|help"),
    row("pubsub|numpat", Kind::Census, Access::Read),
    row("pubsub|numsub", Kind::Census, Access::Read),
    row("pubsub|shardchannels", Kind::Census, Access::Read),
    row("pubsub|shardnumsub", Kind::Census, Access::Read),
    row("spublish", Kind::Publish, Access::Read),
];

const KEYS: &[Row] = &[
    write("copy").by(a::copy).waking(),
    row("dbsize", Kind::Walk(w::count), Access::Read),
    write("del").split(Join::Sum).chunked(1, 1, Fold::Sum).waking(),
    // Bytes depend on insertion order and on the server's version (pitfall P27).
    read("dump").unordered(),
    read("exists").split(Join::Sum).chunked(1, 1, Fold::Sum),
    write("expire").by(e::expire),
    write("expireat").by(e::expireat),
    read("expiretime"),
    row("flushall", Kind::Flush, Access::Write),
    row("flushdb", Kind::Flush, Access::Write),
    row("keys", Kind::Walk(w::all), Access::Read),
    ask("memory|help"),
    read("memory|usage").at(2).unordered(),
    read("object|encoding").at(2).unordered(),
    ask("object|help"),
    read("object|refcount").at(2).unordered(),
    write("persist"),
    write("pexpire").by(e::pexpire),
    write("pexpireat").by(e::pexpireat),
    read("pexpiretime"),
    // What is left is counted on the node's own clock, as any Redis does. Computing it here from PEXPIRETIME would be
    // exact to the coordinator's clock instead, which is no truer, and Redis 6.2 does not have it.
    read("pttl").unordered(),
    row("randomkey", Kind::Walk(w::any), Access::Read),
    write("rename").waking(),
    write("renamenx").waking(),
    write("restore").by(restore).waking(),
    row("scan", Kind::Walk(w::keys), Access::Read),
    write("sort").keys(m::sort).by(a::sort).waking(),
    read("sort_ro").keys(m::sort).by(a::sort).unordered(),
    read("touch").split(Join::Sum).chunked(1, 1, Fold::Sum),
    read("ttl").unordered(),
    read("type"),
    write("unlink").split(Join::Sum).chunked(1, 1, Fold::Sum).waking(),
];

const STRINGS: &[Row] = &[
    write("append"),
    write("decr").integer(),
    write("decrby").integer(),
    read("get"),
    write("getdel"),
    write("getex").by(e::getex),
    read("getrange"),
    write("getset"),
    write("incr").integer(),
    write("incrby").integer(),
    write("incrbyfloat").hashed(),
    read("lcs"),
    read("mget").split(Join::Places).chunked(1, 1, Fold::Concat),
    write("mset").split(Join::Ok).chunked(1, 2, Fold::Last),
    // All or nothing: cannot be split, nor divided.
    write("msetnx"),
    write("psetex").by(e::psetex),
    write("set").by(e::set),
    write("setex").by(e::setex),
    write("setnx"),
    write("setrange").by(a::setrange),
    read("strlen"),
    read("substr"),
];

const BITMAPS: &[Row] = &[
    read("bitcount"),
    write("bitfield").by(a::bitfield),
    read("bitfield_ro").by(a::bitfield_ro),
    write("bitop"),
    read("bitpos"),
    read("getbit"),
    write("setbit"),
    write("pfadd").chunked(2, 1, Fold::Max),
    // It rewrites the cached cardinality inside the value (pitfall P26).
    write("pfcount"),
    write("pfmerge").chunked(2, 1, Fold::Last),
];

const HASHES: &[Row] = &[
    write("hdel").chunked(2, 1, Fold::Sum),
    read("hexists"),
    read("hget"),
    read("hgetall").unordered(),
    write("hincrby").integer(),
    write("hincrbyfloat").by(a::hincrbyfloat).hashed(),
    read("hkeys").unordered(),
    read("hlen"),
    read("hmget").chunked(2, 1, Fold::Concat),
    write("hmset").chunked(2, 2, Fold::Last),
    read("hrandfield").by(a::random_count).unordered(),
    row("hscan", Kind::Walk(w::elements), Access::Read),
    write("hset").chunked(2, 2, Fold::Sum),
    write("hsetnx"),
    read("hstrlen"),
    read("hvals").unordered(),
];

const LISTS: &[Row] = &[
    write("blmove").blocking(b::blmove).whole(),
    write("blmpop").keys(b::popped).blocking(b::blmpop),
    write("blpop").blocking(b::blpop),
    write("brpop").blocking(b::brpop),
    write("brpoplpush").blocking(b::brpoplpush).whole(),
    read("lindex"),
    write("linsert"),
    read("llen"),
    write("lmove").waking(),
    write("lmpop").keys(m::popped),
    write("lpop"),
    read("lpos"),
    write("lpush").chunked(2, 1, Fold::Last).waking(),
    write("lpushx").chunked(2, 1, Fold::Last),
    read("lrange"),
    write("lrem"),
    write("lset"),
    write("ltrim"),
    write("rpop"),
    write("rpoplpush").waking(),
    write("rpush").chunked(2, 1, Fold::Last).waking(),
    write("rpushx").chunked(2, 1, Fold::Last),
];

const SETS: &[Row] = &[
    write("sadd").chunked(2, 1, Fold::Sum),
    read("scard"),
    read("sdiff").unordered(),
    write("sdiffstore"),
    read("sinter").unordered(),
    read("sintercard").keys(m::sintercard),
    write("sinterstore"),
    read("sismember"),
    read("smembers").unordered(),
    read("smismember").chunked(2, 1, Fold::Concat),
    write("smove"),
    row("spop", Kind::Pick(spop), Access::Write),
    read("srandmember").by(a::random_count).unordered(),
    write("srem").chunked(2, 1, Fold::Sum),
    row("sscan", Kind::Walk(w::elements), Access::Read),
    read("sunion").unordered(),
    write("sunionstore"),
];

/// Scores are IEEE doubles, the same everywhere; how many digits a reply shows differs between server versions. A range by
/// lex is the node's own choice where scores differ: it depends on the random heights of its skip list.
const SORTED_SETS: &[Row] = &[
    write("bzmpop").keys(b::popped).blocking(b::bzmpop),
    write("bzpopmax").blocking(b::bzpopmax),
    write("bzpopmin").blocking(b::bzpopmin),
    write("zadd").by(a::zadd).chunked(2, 2, Fold::Sum).waking(),
    read("zcard"),
    read("zcount"),
    read("zdiff").keys(m::combined).by(a::scores),
    write("zdiffstore").keys(m::stored).waking(),
    write("zincrby").unordered().waking(),
    read("zinter").keys(m::combined).by(a::scores),
    read("zintercard").keys(m::combined),
    write("zinterstore").keys(m::stored).by(a::weighted).waking(),
    read("zlexcount").unordered(),
    write("zmpop").keys(m::popped).unordered(),
    read("zmscore").chunked(2, 1, Fold::Concat).unordered(),
    write("zpopmax").unordered(),
    write("zpopmin").unordered(),
    read("zrandmember").by(a::random_count).unordered(),
    read("zrange").by(a::scores),
    read("zrangebylex").unordered(),
    read("zrangebyscore").by(a::scores),
    write("zrangestore").by(a::zrangestore).waking(),
    read("zrank").by(a::scores),
    write("zrem").chunked(2, 1, Fold::Sum),
    row("zremrangebylex", Kind::Pick(zremrangebylex), Access::Write),
    write("zremrangebyrank"),
    write("zremrangebyscore"),
    read("zrevrange").by(a::scores),
    read("zrevrangebylex").unordered(),
    read("zrevrangebyscore").by(a::scores),
    read("zrevrank").by(a::scores),
    row("zscan", Kind::Walk(w::elements), Access::Read),
    read("zscore").unordered(),
    read("zunion").keys(m::combined).by(a::scores),
    write("zunionstore").keys(m::stored).by(a::weighted).waking(),
];

/// Distances come from the server's `sin`, `cos` and `asin`, which may differ in the last digit.
const GEO: &[Row] = &[
    write("geoadd").by(a::geoadd).chunked(2, 3, Fold::Sum).waking(),
    read("geodist").unordered(),
    read("geohash").chunked(2, 1, Fold::Concat).unordered(),
    read("geopos").chunked(2, 1, Fold::Concat).unordered(),
    write("georadius").keys(m::georadius).by(a::georadius).unordered().waking(),
    read("georadius_ro").unordered(),
    write("georadiusbymember").keys(m::georadiusbymember).by(a::georadius).unordered().waking(),
    read("georadiusbymember_ro").unordered(),
    read("geosearch").unordered(),
    write("geosearchstore").by(a::geosearchstore).waking(),
];

/// What tells of a node's clock (idle times) or memory layout (radix trees) is not compared. Versions before 7.0 do not count entries.
const STREAMS: &[Row] = &[
    write("xack").by(s::xack).chunked(3, 1, Fold::Sum),
    write("xadd").by(s::xadd).waking(),
    write("xautoclaim").by(s::xautoclaim),
    write("xclaim").by(s::xclaim),
    write("xdel").by(s::xdel).chunked(2, 1, Fold::Sum),
    ask("xgroup|help"),
    ask("xinfo|help"),
    write("xgroup|create").at(2).by(s::xgroup_create),
    write("xgroup|createconsumer").at(2),
    write("xgroup|delconsumer").at(2),
    write("xgroup|destroy").at(2).waking(),
    write("xgroup|setid").at(2).by(s::xgroup_setid),
    read("xinfo|consumers").at(2).unordered(),
    read("xinfo|groups").at(2).unordered(),
    read("xinfo|stream").at(2).unordered(),
    read("xlen"),
    read("xpending").unordered(),
    read("xrange"),
    read("xread").split(Join::Streams).keys(xread_keys).by(xread).blocking(b::xread),
    write("xreadgroup").keys(xreadgroup_keys).by(s::xreadgroup).blocking(b::xreadgroup).whole(),
    read("xrevrange"),
    // Versions differ in what they take for a later entry that was deleted, and in how they say so.
    write("xsetid").by(s::xsetid).hashed().unordered(),
    write("xtrim").by(s::xtrim),
];

//! Random pipelines for a proxy and a plain Redis.

use super::{Raw, encoded};
use crate::harness::{Server, Version};
use crate::workload::Rng;
use anarchoredis::proxy::Proxy;
use std::net::{Ipv4Addr, SocketAddr};

/// Commands by type; K is a key of the type, V a value, N a small number, P another key of the same register.
const COMMANDS: &[&str] = &[
    "SET s:K V",
    "GET s:K",
    "INCR n:K",
    "DECRBY n:K N",
    "INCR s:K",
    "APPEND s:K V",
    "STRLEN s:K",
    "GETRANGE s:K 0 N",
    "SETNX s:K V",
    "GETSET s:K V",
    "GETDEL s:K",
    "MGET s:K s:Q n:K h:K",
    "MSET s:K V s:Q V",
    "EXISTS s:K s:Q h:K",
    "DEL s:K",
    "DEL s:K s:Q l:K",
    "TYPE h:K",
    "TYPE z:K",
    "INCRBYFLOAT f:K 0.5",
    "SET s:K V XX",
    "SET s:K V NX GET",
    "SETEX s:K 1000 V",
    "PERSIST s:K",
    "EXPIRE s:K 1000",
    "TTL nothing",
    "OBJECT ENCODING h:K",
    "GETBIT s:K N",
    "HSET h:K V V",
    "HSET h:K a N b V",
    "HGET h:K a",
    "HMGET h:K a b nothing",
    "HGETALL h:K",
    "HLEN h:K",
    "HDEL h:K a",
    "HINCRBY h:K a N",
    "HEXISTS h:K a",
    "HSTRLEN h:K b",
    "HINCRBYFLOAT h:K c 1.25",
    "HGET s:K a",
    "LPUSH l:K V V",
    "RPUSH l:K V",
    "LRANGE l:K 0 -1",
    "LPOP l:K",
    "LPOP l:K N",
    "RPOP l:K",
    "LLEN l:K",
    "LINDEX l:K N",
    "LSET l:K 0 V",
    "LREM l:K 1 V",
    "LINSERT l:K BEFORE V V",
    "LPOS l:K V",
    "LPOS l:K V COUNT 0",
    "LTRIM l:K 0 5",
    "LMPOP 1 l:K LEFT COUNT 2",
    "RPOPLPUSH l:K l:K",
    "LMOVE l:K l:K LEFT RIGHT",
    "RPOP nothing N",
    "SADD i:K N",
    "SREM i:K N",
    "SMEMBERS i:K",
    "SCARD i:K",
    "SISMEMBER i:K N",
    "SMISMEMBER i:K N 1",
    "SINTER i:K i:K",
    "SUNION i:K",
    "SRANDMEMBER nothing 5",
    "SPOP nothing",
    "SPOP nothing N",
    "ZADD z:K N V",
    "ZADD z:K 1.5 V",
    "ZADD z:K INCR N V",
    "ZSCORE z:K V",
    "ZMSCORE z:K V nothing",
    "ZINCRBY z:K 0.25 V",
    "ZRANGE z:K 0 -1",
    "ZRANGE z:K 0 -1 WITHSCORES",
    "ZREVRANGE z:K 0 N WITHSCORES",
    "ZRANGEBYSCORE z:K -inf +inf WITHSCORES",
    "ZRANK z:K V",
    "ZRANK z:K nothing",
    "ZCARD z:K",
    "ZCOUNT z:K 0 N",
    "ZREM z:K V",
    "ZPOPMIN z:K",
    "ZPOPMAX z:K N",
    "ZMPOP 1 z:K MIN",
    "ZMPOP 1 nothing MAX COUNT 2",
    "ZADD z:K inf V",
    "ZRANDMEMBER nothing 3 WITHSCORES",
    "ZDIFF 1 z:K WITHSCORES",
    "GEOADD g:K 13.361389 38.115556 V",
    "GEOPOS g:K V nothing",
    "GEODIST g:K V nothing",
    "GEODIST g:K V V km",
    "GEOSEARCH g:K FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST",
    "GEOHASH g:K V",
    "XADD x:K 5-* f V",
    "XADD x:K N-1 f V",
    "XLEN x:K",
    "XRANGE x:K - +",
    "XREAD COUNT 2 STREAMS x:K 0",
    "XREAD STREAMS x:K 99999999999999",
    "XGROUP CREATE x:K g 0 MKSTREAM",
    "XREADGROUP GROUP g c COUNT 1 STREAMS x:K >",
    "XPENDING x:K g",
    "XACK x:K g 5-0",
    "XDEL x:K 5-0",
    "PFADD p:K V",
    "PFCOUNT p:K",
    "SETBIT b:K N 1",
    "BITCOUNT b:K",
    "BITPOS b:K 1",
    "BITFIELD b:K GET u8 0",
    "LCS s:K s:K IDX",
    "EVAL return{1,'x',{false,2.5}} 0",
    "EVAL return(redis.call('get',KEYS[1])) 1 s:K",
    "ECHO V",
    "PING",
    "PING V",
    "SELECT 0",
    "GET",
    "SET s:K",
    "NOSUCHCOMMAND V",
    "INCR s:K extra",
    "LPUSH s:K V",
    "GET h:K",
    "EXPIRE s:K soon",
    "ZADD z:K x V",
    "SETRANGE s:K N V",
    "RENAME s:K s:K",
    "RENAME nothing nothing",
    "COPY s:K c:K",
    "SORT l:K ALPHA",
    "HRANDFIELD nothing 3 WITHVALUES",
    "CLIENT GETNAME",
    "CLIENT SETNAME V",
    "CLIENT NOSUCH",
    "CLIENT ID EXTRA",
    "CLIENT REPLY SKIP",
];

/// What a pipeline says that keeps to one register. A write of the same register between WATCH and MULTI aborts, as `Session` says, and
/// does not in Redis where it is of another key: so there is none.
const OF_ONE_REGISTER: &[&str] = &[
    "MULTI",
    "EXEC",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH s:K; GET s:K; MULTI",
    "UNWATCH",
    "EXEC EXTRA",
    "MULTI",
];

/// Commands on keys of two registers, or of one and with transactions.
fn command(rng: &mut Rng, only: Option<u64>) -> Vec<u8> {
    let text = match only {
        Some(_) if rng.below(6) == 0 => OF_ONE_REGISTER[rng.place(OF_ONE_REGISTER.len())],
        // The last one would leave out QUEUED.
        Some(_) => COMMANDS[rng.place(COMMANDS.len() - 1)],
        None => COMMANDS[rng.place(COMMANDS.len())],
    };
    let (one, other) = match only {
        Some(only) => (format!(":{{{only}}}"), format!(":b{{{only}}}")),
        None => (format!(":{{{}}}", rng.below(2)), ":2".to_owned()),
    };
    let mut bytes = Vec::new();
    for text in text.split("; ") {
        let words = text.split(' ').map(|word| {
            let word = word.replace(":K", &one).replace(":Q", &other);
            match word.as_str() {
                "V" => format!("v{}", rng.below(4)),
                "N" => rng.below(8).to_string(),
                "nothing" => format!("nothing{one}"),
                _ => word,
            }
        });
        bytes.extend(encoded(&words.collect::<Vec<_>>()));
    }
    bytes
}

/// The same pipelines to this proxy and to a plain Redis 7.0: panics where a reply differs by a byte.
pub async fn compare(proxy: &Proxy, [hello, other_hello]: [&str; 2], seed: u64, pipelines: u64) {
    let plain = Server::with(Version::V7_0).start().await;
    let mut ours = Raw::of(proxy).await;
    let mut theirs = Raw::to(SocketAddr::from((Ipv4Addr::LOCALHOST, plain.port()))).await;
    let (greeted, greeting) = (ours.ask(hello).await, theirs.ask(other_hello).await);
    assert!(greeted.contains("proto") && greeting.contains("proto"), "{greeted} {greeting}");
    let mut rng = Rng::new(seed);
    for pipeline in 0..pipelines {
        let only = (pipeline % 2 == 0).then(|| rng.below(2));
        let commands: Vec<Vec<u8>> = (0..rng.below(40) + 1).map(|_| command(&mut rng, only)).collect();
        // What closes it, so that both sides have answered everything whatever was skipped.
        let end = encoded(&["ECHO", &format!("end of {pipeline}")]);
        let whole = [commands.concat(), encoded(&["DISCARD"]), encoded(&["UNWATCH"]), end.clone()].concat();
        ours.send(&whole).await;
        theirs.send(&whole).await;
        let mut before: Vec<String> = Vec::new();
        loop {
            let (mine, other) = (ours.reply().await, theirs.reply().await);
            let [mine, other] = [mine, other].map(|reply| String::from_utf8_lossy(&reply).into_owned());
            let shown = String::from_utf8_lossy(&whole).replace("\r\n", " ");
            assert_eq!(
                mine,
                other,
                "seed {seed}, pipeline {pipeline}, reply {}\nafter {before:?}\n{shown}",
                before.len()
            );
            if mine.contains(&format!("end of {pipeline}")) {
                break;
            }
            before.push(mine);
        }
    }
}

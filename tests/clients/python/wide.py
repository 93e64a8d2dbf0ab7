"""What redis-py offers, against one URL: a plain Redis first, then a proxy. Usage: wide.py URL PROTOCOL"""

import asyncio
import sys
import time

import redis
import redis.asyncio

url, protocol = sys.argv[1], int(sys.argv[2])
r = redis.Redis.from_url(url, protocol=protocol, decode_responses=True)
raw = redis.Redis.from_url(url, protocol=protocol)


def same(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def strings():
    same(r.set("s", "v", ex=100), True)
    same(r.get("s"), "v")
    assert 0 < r.ttl("s") <= 100
    same(r.set("s", "w", nx=True), None)
    same(r.set("s", "w", get=True), "v")
    same(r.append("s", "xy"), 3)
    same(r.getrange("s", 1, -1), "xy")
    same(r.mset({"m1": 1, "m2": 2}), True)
    same(r.mget("m1", "nothing", "m2"), ["1", None, "2"])
    same((r.incr("n"), r.incrby("n", 41), r.decr("n")), (1, 42, 41))
    same(r.incrbyfloat("f", 0.5), 0.5)
    same(r.getdel("f"), "0.5")
    same(r.setbit("bits", 7, 1), 0)
    same(r.bitcount("bits"), 1)
    same(r.bitfield("bits").get("u8", 0).execute(), [1])
    binary = bytes(range(256)) * 10
    raw.set("binary", binary)
    same(raw.get("binary"), binary)
    large = b"x" * 5_000_000
    raw.set("large", large)
    same(raw.get("large"), large)
    same(r.delete("large", "binary", "nothing"), 2)
    same(r.exists("s", "m1", "large"), 2)


def collections():
    same(r.hset("h", mapping={"a": 1, "b": "two"}), 2)
    same(r.hgetall("h"), {"a": "1", "b": "two"})
    same(r.hmget("h", "b", "c"), ["two", None])
    same(r.hincrby("h", "a", 4), 5)
    same(sorted(r.hkeys("h")), ["a", "b"])
    same(dict(r.hscan_iter("h")), {"a": "5", "b": "two"})
    same(r.rpush("l", 1, 2, 3, 4), 4)
    same(r.lrange("l", 0, -1), ["1", "2", "3", "4"])
    same((r.lpop("l"), r.rpop("l", 2)), ("1", ["4", "3"]))
    same(r.lmpop(1, "l", direction="LEFT"), ["l", ["2"]])
    same(r.lpop("l"), None)
    same(r.sadd("set", "a", "b", "c"), 3)
    same(set(r.smembers("set")), {"a", "b", "c"})
    same(r.smismember("set", "a", "z"), [1, 0])
    assert r.spop("set") in {"a", "b", "c"}
    same(r.scard("set"), 2)
    same(set(r.sscan_iter("set")), set(r.smembers("set")))
    same(r.zadd("z", {"a": 1, "b": 2.5, "c": 3}), 3)
    same([list(pair) for pair in r.zrange("z", 0, -1, withscores=True)], [["a", 1.0], ["b", 2.5], ["c", 3.0]])
    same(r.zscore("z", "b"), 2.5)
    same(r.zmscore("z", ["a", "nothing"]), [1.0, None])
    same(r.zincrby("z", 0.5, "a"), 1.5)
    same(r.zadd("z", {"a": 1}, incr=True), 2.5)
    same(r.zrangebyscore("z", "-inf", 2.5), ["a", "b"])
    same(r.zrank("z", "c"), 2)
    same([list(pair) for pair in r.zpopmin("z", 1)], [["a", 2.5]])
    same(dict(r.zscan_iter("z")), {"b": 2.5, "c": 3.0})
    same(r.geoadd("geo", (13.361389, 38.115556, "palermo")), 1)
    [found] = r.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km", withdist=True, withcoord=True)
    same(found[0], "palermo")
    assert 190 < found[1] < 191 and abs(found[2][0] - 13.361389) < 1e-4
    same(r.pfadd("hll", "a", "b"), 1)
    same(r.pfcount("hll"), 2)


def streams():
    one = r.xadd("x", {"f": "1"})
    two = r.xadd("x", {"f": "2"})
    same(r.xlen("x"), 2)
    same(r.xrange("x"), [(one, {"f": "1"}), (two, {"f": "2"})])
    r.xgroup_create("x", "g", id="0")
    got = r.xreadgroup("g", "me", {"x": ">"}, count=1)
    [entries] = got.values() if isinstance(got, dict) else [dict(got)["x"]]
    assert one in str(entries)
    same(r.xpending("x", "g")["pending"], 1)
    same(r.xack("x", "g", one), 1)
    same(r.xinfo_stream("x")["length"], 2)
    same(r.xinfo_groups("x")[0]["name"], "g")
    same(r.xread({"x": two}), {} if protocol == 3 else [])
    same(r.xtrim("x", maxlen=1, approximate=False), 1)


def transactions():
    with r.pipeline() as pipe:
        same(pipe.set("{t}a", 1).incr("{t}a").get("{t}a").hgetall("{t}h").execute(), [True, 2, "2", {}])
    with r.pipeline(transaction=False) as pipe:
        for turn in range(500):
            pipe.rpush("list", turn)
            pipe.incr(f"c{turn % 7}")
        replies = pipe.execute()
    same(replies[::2], list(range(1, 501)))
    same(r.lrange("list", 0, -1), [str(turn) for turn in range(500)])
    with r.pipeline() as pipe:
        pipe.watch("{t}a")
        value = int(pipe.get("{t}a"))
        r.set("{t}a", 10)
        pipe.multi()
        pipe.set("{t}a", value + 1)
        try:
            pipe.execute()
            raise AssertionError("what was watched has changed")
        except redis.WatchError:
            pass
    same(r.transaction(lambda pipe: pipe.multi() or pipe.incr("{t}a"), "{t}a"), [11])


def scripts():
    add = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    same((add(keys=["scripted"], args=[3]), add(keys=["scripted"], args=[4])), (3, 7))
    same(r.eval("return {1, 'two', {3}}", 0), [1, "two", [3]])
    with r.lock("lock", timeout=5):
        assert not r.lock("lock", timeout=5).acquire(blocking=False)
    assert r.lock("lock", timeout=5).acquire(blocking=False)


def errors():
    for wrong, words in [
        (lambda: r.incr("s"), "not an integer"),
        (lambda: r.lpush("s", 1), "WRONGTYPE"),
        (lambda: r.execute_command("NOSUCH"), "unknown command"),
        (lambda: r.execute_command("GET"), "wrong number of arguments"),
    ]:
        try:
            wrong()
            raise AssertionError(words)
        except redis.ResponseError as error:
            assert words in str(error), error


def server():
    same(r.ping(), True)
    same(r.echo("x"), "x")
    assert abs(r.time()[0] - time.time()) < 60
    info = r.info()
    assert info["redis_version"].split(".")[0].isdigit() and info["role"] == "master" and info["arch_bits"] == 64
    assert r.info("clients")["connected_clients"] >= 1
    assert r.info("commandstats")["cmdstat_get"]["calls"] >= 1
    same(r.config_get("appendonly"), {"appendonly": "no"})
    r.client_setname("wide")
    same(r.client_getname(), "wide")
    assert any(client["name"] == "wide" for client in r.client_list())
    assert r.command_count() > 150 and "get" in r.command()
    same(r.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
    r.slowlog_get()
    same(sorted(set(r.scan_iter(match="c?", count=3))), [f"c{turn}" for turn in range(7)])
    same(sorted(r.keys("m?")), ["m1", "m2"])
    assert r.randomkey()
    same((r.type("h"), r.object("ENCODING", "n")), ("hash", "int"))
    assert r.memory_usage("h") > 0
    same(r.copy("s", "{s}copy"), True)


async def together():
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, protocol=protocol, max_connections=20)
    async with redis.asyncio.Redis(connection_pool=pool) as client:
        await asyncio.gather(*(client.incr("together") for _ in range(200)))
        same(await client.get("together"), b"200")
        async with client.pipeline(transaction=True) as pipe:
            same(await pipe.set("{p}", 1).get("{p}").execute(), [True, b"1"])


for part in [strings, collections, streams, transactions, scripts, errors, server]:
    part()
asyncio.run(together())
print("redis-py", redis.__version__, "in RESP", protocol, "found what it expects")

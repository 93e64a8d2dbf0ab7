"""What a command means to the protocol: its keys, read or write, and the form in which every node computes the same from it."""

from dataclasses import dataclass, field

from .errors import Refused

# By where the keys are: the first argument, all of them, the first two, every other one, behind their number, ...
READS = {
    "first": "GET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS TYPE TTL PTTL LLEN LINDEX LRANGE LPOS HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN"
    " SCARD SISMEMBER SMISMEMBER SMEMBERS ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK ZREVRANK ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE"
    " ZRANGEBYLEX ZREVRANGEBYLEX GEOPOS GEODIST GEOHASH GEOSEARCH XLEN XRANGE XREVRANGE SRANDMEMBER",
    "all": "EXISTS MGET TOUCH SDIFF SINTER SUNION",
    "numbered": "SINTERCARD ZDIFF ZINTER ZUNION ZINTERCARD",
}
WRITES = {
    "first": "APPEND SET SETNX SETEX PSETEX GETSET GETDEL GETEX SETRANGE SETBIT INCR INCRBY DECR DECRBY INCRBYFLOAT EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST"
    " LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LINSERT LREM LSET LTRIM HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT SADD SREM SPOP ZADD ZREM ZINCRBY ZPOPMIN"
    " ZPOPMAX ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE GEOADD PFADD XADD XDEL",
    "all": "DEL UNLINK SDIFFSTORE SINTERSTORE SUNIONSTORE PFMERGE",
    "two": "RENAME RENAMENX LMOVE RPOPLPUSH SMOVE COPY ZRANGESTORE GEOSEARCHSTORE",
    "pairs": "MSET MSETNX",
    "stored": "ZUNIONSTORE ZINTERSTORE ZDIFFSTORE",
    "behind": "BITOP",
}
KINDS = {name: (access, where) for access, table in (("read", READS), ("write", WRITES)) for where, names in table.items() for name in names.split()}
HASHED = {"INCRBYFLOAT", "HINCRBYFLOAT"}
# Commands for which others may wait on a blocking pop.
WAKING = set("LPUSH RPUSH LMOVE RPOPLPUSH ZADD ZINCRBY GEOADD ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE GEOSEARCHSTORE RENAME RENAMENX COPY XADD DEL UNLINK".split())
MOST_ARGUMENTS = 7900


@dataclass
class Plan:
    access: str
    register: bytes
    keys: list
    commands: list
    flags: str = ""
    lowest_expiry_ms: int = 0
    timed: bool = False
    expected: str = "*"
    special: str = ""
    original: list = field(default_factory=list)


def register_of(key, scopes):
    """The scope that the key starts with, the longest first; else what stands between the first { and the next }; else the key."""
    for scope in scopes:
        if key.startswith(scope):
            return scope
    start = key.find(b"{")
    end = key.find(b"}", start + 1) if start >= 0 else -1
    return key[start + 1 : end] if end > start + 1 else key


def plan(words, now_ms, scopes):
    args = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    name = args[0].decode("latin-1").upper() if args else ""
    if name not in KINDS:
        raise Refused(f"'{name}' has no deterministic form in this coordinator")
    if len(args) > MOST_ARGUMENTS:
        raise Refused(f"a command of {len(args)} arguments: a script takes {MOST_ARGUMENTS}, split it")
    access, where = KINDS[name]
    keys = list(dict.fromkeys(keys_of(args, where)))
    if not keys:
        raise Refused(f"wrong number of arguments for '{name}'")
    if any(key.startswith(b"anrcho_") for key in keys):
        raise Refused("keys that begin with anrcho_ are the protocol's")
    registers = {register_of(key, scopes) for key in keys}
    if len(registers) > 1:
        raise Refused("the keys belong to several registers: give them the same {hash tag}")
    made = Plan(access, registers.pop(), keys, [args], original=args)
    made.flags = ("h" if name in HASHED else "") + ("w" if name in WAKING else "")
    if name in ("SPOP", "SRANDMEMBER"):
        made.special = name
    elif name == "XADD":
        fix_xadd(made)
    elif name == "COPY" and any(word.upper() == b"DB" for word in args[3:]):
        raise Refused("COPY to another database: nodes use one")
    else:
        make_absolute(made, name, now_ms)
    return made


def keys_of(args, where):
    if where == "first":
        return args[1:2]
    if where == "all":
        return args[1:]
    if where == "two":
        return args[1:3]
    if where == "pairs":
        return args[1::2]
    if where == "behind":
        return args[2:]
    at = 1 if where == "numbered" else 2
    if not args[at : at + 1] or not args[at].isdigit():
        raise Refused("the number of keys is not a number")
    numbered = args[at + 1 : at + 1 + int(args[at])]
    return numbered if where == "numbered" else [args[1], *numbered]


def fix_xadd(made):
    args, at = made.commands[0], 2
    while at < len(args) and args[at].upper() in (b"NOMKSTREAM", b"MAXLEN", b"MINID"):
        if args[at + 1 : at + 2] == [b"~"]:
            raise Refused("XADD with ~ depends on how a node packs its entries: use =")
        at += 1 if args[at].upper() == b"NOMKSTREAM" else 3 if args[at + 1 : at + 2] == [b"="] else 2
    made.timed = args[at : at + 1] == [b"*"]


def integer(text):
    try:
        return int(text)
    except ValueError:
        raise Refused("value is not an integer or out of range") from None


def make_absolute(made, name, now_ms):
    """Relative expiry becomes absolute, the same in every retry; what has passed is sent as 1, which needs no clock."""
    args = made.commands[0]

    def absolute(text, unit_ms, relative):
        value = integer(text)
        if relative and value <= 0 and name not in ("EXPIRE", "PEXPIRE"):
            raise Refused(f"invalid expire time in '{name.lower()}' command")
        at_ms = value * unit_ms + (now_ms if relative else 0)
        if at_ms <= now_ms:
            return b"1"
        made.lowest_expiry_ms = at_ms
        return str(at_ms).encode()

    if name in ("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT") and len(args) >= 3:
        unit = 1 if name.startswith("P") else 1000
        made.commands = [[b"PEXPIREAT", args[1], absolute(args[2], unit, not name.endswith("AT")), *args[3:]]]
    elif name in ("SETEX", "PSETEX") and len(args) == 4:
        made.commands = [[b"SET", args[1], args[3], b"PXAT", absolute(args[2], 1000 if name == "SETEX" else 1, True)]]
    elif name in ("SET", "GETEX"):
        out, at = list(args), 3 if name == "SET" else 2
        for i in range(at, len(args) - 1):
            option = args[i].upper()
            if option in (b"EX", b"PX", b"EXAT", b"PXAT"):
                unit = 1000 if option.startswith(b"EX") else 1
                out[i], out[i + 1] = b"PXAT", absolute(args[i + 1], unit, len(option) == 2)
                break
        made.commands = [out]

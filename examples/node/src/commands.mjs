// What a command means to the protocol: its keys, read or write, and the form in which every node computes the same from it.
import { Refused } from './errors.mjs';

// By where the keys are: the first argument, all of them, the first two, every other one, behind their number, ...
const READS = {
  first: 'GET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS TYPE TTL PTTL LLEN LINDEX LRANGE LPOS HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS ' +
    'HSTRLEN SCARD SISMEMBER SMISMEMBER SMEMBERS ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK ZREVRANK ZRANGE ZREVRANGE ZRANGEBYSCORE ' +
    'ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX GEOPOS GEODIST GEOHASH GEOSEARCH XLEN XRANGE XREVRANGE SRANDMEMBER',
  all: 'EXISTS MGET TOUCH SDIFF SINTER SUNION',
  numbered: 'SINTERCARD ZDIFF ZINTER ZUNION ZINTERCARD',
};
const WRITES = {
  first: 'APPEND SET SETNX SETEX PSETEX GETSET GETDEL GETEX SETRANGE SETBIT INCR INCRBY DECR DECRBY INCRBYFLOAT EXPIRE PEXPIRE EXPIREAT ' +
    'PEXPIREAT PERSIST LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LINSERT LREM LSET LTRIM HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT SADD SREM ' +
    'SPOP ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE GEOADD PFADD XADD XDEL',
  all: 'DEL UNLINK SDIFFSTORE SINTERSTORE SUNIONSTORE PFMERGE',
  two: 'RENAME RENAMENX LMOVE RPOPLPUSH SMOVE COPY ZRANGESTORE GEOSEARCHSTORE',
  pairs: 'MSET MSETNX',
  stored: 'ZUNIONSTORE ZINTERSTORE ZDIFFSTORE',
  behind: 'BITOP',
};
const KINDS = new Map();
for (const [access, table] of [['read', READS], ['write', WRITES]]) {
  for (const [where, names] of Object.entries(table)) names.split(' ').forEach((name) => KINDS.set(name, { access, where }));
}
const HASHED = new Set(['INCRBYFLOAT', 'HINCRBYFLOAT']);
// Commands for which others may wait on a blocking pop.
const WAKING = new Set(
  ('LPUSH RPUSH LMOVE RPOPLPUSH ZADD ZINCRBY GEOADD ' +
    'ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE GEOSEARCHSTORE RENAME RENAMENX COPY XADD DEL UNLINK').split(' '),
);
const MOST_ARGUMENTS = 7900;

/** The scope that the key starts with, the longest first; else what stands between the first { and the next }; else the key. */
export function registerOf(key, scopes) {
  const scope = scopes.find((scope) => key.subarray(0, scope.length).equals(scope));
  if (scope) return scope;
  const start = key.indexOf('{');
  const end = start < 0 ? -1 : key.indexOf('}', start + 1);
  return end > start + 1 ? key.subarray(start + 1, end) : key;
}

const unique = (keys) => [...new Map(keys.map((key) => [key.toString('latin1'), key])).values()];

/** {access, register, keys, commands, flags, lowestExpiryMs, timed, expected, special, original} */
export function plan(words, nowMs, scopes) {
  const args = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));
  const name = args.length ? args[0].toString('latin1').toUpperCase() : '';
  const kind = KINDS.get(name);
  if (!kind) throw new Refused(`'${name}' has no deterministic form in this coordinator`);
  if (args.length > MOST_ARGUMENTS) throw new Refused(`a command of ${args.length} arguments: a script takes ${MOST_ARGUMENTS}, split it`);
  const keys = unique(keysOf(args, kind.where));
  if (!keys.length) throw new Refused(`wrong number of arguments for '${name}'`);
  if (keys.some((key) => key.toString('latin1').startsWith('anrcho_'))) throw new Refused("keys that begin with anrcho_ are the protocol's");
  const registers = unique(keys.map((key) => registerOf(key, scopes)));
  if (registers.length > 1) throw new Refused('the keys belong to several registers: give them the same {hash tag}');
  const flags = (HASHED.has(name) ? 'h' : '') + (WAKING.has(name) ? 'w' : '');
  const made = { ...ofRegister(registers[0], kind.access, keys, [args]), flags, original: args };
  if (name === 'SPOP' || name === 'SRANDMEMBER') made.special = name;
  else if (name === 'XADD') fixXadd(made);
  else if (name === 'COPY' && args.slice(3).some((arg) => /^DB$/i.test(arg.toString()))) throw new Refused('COPY to another database: nodes use one');
  else makeAbsolute(made, name, nowMs);
  return made;
}

export function ofRegister(register, access, keys, commands) {
  return { access, register, keys, commands, flags: '', lowestExpiryMs: 0, timed: false, expected: '*', special: '', original: [] };
}

function keysOf(args, where) {
  if (where === 'first') return args.slice(1, 2);
  if (where === 'all') return args.slice(1);
  if (where === 'two') return args.slice(1, 3);
  if (where === 'pairs') return args.filter((_, index) => index % 2 === 1);
  if (where === 'behind') return args.slice(2);
  const at = where === 'numbered' ? 1 : 2;
  if (!args[at] || !/^\d+$/.test(args[at].toString())) throw new Refused('the number of keys is not a number');
  const numbered = args.slice(at + 1, at + 1 + Number(args[at]));
  return where === 'numbered' ? numbered : [args[1], ...numbered];
}

function fixXadd(made) {
  const args = made.commands[0].map((arg) => arg.toString('latin1'));
  let at = 2;
  while (/^(NOMKSTREAM|MAXLEN|MINID)$/i.test(args[at] ?? '')) {
    if (args[at + 1] === '~') throw new Refused('XADD with ~ depends on how a node packs its entries: use =');
    at += /^N/i.test(args[at]) ? 1 : args[at + 1] === '=' ? 3 : 2;
  }
  made.timed = args[at] === '*';
}

/** Relative expiry becomes absolute, the same in every retry; what has passed is sent as 1, which needs no clock. */
function makeAbsolute(made, name, nowMs) {
  const args = made.commands[0];
  const absolute = (text, unitMs, relative) => {
    if (!/^-?\d{1,15}$/.test(text.toString())) throw new Refused('value is not an integer or out of range');
    const value = Number(text);
    if (relative && value <= 0 && !name.endsWith('EXPIRE')) throw new Refused(`invalid expire time in '${name.toLowerCase()}' command`);
    const atMs = value * unitMs + (relative ? nowMs : 0);
    if (atMs <= nowMs) return '1';
    made.lowestExpiryMs = atMs;
    return String(atMs);
  };
  if (/^P?EXPIRE(AT)?$/.test(name) && args.length >= 3) {
    const at = absolute(args[2], name.startsWith('P') ? 1 : 1000, !name.endsWith('AT'));
    made.commands = [['PEXPIREAT', args[1], at, ...args.slice(3)]];
  } else if (/^P?SETEX$/.test(name) && args.length === 4) {
    made.commands = [['SET', args[1], args[3], 'PXAT', absolute(args[2], name === 'SETEX' ? 1000 : 1, true)]];
  } else if (name === 'SET' || name === 'GETEX') {
    const out = [...args];
    for (let i = name === 'SET' ? 3 : 2; i < args.length - 1; i++) {
      const option = args[i].toString().toUpperCase();
      if (!['EX', 'PX', 'EXAT', 'PXAT'].includes(option)) continue;
      out[i] = 'PXAT';
      out[i + 1] = absolute(args[i + 1], option.startsWith('EX') ? 1000 : 1, option.length === 2);
      break;
    }
    made.commands = [out];
  }
}

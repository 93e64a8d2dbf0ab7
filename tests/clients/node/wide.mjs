// What ioredis and node-redis offer, against one URL: a plain Redis first, then a proxy. Usage: node wide.mjs URL
import assert from "node:assert/strict";
import Redis from "ioredis";
import { createClient } from "redis";

const url = process.argv[2];

async function withIoredis(options) {
  const redis = new Redis(url, options);
  const prefix = options.enableAutoPipelining ? "auto:" : "io:";
  const key = (name) => prefix + name;
  assert.equal(await redis.set(key("s"), "v", "EX", 100), "OK");
  assert.equal(await redis.get(key("s")), "v");
  assert.deepEqual(await redis.hset(key("h"), { a: 1, b: 2 }), 2);
  assert.deepEqual(await redis.hgetall(key("h")), { a: "1", b: "2" });
  assert.deepEqual(await redis.rpush(key("l"), 1, 2, 3), 3);
  assert.deepEqual(await redis.lrange(key("l"), 0, -1), ["1", "2", "3"]);
  assert.deepEqual(await redis.zadd(key("z"), 1, "a", 2.5, "b"), 2);
  assert.deepEqual(await redis.zrange(key("z"), 0, -1, "WITHSCORES"), ["a", "1", "b", "2.5"]);
  assert.deepEqual(await redis.getBuffer(key("s")), Buffer.from("v"));
  const counted = await Promise.all(Array.from({ length: 500 }, () => redis.incr(key("n"))));
  assert.deepEqual(counted.sort((a, b) => a - b), Array.from({ length: 500 }, (_, n) => n + 1));
  const replies = await redis.pipeline().set(key("{p}"), 1).incr(key("{p}")).get(key("{p}")).lpush(key("{p}"), 1).exec();
  assert.deepEqual(replies.slice(0, 3), [[null, "OK"], [null, 2], [null, "2"]]);
  assert.match(replies[3][0].message, /WRONGTYPE/);
  const done = await redis.multi().set(key("{t}a"), 1).incr(key("{t}a")).get(key("{t}a")).exec();
  assert.deepEqual(done, [[null, "OK"], [null, 2], [null, "2"]]);
  redis.defineCommand("addTo", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
  assert.equal(await redis.addTo(key("scripted"), 5), 5);
  assert.equal(await redis.addTo(key("scripted"), 5), 10);
  const id = await redis.xadd(key("x"), "*", "f", "1");
  assert.deepEqual(await redis.xread("STREAMS", key("x"), "0"), [[key("x"), [[id, ["f", "1"]]]]]);
  assert.equal(await redis.xread("STREAMS", key("x"), id), null);
  for (let n = 0; n < 50; n += 1) await redis.set(key(`scan:${n}`), n);
  const found = new Set();
  for await (const keys of redis.scanStream({ match: key("scan:*"), count: 10 })) keys.forEach((name) => found.add(name));
  assert.equal(found.size, 50);
  await assert.rejects(redis.call("NOSUCH"), /unknown command/);
  assert.match(await redis.info("server"), /redis_version:\d/);
  const watching = redis.duplicate();
  await watching.watch(key("w"));
  await redis.set(key("w"), "changed");
  assert.equal(await watching.multi().set(key("w"), "late").exec(), null);
  watching.disconnect();
  await redis.quit();
}

async function withNodeRedis(RESP) {
  const client = createClient({ url, RESP });
  client.on("error", (error) => { throw error; });
  await client.connect();
  const key = (name) => `node${RESP}:${name}`;
  assert.equal(await client.set(key("s"), "v"), "OK");
  assert.equal(await client.get(key("s")), "v");
  assert.equal(await client.hSet(key("h"), { a: 1, b: 2 }), 2);
  assert.deepEqual({ ...(await client.hGetAll(key("h"))) }, { a: "1", b: "2" });
  assert.equal(await client.zAdd(key("z"), [{ value: "a", score: 1.5 }, { value: "b", score: 2 }]), 2);
  assert.deepEqual((await client.zRangeWithScores(key("z"), 0, -1)).map(({ value, score }) => [value, score]), [["a", 1.5], ["b", 2]]);
  assert.equal(await client.zScore(key("z"), "a"), 1.5);
  assert.equal(await client.sAdd(key("set"), ["a", "b"]), 2);
  assert.deepEqual([...(await client.sMembers(key("set")))].sort(), ["a", "b"]);
  const counted = await Promise.all(Array.from({ length: 500 }, () => client.incr(key("n"))));
  assert.deepEqual(counted, Array.from({ length: 500 }, (_, n) => n + 1), "one connection's commands run in order");
  assert.deepEqual(await client.multi().set(key("{t}"), 1).incr(key("{t}")).get(key("{t}")).exec(), ["OK", 2, "2"]);
  const id = await client.xAdd(key("x"), "*", { f: "1" });
  const entries = await client.xRange(key("x"), "-", "+");
  assert.equal(entries[0].id, id);
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: `node${RESP}:*`, COUNT: 5 })) [keys].flat().forEach((name) => found.add(name));
  assert.equal(found.size, 7);
  await assert.rejects(client.sendCommand(["LPUSH", key("s"), "x"]), /WRONGTYPE/);
  await client.close();
}

await withIoredis({});
await withIoredis({ enableAutoPipelining: true });
await withNodeRedis(2);
await withNodeRedis(3);
console.log("ioredis and node-redis found what they expect");
process.exit(0);

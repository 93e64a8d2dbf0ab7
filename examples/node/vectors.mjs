// Replays lua/vectors on an empty server of one's own (it is flushed): node vectors.mjs redis://127.0.0.1:6379
//
// Shows how the scripts are called, without any coordinator. Exits with 1 where a reply or what the server holds differs.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import Redis from 'ioredis';
import { folder, load } from './src/scripts.mjs';

const { scripts, contract } = load();
const vectors = path.join(folder(), 'vectors');
const redis = new Redis(process.argv[2], { enableReadyCheck: false });
const run = (name, ...args) => redis.callBuffer(name, ...args).catch((error) => (error.name === 'ReplyError' ? error : Promise.reject(error)));
const asBytes = (text) => Buffer.from(text, 'latin1');

/** The arguments that one of the file stands for. */
function expand(arg, kept) {
  if (typeof arg === 'string') return [asBytes(arg)];
  if ('kept' in arg) return [kept[arg.kept]];
  const [prefix, first, last] = arg.each;
  return Array.from({ length: last - first + 1 }, (_, index) => asBytes(`${prefix}${first + index}`));
}

function fits(expected, reply, kept) {
  if (typeof expected === 'string') return Buffer.isBuffer(reply) && asBytes(expected).equals(reply);
  if (expected === null || typeof expected === 'number') return expected === reply;
  if (Array.isArray(expected)) return Array.isArray(reply) && expected.length === reply.length && expected.every((item, index) => fits(item, reply[index], kept));
  const [[kind, what]] = Object.entries(expected);
  if (kind === 'error') return reply instanceof Error && (typeof what === 'string' ? reply.message === what : reply.message.startsWith(what.starts));
  if (kind === 'number') return Buffer.isBuffer(reply) && /^\d+$/.test(reply.toString());
  if (kind === 'starts') return Buffer.isBuffer(reply) && reply.subarray(0, what.length).equals(asBytes(what));
  if (kind === 'unordered') {
    const left = [...reply];
    return what.every((item) => {
      const index = left.findIndex((other) => fits(item, other, kept));
      return index >= 0 && left.splice(index, 1);
    }) && !left.length;
  }
  kept[what] = reply; // keep
  return Buffer.isBuffer(reply);
}

const isOlder = (version, since) => {
  const [one, other] = [version, since].map((text) => text.split('.').map(Number));
  for (let index = 0; index < other.length; index++) if (one[index] !== other[index]) return one[index] < other[index];
  return false;
};

for (const { text } of Object.values(scripts)) await run('SCRIPT', 'LOAD', text);
const version = String(await run('INFO', 'server')).match(/redis_version:(\S+)/)[1];
const stateLua = readFileSync(path.join(vectors, 'state.lua'));
let [steps, failures] = [0, 0];
for (const name of readdirSync(vectors).filter((name) => name.endsWith('.json')).sort()) {
  const file = JSON.parse(readFileSync(path.join(vectors, name), 'utf8'));
  if (file.contract !== contract) throw new Error(`${name} is of contract ${file.contract}`);
  for (const { name: title, since = '0', steps: all } of file.cases) {
    if (isOlder(version, since)) continue;
    await run('FLUSHALL');
    await run('CONFIG', 'SET', 'maxmemory', '0');
    const [kept, state] = [{}, new Map()];
    for (const [number, step] of all.entries()) {
      steps += 1;
      const words = (list = []) => list.flatMap((arg) => expand(arg, kept));
      const keys = words(step.keys);
      const reply = step.call ? await run('EVALSHA', scripts[step.call].sha, keys.length, ...keys, ...words(step.args)) : await run(...words(step.command).map((arg, index) => (index ? arg : String(arg))));
      for (const [key, value] of Object.entries(step.changes ?? {})) value === null ? state.delete(key) : state.set(key, value);
      const found = new Map((await run('EVAL', stateLua, 0)).map(([key, ...row]) => [key.toString('latin1'), row]));
      let wrong = null;
      if ('reply' in step && !fits(step.reply, reply, kept)) wrong = ['answered', reply];
      else if (found.size !== state.size || ![...state].every(([key, value]) => found.has(key) && fits(value, found.get(key), kept))) wrong = ['the server holds', found];
      if (!wrong) continue;
      failures += 1;
      console.log(`${name}: ${title}: step ${number + 1}:`, ...wrong, JSON.stringify(step).slice(0, 1000));
      break;
    }
  }
}
console.log(`${steps} steps, ${failures} failures`);
redis.disconnect();
process.exitCode = failures ? 1 : 0;

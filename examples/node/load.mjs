// Works on the keys of the conformance run until its standard input ends, and prints each operation as a line of JSON: node load.mjs URLS NAME TASKS
import { Coordinator, Indeterminate, NotApplied } from './src/index.mjs';

const [urls, name, tasks] = process.argv.slice(2);
const KEYS = 6;
const now = () => Number(process.hrtime.bigint());
let stopped = false;

function commandOf(client, count) {
  const [roll, key] = [Math.random(), Math.floor(Math.random() * KEYS)];
  // Values are numbers that nobody else sets.
  const value = Buffer.from(client).subarray(-3).readUIntBE(0, 3) * 1_000_000 + count;
  if (roll < 0.4) return ['GET', `n:${key}`];
  if (roll < 0.6) return ['SET', `n:${key}`, String(value)];
  if (roll < 0.7) return ['INCR', `n:${key}`];
  if (roll < 0.85) return ['INCR', `count:${key}`];
  return ['SADD', `set:${key}`, `${client}-${count}`];
}

async function work(coordinator, client) {
  for (let count = 1; !stopped; count++) {
    const command = commandOf(client, count);
    const line = { client, command, begin: now() };
    try {
      const reply = await coordinator.execute(...command);
      line.reply = Buffer.isBuffer(reply) ? reply.toString() : reply;
    } catch (error) {
      if (error instanceof Indeterminate) line.indeterminate = error.message;
      else if (error instanceof NotApplied) line.not_applied = error.message;
      else throw error;
    }
    line.end = now();
    process.stdout.write(`${JSON.stringify(line)}\n`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const coordinator = await Coordinator.connect(urls.split(','));
console.log('ready');
process.stdin.on('end', () => (stopped = true)).resume();
await Promise.all(Array.from({ length: Number(tasks) }, (_, number) => work(coordinator, `${name}${number}`)));
coordinator.close();

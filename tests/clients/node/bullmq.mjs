// Jobs of BullMQ under one hash tag: adds COUNT of them, works them off with several workers, and says how often each was done.
// Usage: node bullmq.mjs URL COUNT
import { Queue, Worker } from "bullmq";

const url = new URL(process.argv[2]);
const count = Number(process.argv[3]);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const prefix = "{bull}";
const queue = new Queue("jobs", { connection, prefix });
const done = new Map();
const problems = [];
const work = async (job) => { done.set(job.name, (done.get(job.name) ?? 0) + 1); return job.data.n * 2; };
const workers = [1, 2, 3, 4].map(() => new Worker("jobs", work, { connection, prefix, concurrency: 5 }));
workers.forEach((worker) => worker.on("error", (error) => problems.push(String(error))));
console.log("working");
for (let n = 0; n < count; n += 1) {
  await queue.add(`job-${n}`, { n }, { removeOnComplete: false, attempts: 1 });
}
const deadline = Date.now() + 120_000;
let counts;
do {
  counts = await queue.getJobCounts("completed", "failed", "active", "waiting");
  await new Promise((resolve) => setTimeout(resolve, 100));
} while (counts.completed + counts.failed < count && Date.now() < deadline);
const times = [...done.values()];
console.log(JSON.stringify({ done: done.size, more: times.filter((n) => n > 1).length, counts, problems: problems.slice(0, 5) }));
process.exit(done.size === count && times.every((n) => n === 1) && counts.completed === count ? 0 : 1);

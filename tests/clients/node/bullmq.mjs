// Jobs of BullMQ under one hash tag: adds COUNT of them, some delayed, some with a priority, some that fail at first and are tried
// again; works them off with several workers, and says how often each was done and how many were heard of.
// Usage: node bullmq.mjs URL COUNT
import { Queue, QueueEvents, Worker } from "bullmq";

const url = new URL(process.argv[2]);
const count = Number(process.argv[3]);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const prefix = "{bull}";
const queue = new Queue("jobs", { connection, prefix });
const events = new QueueEvents("jobs", { connection, prefix });
const heard = new Set();
events.on("completed", ({ jobId }) => heard.add(jobId));
await events.waitUntilReady();
const failsAtFirst = (n) => n % 50 === 7;
const done = new Map();
const problems = [];
const work = async (job) => {
  done.set(job.name, (done.get(job.name) ?? 0) + 1);
  await job.updateProgress(50);
  if (failsAtFirst(job.data.n) && job.attemptsMade === 0) throw new Error("at first");
  return job.data.n * 2;
};
const workers = [1, 2, 3, 4].map(() => new Worker("jobs", work, { connection, prefix, concurrency: 5 }));
workers.forEach((worker) => worker.on("error", (error) => problems.push(String(error))));
console.log("working");
for (let n = 0; n < count; n += 1) {
  const options = { removeOnComplete: false, attempts: 2 };
  if (n % 10 === 3) options.delay = 50;
  if (n % 10 === 5) options.priority = 1 + (n % 4);
  await queue.add(`job-${n}`, { n }, options);
}
const deadline = Date.now() + 180_000;
let counts;
do {
  counts = await queue.getJobCounts("completed", "failed", "active", "waiting", "delayed", "prioritized");
  await new Promise((resolve) => setTimeout(resolve, 100));
} while ((counts.completed + counts.failed < count || heard.size < count) && Date.now() < deadline);
const wrong = [];
for (let n = 0; n < count; n += 1) {
  if (done.get(`job-${n}`) !== (failsAtFirst(n) ? 2 : 1)) wrong.push([n, done.get(`job-${n}`) ?? 0]);
}
console.log(JSON.stringify({ done: done.size, wrong: wrong.slice(0, 5), heard: heard.size, counts, problems: problems.slice(0, 5) }));
process.exit(wrong.length === 0 && counts.completed === count && heard.size === count ? 0 : 1);

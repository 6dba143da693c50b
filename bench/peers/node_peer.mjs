// BullMQ for Node, 5 or 6: NODE_FOLDER is where npm has put it. Speaks the protocol of order.py.
import { createRequire } from "node:module";
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const { Queue, Worker } = createRequire(process.env.NODE_FOLDER + "/")("bullmq");
const order = {
  job: "noop", count: 0, how: "bulk", concurrency: 1, milliseconds: 0, payload_bytes: 0, keep: 0, per_second: 0,
  ...JSON.parse(process.env.BENCH_ORDER ?? "{}"),
};
const { hostname, port } = new URL(process.env.REDIS_URL);
const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
const CHUNK = 500;

function data() {
  return {
    ...(["nap", "block", "burn"].includes(order.job) && { milliseconds: order.milliseconds }),
    ...(order.job === "stamp" && { sentNs: Number(process.hrtime.bigint()) }),
    ...(order.payload_bytes && { padding: "x".repeat(order.payload_bytes) }),
  };
}

async function add() {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const opts = { removeOnComplete: order.keep || true };
  const began = performance.now();
  for (let done = 0; done < order.count;) {
    if (order.how === "bulk") {
      const jobs = Array.from({ length: Math.min(CHUNK, order.count - done) }, () => ({ name: order.job, data: data(), opts }));
      await queue.addBulk(jobs);
      done += jobs.length;
    } else {
      if (order.how === "trickle") await sleep(Math.max(0, (done / order.per_second) * 1000 - (performance.now() - began)));
      await queue.add(order.job, data(), opts);
      done += 1;
    }
  }
  console.log(JSON.stringify({ jobs: order.count, seconds: (performance.now() - began) / 1000 }));
  await queue.close();
}

const handlers = {
  noop: async () => {},
  nap: async (job) => { await sleep(job.data.milliseconds); },
  stamp: async (job) => {
    const microseconds = (Number(process.hrtime.bigint()) - job.data.sentNs) / 1000;
    appendFileSync(process.env.BENCH_STAMPS, `${Math.round(microseconds)}\n`);
  },
};

function work() {
  const worker = new Worker("bench", (job) => handlers[job.name](job), { connection, concurrency: order.concurrency });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", async () => { await worker.close(); process.exit(0); });
}

if (process.argv[2] === "add") await add();
else work();

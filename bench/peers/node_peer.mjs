// BullMQ for Node, 5 or 6: NODE_FOLDER is where npm has put it. Speaks the protocol of order.py.
import { createRequire } from "node:module";
import { randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const { Queue, Worker } = createRequire(process.env.NODE_FOLDER + "/")("bullmq");
const order = {
  job: "noop", count: 0, how: "bulk", concurrency: 1, milliseconds: 0, payload_bytes: 0, keep: 0, per_second: 0,
  callers: 100, own_ids: false,
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

// What the OpenTelemetry of BullMQ sends along with a job: the context of its producer's span.
function trace() {
  return JSON.stringify({ traceparent: `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01` });
}

async function add() {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const common = { removeOnComplete: order.keep || true };
  let named = 0;
  const opts = () => order.own_ids ? { ...common, jobId: `order-${++named}`, telemetry: { metadata: trace() } } : common;
  const began = performance.now();
  let called = 0;
  async function caller() {
    while (called++ < order.count) await queue.add(order.job, data(), opts());
  }
  if (order.how === "callers") await Promise.all(Array.from({ length: order.callers }, caller));
  else for (let done = 0; done < order.count;) {
    if (order.how === "bulk") {
      const jobs = Array.from({ length: Math.min(CHUNK, order.count - done) }, () => ({ name: order.job, data: data(), opts: opts() }));
      await queue.addBulk(jobs);
      done += jobs.length;
    } else {
      if (order.how === "trickle") await sleep(Math.max(0, (done / order.per_second) * 1000 - (performance.now() - began)));
      await queue.add(order.job, data(), opts());
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

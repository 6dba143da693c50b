// BullMQ for Node as its documentation shows it: node node_program.mjs work | add. See ledger.py and producing.py.
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const { Queue, Worker } = createRequire(process.env.NODE_FOLDER + "/")("bullmq");
const url = new URL(process.env.REDIS_URL);
const connection = {
  host: url.hostname, port: Number(url.port), username: url.username, password: decodeURIComponent(url.password),
};

function note(what, number, id, attempt = 0) {
  const line = `${(Date.now() / 1000).toFixed(6)} ${what} ${number} ${id} ${attempt} ${process.pid}\n`;
  appendFileSync(`${process.env.FAULTS_LEDGER}/${process.pid}.ledger`, line);
}

async function run(job) {
  note("start", job.data.n, job.id, job.attemptsMade);
  if (job.data.how === "crash") process.exit(9);
  if (["block", "hold"].includes(job.data.how)) {
    const until = Date.now() + job.data.ms;
    while (Date.now() < until);
  } else await sleep(job.data.ms);
  note("end", job.data.n, job.id, job.attemptsMade);
  return "x".repeat(1024 * (job.data.result_kb ?? 0)) || job.data.n;
}

function work() {
  const worker = new Worker("faults", run, { connection, ...JSON.parse(process.env.FAULTS_WORKER) });
  worker.on("error", () => {});
  process.on("SIGTERM", async () => { await worker.close(); process.exit(0); });
}

async function add() {
  const load = JSON.parse(process.env.FAULTS_LOAD);
  const queue = new Queue("faults", { connection });
  queue.on("error", () => {});
  const began = performance.now();
  for (let number = 1; ; number++) {
    const due = (Math.max(0, number - load.burst) / load.per_second) * 1000;
    await sleep(Math.max(0, due - (performance.now() - began)));
    const isLong = load.long_every && number % load.long_every === 0;
    const data = { n: process.pid * 100_000 + number, ms: isLong ? load.long_ms : load.ms };
    if (load.result_kb) data.result_kb = load.result_kb;
    if (load.how && isLong) data.how = load.how;
    try {
      const { id } = await queue.add("work", data);
      note("added", data.n, id);
    } catch (error) {
      console.error("adding:", String(error));
      await sleep(200);
    }
  }
}

if (process.argv[2] === "add") await add();
else work();

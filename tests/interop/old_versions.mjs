// Jobs of versions that tests/interop/driver.mjs does not know: node old_versions.mjs FOLDER PACKAGE CONNECTION STEPS
// Steps, a JSON array, done in turn: {do: "repeat", queue, name, data, opts}: add a job, {do: "flow", tree}, {do: "schedule",
// queue, id, repeat, template}, {do: "work", queue, jobs}: run so many jobs, {do: "abandon", queue}: start one job, and end as
// killed. A job whose data have `fail` throws while fewer attempts were made. The last line of the output is what was run, as
// [[name, data] ...].
import { createRequire } from "node:module";

const [folder, name, connectionText, stepsText] = process.argv.slice(2);
const library = createRequire(folder + "/")(name);
const connection = { ...JSON.parse(connectionText), maxRetriesPerRequest: null };
const isBull = /^bull\d/.test(name);
const recovery = { lockDuration: 1000, stalledInterval: 200 };
const ran = [];

function open(queue) {
  return isBull ? new library(queue, { redis: connection, settings: recovery }) : new library.Queue(queue, { connection });
}

// A worker that calls `run` for each job.
function serve(queue, run) {
  if (isBull) {
    const worker = open(queue);
    worker.process("*", run);
    return worker;
  }
  if (library.QueueScheduler) new library.QueueScheduler(queue, { connection, ...recovery });
  return new library.Worker(queue, run, { connection, ...recovery });
}

async function work(queue, jobs) {
  let worker, started = 0, ended = 0;
  await new Promise((resolve) => {
    worker = serve(queue, async (job) => {
      ran.push([job.name, job.data]);
      started += 1;
      if (started === jobs) isBull ? worker.pause(true, true) : worker.close(); // no next job; this one ends as it will
      if (job.data.fail === true || job.attemptsMade < job.data.fail) throw new Error("as asked");
      return job.data.value ?? null;
    });
    const end = () => (ended += 1) === jobs && resolve();
    worker.on("completed", end);
    worker.on("failed", end);
  });
  if (!isBull) await worker.close(); // that of Bull would wait for the next job
}

const abandon = (queue) => new Promise((resolve) => serve(queue, (job) => {
  ran.push([job.name, job.data]);
  resolve();
  return new Promise(() => {});
}));

for (const step of JSON.parse(stepsText)) {
  if (step.do === "work") await work(step.queue, step.jobs);
  else if (step.do === "abandon") await abandon(step.queue);
  else if (step.do === "flow") {
    const producer = new library.FlowProducer({ connection });
    await producer.add(step.tree);
    await producer.close();
  } else {
    const queue = open(step.queue);
    if (step.do === "repeat") await queue.add(step.name, step.data, step.opts);
    else await queue.upsertJobScheduler(step.id, step.repeat, step.template);
    await queue.close();
  }
}
console.log(JSON.stringify(ran));
process.exit(0);

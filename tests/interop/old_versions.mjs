// Jobs of versions that tests/interop/driver.mjs does not know: node old_versions.mjs FOLDER PACKAGE CONNECTION STEPS
// Steps, a JSON array, done in turn: {do: "repeat", queue, name, data, opts}: add a job, {do: "schedule", queue, id, repeat,
// template}, {do: "work", queue, jobs}: run so many jobs; a job whose data have `fail` throws. The last line of the output is what was run, as [[name, data] ...].
import { createRequire } from "node:module";

const [folder, name, connectionText, stepsText] = process.argv.slice(2);
const library = createRequire(folder + "/")(name);
const connection = { ...JSON.parse(connectionText), maxRetriesPerRequest: null };
const isBull = name.startsWith("bull4");
const ran = [];

function open(queue) {
  return isBull ? new library(queue, { redis: connection }) : new library.Queue(queue, { connection });
}

async function work(queue, jobs) {
  let worker;
  await new Promise((resolve) => {
    const run = async (job) => {
      ran.push([job.name, job.data]);
      if (job.data.fail) {
        setTimeout(() => ran.length >= jobs && resolve(), 100);
        throw new Error("as asked");
      }
      if (ran.length >= jobs) setTimeout(resolve, 100);
    };
    if (isBull) {
      worker = open(queue);
      worker.process("*", run);
    } else {
      if (library.QueueScheduler) new library.QueueScheduler(queue, { connection });
      worker = new library.Worker(queue, run, { connection });
    }
  });
  await worker.close(true);
}

for (const step of JSON.parse(stepsText)) {
  if (step.do === "work") await work(step.queue, step.jobs);
  else {
    const queue = open(step.queue);
    if (step.do === "repeat") await queue.add(step.name, step.data, step.opts);
    else await queue.upsertJobScheduler(step.id, step.repeat, step.template);
    await queue.close();
  }
}
console.log(JSON.stringify(ran));
process.exit(0);

// Recurring jobs of versions that tests/interop/driver.mjs does not know: node old_versions.mjs FOLDER PACKAGE CONNECTION STEPS
// Steps, a JSON array, done in turn: {do: "repeat", queue, name, data, opts}, {do: "schedule", queue, id, repeat, template},
// {do: "work", queue, jobs}: run so many jobs. The last line of the output is what was run, as [[name, data] ...].
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
  await new Promise((resolve) => {
    const run = async (job) => {
      ran.push([job.name, job.data]);
      if (ran.length >= jobs) setTimeout(resolve, 100);
    };
    if (isBull) open(queue).process("*", run);
    else {
      if (library.QueueScheduler) new library.QueueScheduler(queue, { connection });
      new library.Worker(queue, run, { connection });
    }
  });
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

// How do tests reach real BullMQ for Node? One process, one command a line on stdin, one answer a line on stdout.
//
// Started as: node driver.mjs FOLDER, where FOLDER holds the node_modules of the version under test. The first command
// is {"do": "connect", "connection": {...}}: a password travels on stdin, never in the list of processes.
// A command is {"id", "do", ...}, its answer {"id", "value"} or {"id", "error": {"name", "message", "stack"}}.
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const folder = path.resolve(process.argv[2]);
const require = createRequire(path.join(folder, 'package.json'));
const bullmq = require('bullmq');

let connection;
const queues = new Map();
const eventStreams = new Map();
const workers = new Map();
const background = []; // errors that no command was waiting for

const remember = (source) => (error) => background.push({ source, message: String(error?.stack ?? error) });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function queueNamed(name) {
  if (!queues.has(name)) {
    const queue = new bullmq.Queue(name, { connection });
    queue.on('error', remember(`queue ${name}`));
    queues.set(name, queue);
  }
  return queues.get(name);
}

async function eventsOf(name) {
  if (!eventStreams.has(name)) {
    const stream = new bullmq.QueueEvents(name, { connection, lastEventId: '0-0' });
    stream.on('error', remember(`events ${name}`));
    const seen = [];
    const kinds = ['added', 'waiting', 'waiting-children', 'active', 'progress', 'completed', 'failed', 'delayed',
      'stalled', 'removed', 'drained', 'paused', 'resumed', 'duplicated', 'debounced', 'deduplicated',
      'retries-exhausted', 'cleaned'];
    for (const kind of kinds) {
      stream.on(kind, (fields) => seen.push({ event: kind, ...(typeof fields === 'object' ? fields : {}) }));
    }
    eventStreams.set(name, { stream, seen });
  }
  const entry = eventStreams.get(name);
  await entry.stream.waitUntilReady();
  return entry;
}

async function jobNamed(queue, id) {
  const job = await bullmq.Job.fromId(queueNamed(queue), id);
  if (!job) throw new Error(`No job ${id} in queue ${queue}.`);
  return job;
}

// What a test can compare: jobs as their JSON, Maps and undefined as JSON has them.
function plain(value) {
  if (value instanceof bullmq.Job) return plain(value.toJSON());
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    if (value.job instanceof bullmq.Job) return { job: plain(value.job), children: plain(value.children ?? []) };
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value === undefined ? null : value;
}

// What a job's data asks its handler to do; the Python handlers beside this file do the same.
const behaviours = {
  ok: async (job) => job.data.value ?? { ran: job.id },
  slow: async (job) => {
    await pause(job.data.ms);
    return job.data.value ?? { ran: job.id };
  },
  fail: async (job) => {
    for (const line of job.data.lines ?? []) await job.log(line);
    if (job.attemptsMade < job.data.times) throw new Error(job.data.message ?? `failure ${job.attemptsMade + 1}`);
    return job.data.value ?? { ran: job.id };
  },
  unrecoverable: async (job) => {
    throw new bullmq.UnrecoverableError(job.data.message ?? 'no use in trying again');
  },
  delayed: async (job, token) => {
    if (job.attemptsStarted <= 1) {
      await job.moveToDelayed(Date.now() + job.data.ms, token);
      throw new bullmq.DelayedError();
    }
    return job.data.value ?? { ran: job.id };
  },
  progress: async (job) => {
    for (const step of job.data.steps) await job.updateProgress(step);
    for (const line of job.data.lines ?? []) await job.log(line);
    return job.data.value ?? { ran: job.id };
  },
  children: async (job) => job.getChildrenValues(),
  spawn: async (job, token) => {
    if (!job.data.spawned) {
      const parent = { id: job.id, queue: job.queueQualifiedName };
      for (const data of job.data.children) await queueNamed(job.queueName).add('child', data, { parent });
      await job.updateData({ ...job.data, spawned: true });
    }
    if (await job.moveToWaitingChildren(token)) throw new bullmq.WaitingChildrenError();
    return job.getChildrenValues();
  },
  'rate-limit': async (job) => {
    if (job.attemptsStarted <= 1) {
      await queueNamed(job.queueName).rateLimit(job.data.ms);
      throw new bullmq.RateLimitError();
    }
    return job.data.value ?? { ran: job.id };
  },
};

// A worker with `names` gives back what is called otherwise, as an application would that shares its queue.
const handlerFor = (names) => async (job, token) => {
  if (!names || names.includes(job.name)) return handle(job, token);
  await job.moveToWait(token);
  throw new bullmq.WaitingError();
};

async function handle(job, token) {
  const behave = behaviours[job.data?.do ?? 'ok'];
  if (!behave) throw new Error(`The driver knows no behaviour "${job.data.do}".`);
  return behave(job, token);
}

async function board(queueNames) {
  const { createBullBoard } = require('@bull-board/api');
  const { BullMQAdapter } = require('@bull-board/api/bullMQAdapter');
  const seen = {};
  const server = new Proxy({}, {
    get: (_, method) => (value) => {
      seen[method] = value;
      return server;
    },
  });
  const adapters = queueNames.map((name) => new BullMQAdapter(queueNamed(name)));
  createBullBoard({ queues: adapters, serverAdapter: server, options: { uiBasePath: folder } });
  return { queues: seen.setQueues, routes: seen.setApiRoutes };
}

const commands = {
  connect: async (command) => {
    connection = { ...command.connection, maxRetriesPerRequest: null };
    return require('bullmq/package.json').version;
  },
  queue: async ({ queue, method, args }) => queueNamed(queue)[method](...args),
  job: async ({ queue, jobId, method, args }) => (await jobNamed(queue, jobId))[method](...args),
  waitUntilFinished: async ({ queue, jobId, ms }) => {
    const { stream } = await eventsOf(queue);
    return (await jobNamed(queue, jobId)).waitUntilFinished(stream, ms);
  },
  flow: async ({ tree, options }) => {
    const producer = new bullmq.FlowProducer({ connection });
    producer.on('error', remember('flow'));
    try {
      return plain(await producer.add(tree, options));
    } finally {
      await producer.close();
    }
  },
  // What QueueEvents has delivered, once it has come to an event that is published now.
  events: async ({ queue }) => {
    const { stream, seen } = await eventsOf(queue);
    const producer = new bullmq.QueueEventsProducer(queue, { connection });
    producer.on('error', remember(`events producer ${queue}`));
    const token = String(Math.random());
    const arrived = new Promise((resolve) => {
      const look = (fields) => {
        if (fields.token !== token) return;
        stream.off('caught-up', look);
        resolve();
      };
      stream.on('caught-up', look);
    });
    await producer.publishEvent({ eventName: 'caught-up', token });
    await arrived;
    await producer.close();
    return seen;
  },
  startWorker: async ({ worker, queue, options, names }) => {
    const made = new bullmq.Worker(queue, handlerFor(names), { connection, ...options });
    made.on('error', remember(`worker ${worker}`));
    workers.set(worker, made);
    await made.waitUntilReady();
    return made.id;
  },
  stopWorker: async ({ worker, force }) => {
    await workers.get(worker).close(force);
    workers.delete(worker);
  },
  // A page of bull-board as its server adapter would ask for it: `route` as bull-board spells it.
  board: async ({ queues: names, method, route, params, query }) => {
    const made = await board(names);
    const found = made.routes.find((r) => [r.route].flat().includes(route) && [r.method].flat().includes(method));
    if (!found) throw new Error(`bull-board has no ${method} ${route}: ${made.routes.map((r) => r.route)}`);
    return found.handler({ queues: made.queues, params, query, body: {}, headers: {}, uiConfig: {} });
  },
  background: async () => background,
};

async function answer(line) {
  const command = JSON.parse(line);
  let reply;
  try {
    reply = { id: command.id, value: plain(await commands[command.do](command)) };
  } catch (error) {
    reply = { id: command.id, error: { name: error.name, message: error.message, stack: String(error.stack) } };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}

process.on('unhandledRejection', remember('unhandled rejection'));
const lines = readline.createInterface({ input: process.stdin, terminal: false });
lines.on('line', (line) => void answer(line));
lines.on('close', () => process.exit(0)); // the test process is gone, so is its driver

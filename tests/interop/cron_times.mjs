// When does Node say that cron patterns come? node cron_times.mjs FOLDER < CASES > ANSWERS
// CASES is JSON: {patterns: [...], asked: [[number of a pattern, zone, after ms] ...]}. ANSWERS: for each asked one the next
// moment in ms, 0 if there is none, or null if it refuses the pattern or the zone. Each asked one is a parser of its own, as
// in BullMQ.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(process.argv[2] + '/package.json');
const { CronExpressionParser } = createRequire(require.resolve('bullmq'))('cron-parser');
const { patterns, asked } = JSON.parse(readFileSync(0, 'utf8'));

const answers = asked.map(([at, tz, after]) => {
  let dates;
  try {
    dates = CronExpressionParser.parse(patterns[at], { tz, currentDate: new Date(after), hashSeed: patterns[at] });
  } catch {
    return null;
  }
  try {
    return dates.next().getTime();
  } catch {
    return 0;
  }
});
process.stdout.write(JSON.stringify(answers));

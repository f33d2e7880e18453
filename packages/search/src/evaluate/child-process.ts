// Runs inside a child process of `processPool`: measures, and holds its own limit of memory from a thread beside the measurement.
import { Worker } from 'node:worker_threads';
import type { EvaluationJob } from './evaluator.ts';
import { serve, type MemberData, type ReportAnswer } from './member.ts';

/** What the pool sends first. */
export interface ChildData extends MemberData {
  readonly maxRssMb: number | undefined;
}

/** The pipe on which the thread says why it ends the process, which can say nothing itself while it measures. */
export const REASONS = 4;

/**
 * The watching thread: ends the process where its resident memory is beyond the limit, or where the search that it measures for is gone.
 * 20 ms are some tens of megabytes at the speed at which memory is first written.
 */
const WATCH = `
const { workerData: { limit, parent } } = require('node:worker_threads');
const { writeSync } = require('node:fs');
setInterval(() => {
  const mb = process.memoryUsage.rss() / 2 ** 20;
  if (mb > limit) {
    try { writeSync(${REASONS}, String(Math.round(mb))); } catch {}
    process.kill(process.pid, 'SIGKILL');
  }
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, 20);
`;

if (process.send) {
  let measure: ((message: EvaluationJob | ReportAnswer) => Promise<void>) | undefined;
  process.on('message', (message: ChildData | EvaluationJob | ReportAnswer) => {
    if (measure) {
      void measure(message as EvaluationJob | ReportAnswer);
      return;
    }
    const data = message as ChildData;
    const workerData = { limit: data.maxRssMb ?? Infinity, parent: process.ppid };
    new Worker(WATCH, { eval: true, workerData }).unref();
    measure = serve(data, (answer) => process.send!(answer));
  });
  process.on('disconnect', () => process.exit());
}

// `instatune worker`: measures trials of a problem for whoever searches it on the same Redis.
import { availableParallelism } from 'node:os';
import { defineCommand, type ArgsDef } from 'citty';
import { SearchError } from '@instatune/search';
import type { QueueWorker } from '@instatune/search/queue';
import { reportError } from './report-error.ts';
import { jsonObject, problemArgs, rejectUnknown, whole } from './shared.ts';

const args = {
  ...problemArgs,
  redis: {
    type: 'string',
    description: 'the Redis or Valkey that the search uses',
    valueHint: 'URL',
    default: 'redis://127.0.0.1:6379',
  },
  threads: { type: 'string', description: 'trials at once; the default is one per core', valueHint: 'N' },
  retries: {
    type: 'string',
    description: 'how often a trial is tried again after its thread died',
    valueHint: 'N',
    default: '1',
  },
  timeout: { type: 'string', description: 'seconds after which a measurement counts as hung', valueHint: 'S' },
  'max-rss': {
    type: 'string',
    description: 'measure in processes of at most so many MB of memory instead of threads',
    valueHint: 'MB',
  },
  'lost-after': {
    type: 'string',
    description: 'seconds without a sign of life after which a worker has lost its trials',
    valueHint: 'S',
    default: '30',
  },
  quiet: { type: 'boolean', description: 'print nothing per trial', default: false },
} satisfies ArgsDef;

function seconds(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0))
    throw new SearchError('invalid-option', `--${name} is "${text}": use seconds > 0`, { name, value: text });
  return value * 1000;
}

export const worker = defineCommand({
  meta: {
    name: 'worker',
    description:
      'Measure trials for searches on the same Redis; Ctrl-C finishes the running ones, SIGTERM (or Ctrl-C again) gives them back',
  },
  args,
  async run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      if (given.problem === undefined)
        throw new SearchError('invalid-option', 'no --problem: give the module that the search uses', {});
      const { startWorker } = await import('@instatune/search/queue');
      const threads = whole('threads', given.threads, 1) ?? availableParallelism();
      const maxRssMb = whole('max-rss', given['max-rss'], 64);
      const timeoutMs = seconds('timeout', given.timeout);
      const running = await startWorker({
        url: given.redis,
        module: given.problem,
        options: jsonObject('options', given.options),
        threads,
        retries: whole('retries', given.retries, 0) ?? 1,
        lostAfterMs: seconds('lost-after', given['lost-after'])!,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        onConnection: ({ message }) => process.stderr.write(`${message}\n`),
        ...(maxRssMb === undefined ? {} : { maxRssMb }),
        onTrial({ number, study, status, durationMs }) {
          if (!given.quiet)
            process.stderr.write(
              `trial ${number} of ${study}: ${status}${status === 'complete' ? `, ${Math.round(durationMs)} ms` : ''}\n`,
            );
        },
      });
      process.stderr.write(`worker ready: ${running.queue}, ${threads} threads\n`);
      await ended(running);
    } catch (error) {
      reportError(error);
    }
  },
});

/** Ctrl-C finishes what runs, once more or SIGTERM gives it back to the queue. */
async function ended(running: QueueWorker): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const end = (giveBack: boolean) => running.close({ giveBack }).then(resolve, reject);
    process.once('SIGINT', () => {
      void end(false);
      process.once('SIGINT', () => void end(true));
    });
    process.once('SIGTERM', () => void end(true));
  });
}

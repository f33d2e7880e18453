// `instatune worker` as a process: measures what another process searches, and gives back what it runs on SIGTERM.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { runSearch } from '@instatune/search';
import { queueEvaluator } from '@instatune/search/queue';
import { expect, it } from 'vitest';
import { findRedis, startRedis } from '../../../search/test/redis-server.ts';
import { createProblem } from '../fixtures/knobs.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const KNOBS = join(import.meta.dirname, '../fixtures/knobs.ts');

it('measures the trials of a search, and ends on SIGTERM', async () => {
  const redis = findRedis();
  if (typeof redis === 'string') throw new Error(redis);
  await using server = await startRedis(redis);
  const args = ['worker', '--redis', server.url, '--problem', KNOBS, '--threads', '1'];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<number | null>((settle) => child.once('exit', settle));
  const problem = createProblem();
  const evaluator = await queueEvaluator(problem, { url: server.url });
  const options = { tactic: 'random', evaluations: 12, population: 6, seed: 1 } as const;
  const queued = await runSearch(problem, { ...options, evaluator });
  await evaluator.close();
  const here = await runSearch(problem, options);
  expect(queued.front).toEqual(here.front);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(said).toMatch(/worker ready: .*, 1 threads/);
  expect(said.match(/trial \d+ of .*: complete/g)).toHaveLength(12);
});

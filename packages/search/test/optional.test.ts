// What needs an optional package says which and how to install it; everything else works without.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Makes Node find none of these packages, as where they are not installed. */
const HOOK = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const absent = /^(bullmq|ioredis|linkedom|@observablehq\\/plot)(\\/|$)/;
  registerHooks({ resolve(specifier, context, next) {
    if (!absent.test(specifier)) return next(specifier, context);
    throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: 'ERR_MODULE_NOT_FOUND' });
  } });`)}`;

const PROGRAM = `
  import { bertSynth, runSearch } from '@instatune/search';
  import { queueEvaluator, startWorker } from '@instatune/search/queue';
  import { renderReport } from '@instatune/search/report';
  const failure = async (run) => { try { await run(); return ['none']; } catch ({ code, message }) { return [code, message]; } };
  const problem = bertSynth();
  const result = await runSearch(problem, { evaluations: 8, population: 4, tactic: 'random', seed: 1 });
  const url = 'redis://127.0.0.1:1';
  console.log(JSON.stringify([
    result.trials.length,
    await failure(() => queueEvaluator(problem, { url })),
    await failure(() => startWorker({ url, module: 'bert-synth' })),
    await failure(() => renderReport(result)),
  ]));`;

it('optional packages that are not there are named with their install command', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-warnings', '--import', HOOK, '--input-type=module', '-e', PROGRAM],
    { cwd: root },
  );
  const [trials, ...failures] = JSON.parse(stdout) as [number, ...[string, string][]];
  expect(trials).toBe(8);
  expect(failures.map(([code]) => code)).toEqual(Array(3).fill('missing-package'));
  expect(failures[0]![1]).toMatch(/^a queue needs bullmq and ioredis, .*: npm i bullmq ioredis$/);
  expect(failures[1]![1]).toBe(failures[0]![1]);
  expect(failures[2]![1]).toMatch(
    /^a report needs @observablehq\/plot and linkedom, .*: npm i @observablehq\/plot linkedom$/,
  );
});

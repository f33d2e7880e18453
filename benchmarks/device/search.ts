// The searches' benchmarks as one program for a machine of many cores: run TASK TACTIC SEED EVALUATIONS FOLDER | bench NAME FILE [quick]
import { mkdirSync, writeFileSync } from 'node:fs';
import type { TacticName } from '@instatune/search';
import { environment, type Benchmark } from '../src/benchmark.ts';
import { makeOwnRuns } from '../src/peers/runs.ts';

const BENCHMARKS: Readonly<Record<string, () => Promise<{ readonly benchmark: Benchmark }>>> = {
  linas: () => import('../src/linas.ts'),
  'search-lanes': () => import('../src/search-lanes.ts'),
  'search-trials': () => import('../src/search-trials.ts'),
};

const [what, ...args] = process.argv.slice(2);
const { signal } = new AbortController();
const log = (line: string): void => void process.stderr.write(`${line}\n`);

if (what === 'run') {
  const [task, tactic, seed, evaluations, folder] = args as [string, string, string, string, string];
  mkdirSync(folder, { recursive: true });
  await makeOwnRuns({
    folder,
    tactic: tactic as TacticName,
    tasks: [task],
    evaluations: Number(evaluations),
    first: Number(seed),
    seeds: 1,
    log,
    signal,
  });
} else {
  const [name, file, quick] = args as [string, string, string?];
  const { benchmark } = await BENCHMARKS[name]!();
  const started = performance.now();
  const result = await benchmark.run({ quick: quick === 'quick', log, signal });
  const seconds = Math.round((performance.now() - started) / 1000);
  const document = {
    name: benchmark.name,
    quick: quick === 'quick',
    environment: { ...environment(), seconds, ...result.environment },
    rows: result.rows,
  };
  writeFileSync(file, `${JSON.stringify(document, undefined, 2)}\n`);
}

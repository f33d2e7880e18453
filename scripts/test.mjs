// Runs every package's tests through turbo and adds up their test-results.json into one plain closing line.
// Under CI a skipped test fails the run (lib/results.mjs says which may be skipped).
import { randomInt } from 'node:crypto';
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { addUp } from './lib/results.mjs';
import { ROOT, run } from './toolchain.mjs';

const print = (line) => process.stdout.write(`${line}\n`);

const folders = globSync(['packages/*', 'apps/*', 'benchmarks', 'docs', 'scripts'], { cwd: ROOT })
  .sort()
  .map((folder) => ({ folder, manifest: join(ROOT, folder, 'package.json') }))
  .filter(({ manifest }) => existsSync(manifest))
  .map(({ folder, manifest }) => ({ folder, ...JSON.parse(readFileSync(manifest, 'utf8')) }))
  .filter(({ scripts }) => scripts?.test);
const report = (folder) => join(ROOT, folder, 'test-results.json');
// A report of an earlier run must not stand in for a run that died; turbo restores those of cached runs.
for (const { folder } of folders) rmSync(report(folder), { force: true });

const env = { ...process.env };
// Part of turbo's cache key: results without the shared data must not be replayed where it is.
const shared = [env.SHARED_DIR, join(ROOT, '..', 'shared'), join(ROOT, 'shared')].find(
  (folder) => folder && existsSync(join(folder, 'spec', 'hip.md')),
);
if (shared) env.SHARED_DIR = shared;
const seed = env.FC_SEED ?? (env.HIP_FC_SEED ??= String(randomInt(2 ** 31)));
print(`fast-check seed ${seed} (FC_SEED=${seed} repeats it)`);

const { code } = await run(
  'turbo',
  [
    'run',
    'test',
    '--continue',
    '--concurrency=1',
    '--output-logs=errors-only',
    '--log-order=grouped',
    ...process.argv.slice(2),
  ],
  { env },
);

const filtered = process.argv.slice(2).some((argument) => argument.startsWith('--filter') || argument.startsWith('-F'));
const { totals, packages, failures, skipped, forbidden, ok } = addUp(
  folders
    .filter(({ folder }) => !filtered || existsSync(report(folder)))
    .map(({ folder, name }) => ({
      name,
      report: existsSync(report(folder)) ? JSON.parse(readFileSync(report(folder), 'utf8')) : undefined,
    })),
  { ci: Boolean(process.env.CI), allowed: process.env.HIP_ALLOW_SKIPPED, relative: (path) => relative(ROOT, path) },
);
for (const line of [...packages, ...failures]) print(line);
for (const name of skipped) print(`skipped: ${name}`);
for (const name of forbidden) print(`must not be skipped in CI: ${name}`);
if (code !== 0 && ok) print('turbo failed although no test did: see its output above');
print(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = code === 0 && ok ? 0 : 1;

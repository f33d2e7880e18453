// Runs every package's tests through turbo and adds up their test-results.json into one plain closing line.
// Under CI a skipped test whose name says WebGPU, Redis or shared data fails the run: those must run there.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT, run } from './toolchain.mjs';

const { code } = await run('turbo', ['run', 'test', '--continue', '--concurrency=1', '--output-logs=errors-only', '--log-order=grouped', ...process.argv.slice(2)], {
  env: process.env,
});

const totals = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];
let missing = 0;
for (const manifestPath of globSync('{packages,apps}/*/package.json', { cwd: ROOT }).concat('benchmarks/package.json')) {
  const folder = join(ROOT, manifestPath, '..');
  const manifest = JSON.parse(readFileSync(join(ROOT, manifestPath), 'utf8'));
  if (!manifest.scripts?.test) continue;
  const path = join(folder, 'test-results.json');
  if (!existsSync(path)) {
    process.stdout.write(`${manifest.name}: no test results (its run failed before any test)\n`);
    missing++;
    continue;
  }
  const results = JSON.parse(readFileSync(path, 'utf8'));
  let counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of results.testResults) {
    if (file.status === 'failed' && file.assertionResults.length === 0) {
      counts.failed++;
      process.stdout.write(`FAILED ${relative(ROOT, file.name)}: ${file.message?.split('\n')[0] ?? 'the file did not load'}\n`);
    }
    for (const test of file.assertionResults) {
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') {
        counts.failed++;
        process.stdout.write(`FAILED ${relative(ROOT, file.name)} > ${test.fullName}\n`);
      } else {
        counts.skipped++;
        skipped.push(`${relative(ROOT, file.name)} > ${test.fullName}`);
      }
    }
  }
  process.stdout.write(`${manifest.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  for (const key of Object.keys(totals)) totals[key] += counts[key];
}

for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
const mustRun = process.env.CI ? skipped : [];
for (const name of mustRun) process.stdout.write(`must not be skipped in CI: ${name}\n`);
const failed = totals.failed + missing + mustRun.length;
process.stdout.write(`\n${totals.passed} passed, ${failed} failed, ${totals.skipped - mustRun.length} skipped\n`);
process.exitCode = code !== 0 || failed > 0 ? 1 : 0;

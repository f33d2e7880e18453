// `npm run figures`: writes the tables of README.md and docs/guide/benchmarks.md from benchmarks/results/*.json; `-- --check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { TARGETS, withFigures } from './lib/figures.mjs';
import { ROOT } from './toolchain.mjs';

const check = process.argv.includes('--check');
for (const path of TARGETS) {
  const before = readFileSync(path, 'utf8');
  const after = withFigures(before);
  if (after === before) continue;
  if (check) {
    process.stdout.write(`${relative(ROOT, path)} does not show what benchmarks/results/ holds: npm run figures\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
    process.stdout.write(`${relative(ROOT, path)} updated\n`);
  }
}

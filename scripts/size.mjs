// Holds every package entry to its budget of gzip bytes (benchmarks/size-budgets.json); --write sets budgets for what is there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from './toolchain.mjs';
import { budgetsFor, overBudget } from './lib/size-budget.mjs';

const FILE = join(ROOT, 'benchmarks/size-budgets.json');
const cli = join(ROOT, 'benchmarks/src/cli.ts');
const args = ['--disable-warning=ExperimentalWarning', cli, 'size', '--quick', '--json'];
const { code, output } = await run(process.execPath, args, { env: process.env, capture: true });
if (code !== 0) throw new Error(`the size benchmark ended with ${code}`);
const { rows } = JSON.parse(output);
if (process.argv.includes('--write')) {
  writeFileSync(FILE, `${JSON.stringify(budgetsFor(rows), null, 2)}\n`);
  process.stdout.write(`budgets of ${rows.length} entries written\n`);
} else {
  const problems = overBudget(rows, JSON.parse(readFileSync(FILE, 'utf8')));
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
  else process.stdout.write(`${rows.length} entries within their budgets\n`);
}

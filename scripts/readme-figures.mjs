// `npm run figures`: writes what README.md and docs/ show of benchmarks/results/*.json, pictures included; `-- --check` only compares.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { PICTURES, pictures, TARGETS, withFigures } from './lib/figures.mjs';
import { ROOT } from './toolchain.mjs';

const check = process.argv.includes('--check');
mkdirSync(PICTURES, { recursive: true });
const wanted = new Map([
  ...TARGETS.map((path) => [path, withFigures(readFileSync(path, 'utf8'))]),
  ...[...pictures()].map(([file, svg]) => [join(PICTURES, file), svg]),
]);
const present = new Map(
  [...TARGETS, ...readdirSync(PICTURES).map((file) => join(PICTURES, file))].map((path) => [
    path,
    readFileSync(path, 'utf8'),
  ]),
);
for (const path of new Set([...wanted.keys(), ...present.keys()])) {
  const text = wanted.get(path);
  if (text === present.get(path)) continue;
  if (check) {
    process.stdout.write(`${relative(ROOT, path)} does not show what benchmarks/results/ holds: npm run figures\n`);
    process.exitCode = 1;
  } else if (text === undefined) {
    rmSync(path);
    process.stdout.write(`${relative(ROOT, path)} removed: nothing draws it\n`);
  } else {
    writeFileSync(path, text);
    process.stdout.write(`${relative(ROOT, path)} updated\n`);
  }
}

// The examples of the guides and of every README are TypeScript as a strict project takes it.
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { typeErrors, unshownLines, withChecks } from '@hip/testing/examples';
import { examplesOf } from './examples.ts';

const DOCS = join(import.meta.dirname, '..');
const ROOT = join(DOCS, '..');
const pages = globSync(['docs/guide/*.md', 'packages/*/README.md', 'README.md'], { cwd: ROOT }).sort();
const programs = pages
  .flatMap((page) =>
    examplesOf(join(ROOT, page), page).map((example) => ({
      ...example,
      // Imports are resolved as in the package that shows them.
      folder: page.startsWith('packages/') ? join(ROOT, dirname(page)) : DOCS,
    })),
  )
  // Fragments that show one call need names from around them.
  .filter(({ code }) => code.includes('import '));

it('the examples compile', async () => {
  expect(programs.length).toBeGreaterThan(35);
  expect(await typeErrors(programs)).toEqual([]);
});

it('every example prints something, and every line that prints says what', () => {
  const unshown = programs.flatMap(({ name, code }) => unshownLines(code).map((line) => `${name}: ${line}`));
  expect(unshown).toEqual([]);
  const silent = programs.filter(
    ({ name, code }) => !name.startsWith('packages/testing/') && withChecks(code).checks === 0,
  );
  expect(silent.map(({ name }) => name)).toEqual([]);
});

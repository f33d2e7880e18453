// The figures of README and docs are those of the stored results, and the stored results are full runs.
import { globSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { everything, format, RESULTS, table, TARGETS, withFigures, words } from '../lib/figures.mjs';
import { VIEWS } from '../lib/figure-views.mjs';

const ROOT = join(import.meta.dirname, '../..');
const results = globSync('*.json', { cwd: RESULTS }).map((file) => basename(file, '.json'));

it.each(TARGETS.map((path: string) => relative(ROOT, path)))('%s shows the stored results', (file) => {
  const text = readFileSync(join(ROOT, file), 'utf8');
  expect(withFigures(text) === text, `${file} is stale: npm run figures`).toBe(true);
});

it('has a view for every stored result', () => {
  const named: string[] = VIEWS.map(({ name }: { name: string }) => name);
  expect(results.filter((name) => !named.includes(name))).toEqual([]);
});

it.each(results.filter((name) => name === 'demo'))('%s.json is a whole run of the demo', (name) => {
  const document = JSON.parse(readFileSync(join(RESULTS, `${name}.json`), 'utf8')) as {
    readonly longContext: readonly unknown[];
    readonly environment: { readonly options?: { readonly quick?: boolean } };
  };
  expect(document.environment.options?.quick).not.toBe(true);
  expect(document.longContext.length).toBeGreaterThan(0);
});

it.each(results.filter((name) => name !== 'demo'))('%s.json is a full run of that benchmark', (name) => {
  const document = JSON.parse(readFileSync(join(RESULTS, `${name}.json`), 'utf8')) as Record<string, unknown>;
  expect(document['name']).toBe(name);
  expect(document['quick']).not.toBe(true);
  expect((document['rows'] as unknown[]).length).toBeGreaterThan(0);
  expect(document['environment']).toHaveProperty('date');
});

describe('tables', () => {
  it('formats numbers', () => {
    expect([1234567, 0.012345, 12.345, 3, 1000.4, [1, 2.5], true, undefined, 'a|b'].map(format)).toEqual([
      '1,234,567',
      '0.01235',
      '12.35',
      '3',
      '1,000',
      '1, 2.5',
      'yes',
      '',
      'a\\|b',
    ]);
  });

  it('names columns', () => {
    expect(['gzipBytes', 'denseMs', 'ms', 'massRecall', 'fine_tuned'].map(words)).toEqual([
      'gzip (bytes)',
      'dense (ms)',
      'ms',
      'mass recall',
      'fine tuned',
    ]);
  });

  it('groups every row by its part and leaves nested values out', () => {
    const groups = everything({
      rows: [
        { part: 'a', x: 1, deep: { y: 1 } },
        { part: 'a', x: 2, z: 0.5 },
        { part: 'b', w: 'text' },
      ],
    });
    expect(groups).toEqual([
      { title: 'a', markdown: '| x | z |\n|---|---|\n| 1 |  |\n| 2 | 0.5 |' },
      { title: 'b', markdown: '| w |\n|---|\n| text |' },
    ]);
    expect(table(['a'], [[1]])).toBe('| a |\n|---|\n| 1 |');
  });

  it('refuses a text without markers', () => {
    expect(() => withFigures('nothing')).toThrow('figures:begin');
  });
});

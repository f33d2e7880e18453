// The figures and pictures of README and docs are those of the stored results, and the stored results are full runs.
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  everything,
  format,
  PICTURES,
  pictures,
  RESULTS,
  table,
  TARGETS,
  withFigures,
  words,
} from '../lib/figures.mjs';
import { VIEWS } from '../lib/figure-views.mjs';
import { bars, lines, picture, tokens } from '../lib/plot.mjs';

const ROOT = join(import.meta.dirname, '../..');
const results = globSync('*.json', { cwd: RESULTS }).map((file) => basename(file, '.json'));
const README = join(ROOT, 'README.md');

it.each(TARGETS.map((path: string) => relative(ROOT, path)))('%s shows the stored results', (file) => {
  const text = readFileSync(join(ROOT, file), 'utf8');
  expect(withFigures(text) === text, `${file} is stale: npm run figures`).toBe(true);
});

it('the pictures are those of the stored results, no more and no fewer', () => {
  const drawn: Map<string, string> = pictures();
  expect(readdirSync(PICTURES).sort()).toEqual([...drawn.keys()].sort());
  const stale = [...drawn].filter(([file, svg]) => readFileSync(join(PICTURES, file), 'utf8') !== svg);
  expect(stale.map(([file]) => file)).toEqual([]);
});

it('the README is short, and shows three pictures and five figures with their commands', () => {
  expect(statSync(README).size).toBeLessThanOrEqual(10_240);
  const text = readFileSync(README, 'utf8');
  expect(text.match(/<img src="docs\/pictures\/[\w-]+\.svg"/g)).toHaveLength(3);
  expect(text.match(/^- \*\*\S.*\*\* .*\(`npm run [^`]+`\)$/gm)).toHaveLength(5);
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

  it('refuses a text without markers, with unknown ones, or with one that has no end', () => {
    expect(() => withFigures('nothing')).toThrow('figures:begin');
    expect(() => withFigures('<!-- figures:begin pictures -->\n<!-- figures:end -->')).toThrow('write one of');
    expect(() => withFigures('<!-- figures:begin architecture -->\n<!-- figures:begin rows -->')).toThrow('has no end');
  });
});

describe('pictures', () => {
  it('draws a line a series, with its values where the axes say', () => {
    const svg = lines({
      title: 'a < b',
      x: { type: 'log', base: 2, ticks: [1024, 4096] },
      y: { type: 'log' },
      series: [
        {
          name: 'one',
          points: [
            [1024, 1],
            [4096, 100],
          ],
        },
        {
          name: 'two',
          points: [
            [1024, 10],
            [4096, undefined],
          ],
        },
        { name: 'none', points: [[1024, undefined]] },
      ],
    });
    expect(svg).toContain('aria-label="a &lt; b"');
    expect(svg.match(/aria-label="line"/g)).toHaveLength(2);
    expect(svg).not.toContain('>none<');
    expect(svg).toContain('>4K<');
    // One decade of two up from the bottom: (1024, 10) lies half way between (1024, 1) and (4096, 100).
    const at = [...svg.matchAll(/<circle r="3.2" cy="([\d.]+)" cx="([\d.]+)"/g)].map(([, y, x]) => [
      Number(x),
      Number(y),
    ]);
    expect(at).toHaveLength(3);
    expect(at[2]![0]).toBe(at[0]![0]);
    expect(at[2]![1]).toBeCloseTo((at[0]![1]! + at[1]![1]!) / 2, 0);
  });

  it('rounds what is drawn, not what is written', () => {
    const svg = bars({
      title: 't',
      values: [
        { name: 'x', value: 0.123 },
        { name: 'y', value: 1 / 3, label: '0.33333' },
      ],
    });
    expect(svg).toContain('>0.123<');
    expect(svg).toContain('>0.33333<');
    expect(svg).not.toMatch(/ (?:x|y|width|height|d|transform)="[^"]*\d\.\d{2}/);
  });

  it('has colours for light and dark, and wraps a long title', () => {
    const svg = picture({ title: 'word '.repeat(30).trim(), marks: [] });
    expect(svg).toContain('prefers-color-scheme:dark');
    expect(svg.match(/font-weight="600"/g)!.length).toBeGreaterThan(2);
    expect([1024, 2 ** 20, 1500].map(tokens)).toEqual(['1K', '1M', '1,500']);
  });
});

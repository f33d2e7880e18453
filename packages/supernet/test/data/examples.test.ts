// Tables with columns that the caller names: CSV, TSV, JSON lines, whole and in pieces; labels of every problem; errors with line and column.
import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExamples, readExamples } from '../../src/data/examples.ts';
import type { ExampleOptions } from '../../src/data/examples.ts';
import { labelScheme, labelTexts, tagTexts } from '../../src/data/labels.ts';

const encode = (text: string, size: number): Uint8Array[] => {
  const bytes = new TextEncoder().encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};

async function all(source: Iterable<Uint8Array>, options: ExampleOptions) {
  const rows = [];
  for await (const { line: _, ...row } of readExamples(source, options)) rows.push(row);
  return rows;
}

describe('readExamples', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((value) => value.trim() !== '');
  const row = fc.record({ text, pair: text, label: fc.constantFrom('a', 'b', 'c d') });

  it('any texts, in pieces of any size, from CSV and JSON lines alike', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        async (rows, size) => {
          const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
          const csv = ['who,second,first', ...rows.map((one) => [one.label, one.pair, one.text].map(quoted).join(','))];
          const jsonl = rows.map((one) => JSON.stringify({ first: one.text, second: one.pair, who: one.label }));
          const columns = { text: 'first', pair: 'second', label: 'who' } as const;
          expect(await all(encode(csv.join('\n'), size), columns)).toEqual(rows);
          expect(await all(encode(jsonl.join('\r\n'), size), { ...columns, format: 'jsonl' })).toEqual(rows);
        },
      ),
      { numRuns: 60 },
    ));

  it('tab-separated words and tags, columns by index', async () => {
    const rows = await parseExamples('A dog\tB-X I-X\nruns\tO\n', { format: 'tsv', tokens: 0, tags: 1 });
    expect(rows).toEqual([
      { line: 1, text: 'A dog', tokens: ['A', 'dog'], tags: ['B-X', 'I-X'] },
      { line: 2, text: 'runs', tokens: ['runs'], tags: ['O'] },
    ]);
  });

  it('several labels in a cell, in a list, or in columns of their own', async () => {
    const [one] = await parseExamples('text,about\nfine,food | price\n', { labels: 'about' });
    expect(one!.labels).toEqual(['food', 'price']);
    const [two] = await parseExamples('{"text":"fine","about":["food",7,true]}', { format: 'jsonl', labels: 'about' });
    expect(two!.labels).toEqual(['food', '7', 'true']);
    const [three] = await parseExamples('text,x,y\nfine,0.5,-2\n', { labels: ['x', 'y'] });
    expect(three!.labels).toEqual(['0.5', '-2']);
  });

  it.each<[string, ExampleOptions, Record<string, unknown>]>([
    ['text,label\nfine,1\n', { text: 'sentence' }, { line: 2, column: 'sentence', columns: ['text', 'label'] }],
    ['text,label\nfine\n', { label: 'label' }, { line: 2, column: 'label' }],
    ['text\nfine\n" "\n', {}, { line: 3, column: 'text' }],
    ['{"text":"fine"}\n{"text":null}', { format: 'jsonl' }, { line: 2, column: 'text', value: null }],
    ['{"text":"fine"}\n\n{"text":', { format: 'jsonl' }, { line: 3 }],
    ['[1]', { format: 'jsonl' }, { line: 1, column: 'text' }],
    ['7', { format: 'jsonl' }, { line: 1 }],
    ['w,t\nA dog,O\n', { tokens: 'w', tags: 't' }, { line: 2, column: 't', words: 2, tags: 1 }],
    ['text\n"open\n', {}, {}],
  ])('%j is refused', async (source, options, details) => {
    await expect(parseExamples(source, options)).rejects.toMatchObject({ code: 'invalid-data', details });
  });

  it('options that do not go together', async () => {
    const wrong = { code: 'invalid-option' };
    await expect(parseExamples('a', { tokens: 0 })).rejects.toMatchObject(wrong);
    await expect(parseExamples('a', { format: 'xml' as 'csv' })).rejects.toMatchObject(wrong);
    const aborted = parseExamples('{"text":"a"}', { format: 'jsonl', signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('labels', () => {
  const read = (source: string, options: ExampleOptions) => parseExamples(source, { format: 'jsonl', ...options });

  it('what they say of the problem', async () => {
    const scheme = async (values: readonly unknown[], options: ExampleOptions = { label: 'y' }) =>
      labelScheme(await read(values.map((y) => JSON.stringify({ text: 'a', y, w: ['b'] })).join('\n'), options));
    expect(await scheme(['good', 'bad'])).toEqual({ problem: 'single_label_classification', names: ['bad', 'good'] });
    expect(await scheme([2, 0])).toEqual({ problem: 'single_label_classification', names: ['0', '1', '2'] });
    expect(await scheme([1994, 2026])).toEqual({ problem: 'single_label_classification', names: ['1994', '2026'] });
    expect(await scheme([0.5, 2])).toEqual({ problem: 'regression', names: ['value'] });
    expect(await scheme([-1, 2])).toMatchObject({ problem: 'regression' });
    expect(await scheme([['b'], ['a', 'b'], []], { labels: 'y' })).toEqual({
      problem: 'multi_label_classification',
      names: ['a', 'b'],
    });
    expect(
      await scheme(
        [
          [1.5, 2],
          [0, 1],
        ],
        { labels: 'y' },
      ),
    ).toEqual({ problem: 'regression', names: ['value_0', 'value_1'] });
    expect(await scheme([['B-X'], ['O']], { tokens: 'w', tags: 'y' })).toEqual({
      problem: 'token_classification',
      names: ['O', 'B-X'],
    });
    expect(() => labelScheme([])).toThrow(expect.objectContaining({ code: 'invalid-data' }) as Error);
    await expect(scheme([''])).rejects.toMatchObject({ code: 'invalid-data' });
  });

  it('become class indices, values and tags; what is none is named with its line', async () => {
    const rows = await read('{"text":"a","y":"4"}\n{"text":"b","y":""}', { label: 'y' });
    const values = { problem: 'regression', names: ['value'] } as const;
    expect(labelTexts(rows, values)).toEqual([
      { text: 'a', label: 0, values: [4] },
      { text: 'b', label: -1, values: [0] },
    ]);
    expect(labelTexts(rows, { problem: 'single_label_classification', names: ['3', '4'] })[0]).toEqual({
      text: 'a',
      label: 1,
    });
    const wrong = (details: object) =>
      expect.objectContaining({ code: 'invalid-data', details: expect.objectContaining(details) }) as Error;
    const scheme = { problem: 'single_label_classification', names: ['x'] } as const;
    expect(() => labelTexts(rows, scheme)).toThrow(wrong({ line: 1, label: '4' }));
    const words = await read('{"text":"a","y":"much"}', { label: 'y' });
    expect(() => labelTexts(words, values)).toThrow(wrong({ line: 1, label: 'much' }));
    expect(() => tagTexts(rows, scheme)).toThrow(wrong({ line: 1 }));
    const tagged = await read('{"w":["a","b"],"t":["O","X"]}', { tokens: 'w', tags: 't' });
    expect(tagTexts(tagged, { problem: 'token_classification', names: ['O', 'X'] })).toEqual([
      { tokens: ['a', 'b'], labels: [0, 1] },
    ]);
  });
});

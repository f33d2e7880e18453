// What the options of `instatune tune` mean, and what is said of those that mean nothing; nothing is loaded for it.
import { cpSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readData, taskOfPath } from '../../src/files/read-data.ts';
import { requireFree } from '../../src/files/write-outputs.ts';
import { headConfig, readCard, taskOfModel } from '../../src/steps/head.ts';
import { readCommand, type Given } from '../../src/tune/arguments.ts';
import { bookText, imageFolders, newFolder, reviewsCsv, tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';

const folder = newFolder();
const path = (name: string) => join(folder, name);
const given: Given = {
  model: 'hf://owner/name',
  train: 'train.csv',
  out: 'small/',
  budget: 'macs <= 0.5x',
  label: 'y',
};

beforeAll(async () => {
  await Promise.all([tinyBert(path('bert')), tinyLlama(path('llama')), tinyVit(path('vit')), imageFolders(folder)]);
  reviewsCsv(folder);
  bookText(folder);
});

describe('readCommand', () => {
  it('fills in the folders', () => {
    expect(readCommand(given)).toMatchObject({ model: 'hf://owner/name', out: 'small', work: 'small.work' });
    expect(readCommand({ ...given, model: 'here' }).model).toBe(join(process.cwd(), 'here'));
    expect(readCommand({ ...given, layers: '2,3', augment: 'none' })).toMatchObject({
      data: { augment: [] },
      settings: { space: { layers: [2, 3] } },
    });
  });

  it.each<[Partial<Given>, string]>([
    [{ model: undefined }, 'no --model'],
    [{ train: undefined }, 'no --train'],
    [{ out: '' }, 'no --out'],
    [{ budget: undefined }, 'no --budget'],
    [{ budget: 'latency >= 3' }, 'write latency <= …'],
    [{ quantize: 'int2' }, '--quantize is "int2": use none, int8, q4'],
    [
      { task: 'poetry' },
      '--task is "poetry": use text-classification, token-classification, language-modelling, image-classification',
    ],
    [{ steps: '1.5' }, '--steps is "1.5": use a whole number ≥ 1'],
    [{ 'learning-rate': 'fast' }, '--learning-rate is "fast": use a number > 0'],
    [{ epochs: '-1' }, '--epochs is "-1"'],
    [{ evaluations: '1' }, '--evaluations is "1"'],
    [{ heads: '2,two' }, '--heads is "two"'],
    [{ objectives: 'speed' }, '--objectives names "speed"'],
    [{ augment: 'blur' }, '--augment is "blur": use crop, flip, mixup'],
  ])('%j is refused', (change, sentence) => {
    expect(() => readCommand({ ...given, ...change })).toThrow(
      expect.objectContaining({
        code: expect.stringMatching(/^(invalid-option|bad-budget)$/) as string,
        message: expect.stringContaining(sentence) as string,
      }),
    );
  });
});

describe('readData', () => {
  const read = async (model: string, options: Partial<Parameters<typeof readData>[2]>) =>
    readData(path(model), await readCard(path(model)), { train: path('train.csv'), seed: 1, ...options });

  it('infers the task, and makes three parts that share nothing', async () => {
    const text = await read('bert', { text: 'sentence', label: 'verdict' });
    expect(text).toMatchObject({ task: 'text-classification', classes: ['bad', 'good'], tokens: 16 });
    const texts = await Promise.all(
      [text.train, text.validation, text.report].map(async (part) => {
        const { inputIds } = await part.batch(Array.from({ length: part.length }, (_, i) => i));
        const [rows, length] = inputIds!.shape as [number, number];
        return Array.from({ length: rows }, (_, row) =>
          inputIds!.data
            .subarray(row * length, (row + 1) * length)
            .filter((id) => id > 0)
            .join(),
        );
      }),
    );
    const sets = texts.map((rows) => new Set(rows));
    for (const [i, a] of sets.entries())
      for (const b of sets.slice(i + 1)) expect([...a].filter((row) => b.has(row))).toEqual([]);
    expect(texts.flat()).toHaveLength(120);
    expect(await read('llama', { train: path('book.txt'), maxTokens: 8 })).toMatchObject({
      task: 'language-modelling',
      classes: [],
      tokens: 8,
    });
    const images = await read('vit', { train: path('images') });
    expect(images).toMatchObject({ task: 'image-classification', classes: ['dark', 'light'] });
    expect(images.train.length + images.validation.length + images.report.length).toBe(40);
  });

  it('reports on a test set where one is given', async () => {
    const { train, validation, report } = await read('bert', {
      text: 'sentence',
      label: 'verdict',
      test: path('train.csv'),
    });
    expect([train.length + validation.length, report.length]).toEqual([120, 120]);
  });

  it('changes its fingerprint with the data, not with the call', async () => {
    const one = await read('bert', { text: 'sentence', label: 'verdict' });
    expect((await read('bert', { text: 'sentence', label: 'verdict' })).fingerprint).toBe(one.fingerprint);
    expect((await read('bert', { text: 'sentence', label: 'verdict', seed: 2 })).fingerprint).not.toBe(one.fingerprint);
  });

  it.each([
    ['a table', 'bert', { text: 'sentence', label: 'verdict', train: 'train.csv' }],
    ['images', 'vit', { train: 'images', test: 'images' }],
    ['a text', 'llama', { train: 'book.txt', maxTokens: 8 }],
  ])('has the fingerprint of what it says, wherever it lies: %s', async (_, model, options) => {
    const moved = path('moved');
    cpSync(path(options.train), join(moved, options.train), { recursive: true });
    const at = (folder: string) => {
      const place = `${folder}/${options.train}${model === 'vit' ? '/' : ''}`;
      return { ...options, train: place, ...('test' in options && { test: place }) };
    };
    const given = { ...options, train: path(options.train), ...('test' in options && { test: path(options.test) }) };
    const { fingerprint } = await read(model, given);
    expect((await read(model, at(moved))).fingerprint).toBe(fingerprint);
    expect((await read(model, at(relative('.', moved)))).fingerprint).toBe(fingerprint);
  });

  it('reads tab-separated and JSON tables alike', async () => {
    writeFileSync(path('t.tsv'), `a\tb\ty\n${'"good\tbad\tx\nbad\tgood\tz\n'.repeat(20)}`);
    writeFileSync(path('t.jsonl'), '{"a":"\\"good","b":"bad","y":"x"}\n{"a":"bad","b":"good","y":"z"}\n'.repeat(20));
    const parts = { validation: 1, report: 0.4, text: 'a', label: 'y' };
    for (const name of ['t.tsv', 't.jsonl'])
      await expect(read('bert', { train: path(name), ...parts })).rejects.toThrow(/leave 0 to train on/); // two texts only
    for (const name of ['t.tsv', 't.jsonl'])
      expect(await read('bert', { train: path(name), test: path(name), ...parts, pair: 'b' })).toMatchObject({
        classes: ['x', 'z'],
      });
  });

  it.each<[string, Partial<Parameters<typeof readData>[2]>, string]>([
    ['bert', {}, 'no --label'],
    [
      'bert',
      { label: 'verdic', text: 'sentence' },
      'has no column "verdic" (did you mean verdict?): give --label one of sentence, verdict',
    ],
    ['bert', { label: 'verdict' }, 'has no column "text"'],
    ['bert', { label: 'sentence', text: 'sentence' }, 'different values'],
    [
      'bert',
      { label: 'verdict', text: 'sentence', maxTokens: 33 },
      '--max-tokens is 33, the model has positions for 32: give 32 at most',
    ],
    ['bert', { train: path('nowhere.csv'), label: 'verdict' }, 'there is nothing at'],
    ['bert', { train: path('book.txt') }, 'does not predict the next token'],
    ['bert', { train: path('images') }, 'is a model of text'],
    ['vit', { label: 'verdict' }, 'is a model of images'],
    ['vit', { train: path('images'), label: 'verdict' }, '--label says nothing of image-classification'],
    ['llama', { train: path('book.txt'), augment: ['flip'] }, '--augment says nothing of language-modelling'],
    ['llama', { train: path('book.txt'), maxTokens: 100_000 }, 'too few'],
  ])('%s with %j is refused', async (model, options, sentence) => {
    await expect(read(model, options)).rejects.toThrow(sentence);
  });

  it('names the line of a label that is missing, and of one that is new', async () => {
    writeFileSync(path('gap.csv'), 'text,y\none,a\ntwo,\n');
    await expect(read('bert', { train: path('gap.csv'), label: 'y' })).rejects.toThrow(
      /gap\.csv, line 3: no label in column y/,
    );
    writeFileSync(path('new.csv'), 'sentence,verdict\nfine,great\n');
    await expect(read('bert', { text: 'sentence', label: 'verdict', test: path('new.csv') })).rejects.toThrow(
      /new\.csv, line 2: label "great" is none of the classes bad, good/,
    );
  });
});

describe('heads', () => {
  it('keep the checkpoint’s own classes where they are the data’s', async () => {
    const card = await readCard(path('vit'));
    expect(card.classes).toEqual(['dark', 'light']);
    expect(taskOfModel(card)).toBe('image-classification');
    expect(headConfig(card, 'image-classification', card.classes)).toMatchObject({
      architectures: ['ViTForImageClassification'],
      id2label: { 0: 'dark', 1: 'light' },
    });
  });

  it('go onto a bare body, or in the place of another head', async () => {
    expect(headConfig(await readCard(path('bert')), 'text-classification', ['a', 'b', 'c'])).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      problem_type: 'single_label_classification',
      id2label: { 0: 'a', 1: 'b', 2: 'c' },
    });
    const llama = await readCard(path('llama'));
    expect(headConfig(llama, 'text-classification', ['a', 'b'])).toMatchObject({
      architectures: ['LlamaForSequenceClassification'],
      pad_token_id: 0,
    });
    expect(headConfig(llama, 'language-modelling', [])).toEqual({});
  });
});

it('paths say their task', () => {
  expect(['train.csv', 'book.txt', 'images'].map((name) => taskOfPath(path(name)))).toEqual([
    'text-classification',
    'language-modelling',
    'image-classification',
  ]);
  expect(() => taskOfPath(path('bert/model.safetensors'))).toThrow(/give --train a table/);
});

it('a folder with something else in it is not written into', async () => {
  await expect(requireFree(path('bert'), false)).rejects.toMatchObject({ code: 'invalid-option' });
  await requireFree(path('bert'), true);
  await requireFree(path('new'), false);
});

// Tagged words from files: CoNLL columns, JSON lines, tables with lists; names of tags, what is cut, and what is refused.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset } from '@instatune/supernet';
import { beforeAll, describe, expect, it } from 'vitest';
import { areSpanTags, tagNames } from '../../src/data/tags.ts';
import { readData, taskOfPath } from '../../src/files/read-data.ts';
import { readTagged } from '../../src/files/read-tags.ts';
import { headConfig, readCard, taskOfModel } from '../../src/steps/head.ts';
import { newFolder, tagged, taggedConll, tinyBert, tinyLlama } from '../helpers/tiny.ts';

const folder = newFolder();
const path = (name: string) => join(folder, name);
const write = (name: string, text: string): string => {
  writeFileSync(path(name), text);
  return path(name);
};

beforeAll(async () => {
  await Promise.all([tinyBert(path('bert')), tinyLlama(path('llama'))]);
});

describe('readTagged', () => {
  const sentences = [
    { tokens: ['Ishmael', 'sails'], tags: ['B-PER', 'O'] },
    { tokens: ['#', 'Nantucket'], tags: ['O', 'B-LOC'] },
  ];
  const plain = (rows: ReturnType<typeof readTagged>) => rows.map(({ tokens, tags }) => ({ tokens, tags }));

  it.each([
    ['by blanks', 'a.conll', '-DOCSTART- -X- O\n\nIshmael NNP B-PER\nsails  VBZ O\n\n# # O\nNantucket NNP B-LOC\n'],
    [
      'by tabs, ends of lines of Windows, no line at the end',
      'b.tsv',
      'Ishmael\tB-PER\r\nsails\tO\r\n\r\n#\tO\r\nNantucket\tB-LOC',
    ],
    [
      'with comments and more empty lines',
      'c.txt',
      '\uFEFF\n\n# id 7 domain=sea\nIshmael B-PER\nsails O\n \n\n# id 8 domain=land\n# O\nNantucket B-LOC\n\n',
    ],
    ['JSON lines', 'd.jsonl', sentences.map((row) => JSON.stringify(row)).join('\n')],
    [
      'JSON lines of a data set',
      'e.jsonl',
      sentences.map(({ tokens, tags }) => JSON.stringify({ id: 1, tokens, ner_tags: tags })).join('\n'),
    ],
    ['a table with a header', 'f.tsv', 'tokens\ttags\nIshmael sails\tB-PER O\n# Nantucket\tO B-LOC\n'],
    [
      'lists in cells',
      'g.csv',
      `tokens,tags\n"['Ishmael', 'sails']","['B-PER', 'O']"\n"[""#"", ""Nantucket""]",O B-LOC\n`,
    ],
  ])('%s', (_, name, text) => {
    expect(plain(readTagged(write(name, text), {}))).toEqual(sentences);
  });

  it('takes columns by name and by number', () => {
    const file = write('h.conll', 'Ishmael NNP B-PER\nsails VBZ O\n');
    expect(readTagged(file, { tags: '2' })[0]!.tags).toEqual(['NNP', 'VBZ']);
    expect(readTagged(file, { tokens: '2', tags: '1' })[0]!.tokens).toEqual(['NNP', 'VBZ']);
    const lines = write('h.jsonl', '{"w":["a","b"],"t":[1,0]}\n{"w":[],"t":[]}\n');
    expect(plain(readTagged(lines, { tokens: 'w', tags: 't' }))).toEqual([{ tokens: ['a', 'b'], tags: ['1', '0'] }]);
  });

  it.each([
    ['i.conll', 'a B-X\nb\n', {}, 'i.conll, line 2: a word without a tag: every line has the same columns'],
    ['j.conll', 'a N B-X\n\nb N\n', {}, 'j.conll, line 3: 2 columns, line 1 has 3'],
    ['k.conll', 'a\tB-X\n\tO\n', {}, 'k.conll, line 2: an empty column'],
    ['l.conll', '\n-DOCSTART- -X- O\n\n', {}, 'l.conll has no sentences: a line has a word and its tag'],
    ['m.conll', '', {}, 'm.conll has no sentences'],
    ['n.conll', 'a B-X\n', { tags: '3' }, '--tags is "3", and'],
    ['n.conll', 'a B-X\n', { tags: 'ner' }, 'has 2 columns without names: give a number from 1 to 2'],
    [
      'o.jsonl',
      '{"tokens":["a","b"],"tags":["O"]}',
      {},
      'o.jsonl, line 1: 2 words in column tokens, 1 tags in column tags',
    ],
    ['p.jsonl', '{"tokens":"a b","tags":[["O"]]}', {}, 'p.jsonl, line 1, column tags is no list of texts or numbers'],
    [
      'q.jsonl',
      '{"tokens":["a"],"ner":["O"]}',
      {},
      'q.jsonl has no column "ner_tags" (did you mean ner?): give --tags one of tokens, ner',
    ],
    ['r.jsonl', '{"tokens":[],"tags":[]}', {}, 'r.jsonl has no sentences'],
    ['s.conll', 'word\nword\n', {}, 's.conll, line 1: a word without a tag'],
  ])('%s %j is refused', (name, text, columns, sentence) => {
    expect(() => readTagged(write(name, text), columns)).toThrow(
      expect.objectContaining({
        code: expect.stringMatching(/^invalid-(data|option)$/) as string,
        message: expect.stringContaining(sentence) as string,
      }),
    );
  });
});

describe('tagNames', () => {
  const rows = (...tags: string[]) => [{ tags }];

  it('are those that occur, O first; the checkpoint’s or the given ones where they fit', () => {
    expect(tagNames(rows('B-X', 'O', 'I-X', 'O'), {})).toEqual(['O', 'B-X', 'I-X']);
    expect(tagNames(rows('B-X', 'O'), { known: ['B-X', 'I-X', 'O'] })).toEqual(['B-X', 'I-X', 'O']);
    expect(tagNames(rows('B-X', 'O'), { known: ['B-Y', 'O'] })).toEqual(['O', 'B-X']);
    expect(tagNames(rows('0', '3'), {})).toEqual(['0', '1', '2', '3']);
    expect(tagNames(rows('0', '2'), { given: ['O', 'B-X', 'I-X'] })).toEqual(['O', 'B-X', 'I-X']);
    expect(tagNames(rows('0', '2'), { known: ['O', 'B-X', 'I-X'] })).toEqual(['O', 'B-X', 'I-X']);
  });

  it('mark spans or stand for themselves', () => {
    expect(areSpanTags(['O', 'B-X', 'I-X', 'E-X', 'S-X'])).toBe(true);
    expect(areSpanTags(['NN', 'VB', 'O'])).toBe(false);
    expect(areSpanTags(['O', 'X'])).toBe(false);
    expect(areSpanTags(['O'])).toBe(false);
  });

  it('refuse what cannot be', () => {
    expect(() => tagNames(rows('O', 'O'), {})).toThrow(/all words have one tag, "O": two are needed/);
    expect(() => tagNames(rows('0', '3'), { given: ['O', 'B-X'] })).toThrow(
      /--tag-names has 2 names, and none for the tag "3"/,
    );
    expect(() => tagNames(rows('O', 'B-Y'), { given: ['O', 'B-X'] })).toThrow(/none for the tag "B-Y"/);
    expect(() => tagNames(rows(...Array.from({ length: 1001 }, (_, i) => `t${i}`)), {})).toThrow(/1001 different tags/);
  });
});

describe('readData', () => {
  const read = async (model: string, options: Partial<Parameters<typeof readData>[2]>) =>
    readData(path(model), await readCard(path(model)), { train: taggedConll(folder), seed: 1, ...options });

  /** Every sentence of a part as ids and labels. */
  async function all(part: Dataset): Promise<string[]> {
    const rows: string[] = [];
    for (let i = 0; i < part.length; i++) {
      const { inputIds, labels } = await part.batch([i]);
      rows.push(`${inputIds!.data.join()}|${labels.join()}`);
    }
    return rows;
  }

  it('knows the task by its files, and makes three parts that share no sentence', async () => {
    expect(taskOfPath(taggedConll(folder))).toBe('token-classification');
    const data = await read('bert', {});
    expect(data).toMatchObject({
      task: 'token-classification',
      problem: 'single_label_classification',
      classes: ['O', 'B-MOOD', 'B-WORK', 'I-MOOD'],
      tokens: 16,
    });
    expect(data.described).toMatch(
      / sentences to train on, .* kept back to report; at most 16 tokens; 2 kinds of spans$/,
    );
    const parts = await Promise.all([data.train, data.validation, data.report].map(all));
    expect(parts.flat()).toHaveLength(120);
    const sets = parts.map((part) => new Set(part));
    for (const [i, a] of sets.entries())
      for (const b of sets.slice(i + 1)) expect([...a].filter((row) => b.has(row))).toEqual([]);
    const lines = write(
      't.jsonl',
      tagged(60)
        .map(({ tokens, tags }) => JSON.stringify({ tokens, ner_tags: tags }))
        .join('\n'),
    );
    expect(await read('bert', { train: lines })).toMatchObject({ task: 'token-classification' });
    const numbered = write(
      'u.jsonl',
      tagged(60)
        .map(({ tokens, tags }) => JSON.stringify({ tokens, tags: tags.map((tag) => (tag === 'O' ? 0 : 1)) }))
        .join('\n'),
    );
    expect(await read('bert', { train: numbered, tagNames: ['O', 'B-X'] })).toMatchObject({ classes: ['O', 'B-X'] });
    expect((await read('bert', { train: numbered })).described).toMatch(/; 2 tags$/);
  });

  it('labels the first token of a word, and says how many sentences are cut', async () => {
    const text = 'film B-WORK\nzig O\n\n'.concat(`${'dull O\n'.repeat(9)}film B-WORK\n\n`);
    const train = write(
      'long.conll',
      text +
        tagged(20)
          .map(({ tokens, tags }) => tokens.map((word, at) => `${word} ${tags[at]}\n`).join(''))
          .join('\n'),
    );
    const test = write('long-test.conll', text);
    const data = await read('bert', { train, test, maxTokens: 8 });
    expect(data.report.length).toBe(2);
    const { labels } = await data.report.batch([0]);
    // [CLS] film z ##i ##g [SEP], and padding.
    expect(labels.join()).toBe('-1,2,0,-1,-1,-1,-1,-1');
    expect(data.described).toMatch(
      /at most 8 tokens \(\d+ of 24 sentences are longer and cut: \d+ words do not count\)/,
    );
    const cut = await data.report.batch([1]);
    expect(cut.labels.filter((label) => label >= 0)).toHaveLength(6);
  });

  it.each<[string, Partial<Parameters<typeof readData>[2]>, string]>([
    ['bert', { label: 'tag' }, '--label says nothing of token-classification'],
    ['bert', { problem: 'regression' }, '--problem says nothing of token-classification'],
    ['bert', { task: 'language-modelling', tagNames: ['O', 'B'] }, '--tag-names says nothing of language-modelling'],
    ['llama', {}, 'LlamaForTokenClassification'],
    [
      'bert',
      { test: write('new.conll', 'film B-SHIP\n') },
      'new.conll, line 1, word 1: label "B-SHIP" is none of the classes O, B-MOOD, B-WORK, I-MOOD',
    ],
    ['bert', { train: write('few.conll', 'film B-WORK\na O\n') }, 'leave 0 to train on'],
  ])('%s with %j is refused', async (model, options, sentence) => {
    await expect(read(model, options)).rejects.toThrow(
      expect.objectContaining({
        message: expect.stringContaining(sentence) as string,
        code: expect.any(String) as string,
      }),
    );
  });

  it('puts a head on that names the tags', async () => {
    const card = await readCard(path('bert'));
    const config = headConfig(card, 'token-classification', ['O', 'B-X']);
    expect(config).toMatchObject({ architectures: ['BertForTokenClassification'], id2label: { 0: 'O', 1: 'B-X' } });
    expect(config).not.toHaveProperty('problem_type');
    expect(taskOfModel({ ...card, raw: { ...card.raw, ...config } })).toBe('token-classification');
  });
});

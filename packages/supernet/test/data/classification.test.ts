// Delimited tables, text classification, splits.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { parseLabelledTexts, readLabelledTexts } from '../../src/data/delimited.ts';
import { splitDataset } from '../../src/data/split.ts';
import { textClassification, type TextClassificationOptions } from '../../src/data/text-classification.ts';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { createTokenizer, type TextTokenizer } from '@hip/checkpoints';

/** One token per word, 1 … n; 30 opens, 31 closes. */
const words: TextTokenizer = {
  encode: (text) => [30, ...text.split(' ').map((word) => word.length), 31],
  encodePair: (first, second) => {
    const a = [30, ...first.split(' ').map((word) => word.length), 31];
    const b = [...second.split(' ').map((word) => word.length), 31];
    return { ids: [...a, ...b], typeIds: [...a.map(() => 0), ...b.map(() => 1)] };
  },
  decode: () => '',
  tokenId: (token) => (token === '[PAD]' ? 0 : undefined),
};

describe('readLabelledTexts', () => {
  it('reads GLUE’s unquoted TSV by column name, in any chunks', async () => {
    const text = 'sentence\tlabel\nit \'s "fine\t1\nno , not\t0\n';
    const expected = [
      { text: 'it \'s "fine', label: 1 },
      { text: 'no , not', label: 0 },
    ];
    expect(await parseLabelledTexts(text)).toEqual(expected);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), async (size) => {
        const bytes = new TextEncoder().encode(text);
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(await parseLabelledTexts(chunks)).toEqual(expected);
      }),
    );
  });

  it('reads quoted CSV with class names, pairs, and columns by index', async () => {
    const csv = 'b,a,kind\n"x, ""y""",z,no\nu,v,yes\n';
    const rows = await parseLabelledTexts(csv, {
      delimiter: ',',
      text: 'a',
      pair: 'b',
      label: 'kind',
      classes: ['yes', 'no'],
    });
    expect(rows).toEqual([
      { text: 'z', pair: 'x, "y"', label: 1 },
      { text: 'v', pair: 'u', label: 0 },
    ]);
    expect(await parseLabelledTexts('1\thello\n', { text: 1, label: 0 })).toEqual([{ text: 'hello', label: 1 }]);
  });

  it('names line and column of what is wrong', async () => {
    await expect(parseLabelledTexts('sentence\tlabel\na\t1\nb\n')).rejects.toMatchObject({
      code: 'invalid-data',
      details: { line: 3, column: 'label' },
    });
    await expect(parseLabelledTexts('sentence\tlabel\na\tgood\n')).rejects.toThrow(/line 2: label "good"/);
    await expect(parseLabelledTexts('text\tlabel\na\t1\n')).rejects.toThrow(
      /no column sentence \(columns: text, label\)/,
    );
    await expect(parseLabelledTexts('sentence,label\n"a,1\n', { delimiter: ',' })).rejects.toMatchObject({
      code: 'invalid-data',
    });
  });

  it('does not read ahead of what is asked for, and passes on errors of the source', async () => {
    let produced = 0;
    async function* endless() {
      yield 'sentence\tlabel\n';
      for (;;) yield `${'word '.repeat(200)}${produced++}\t1\n`;
    }
    let seen = 0;
    for await (const row of readLabelledTexts(endless())) {
      expect(row.label).toBe(1);
      if (++seen === 50) break;
    }
    expect(produced).toBeLessThan(2000);
    async function* broken() {
      yield 'sentence\tlabel\na\t1\n';
      throw new Error('disk on fire');
    }
    await expect(parseLabelledTexts(broken())).rejects.toThrow(/disk on fire/);
  });

  it('gives the rows before a broken one, closes its source when left, and reads UTF-16', async () => {
    const seen: string[] = [];
    let closed = false;
    function* source() {
      try {
        yield 'sentence,label\na,1\nb,0\n"c"d,1\n';
        yield 'never asked for';
      } finally {
        closed = true;
      }
    }
    const reading = async () => {
      for await (const { text } of readLabelledTexts(source(), { delimiter: ',' })) seen.push(text);
    };
    await expect(reading()).rejects.toMatchObject({ code: 'invalid-data', message: expect.stringContaining('line 4') });
    expect(seen).toEqual(['a', 'b']);
    expect(closed).toBe(true);
    const bytes = Buffer.from('\uFEFFsentence\tlabel\né 😀\t1\n', 'utf16le');
    const chunks = [...bytes].map((byte) => Uint8Array.of(byte));
    expect(await parseLabelledTexts(chunks)).toEqual([{ text: 'é 😀', label: 1 }]);
  });

  it.skipIf(missingShared('data/sst2'))(`reads SST-2${missingShared('data/sst2')}`, async () => {
    const { createReadStream } = await import('node:fs');
    const rows = await parseLabelledTexts(createReadStream(`${sharedPath('data', 'sst2')}/dev.tsv`));
    expect(rows).toHaveLength(872);
    expect(rows.filter((row) => row.label === 1)).toHaveLength(444);
  });
});

describe('textClassification', () => {
  const rows = [
    { text: 'a bb ccc', label: 1 },
    { text: 'dddd', label: 0 },
  ];

  it('pads to the longest of the batch and masks the padding', async () => {
    const data = textClassification(rows, words);
    const batch = await data.batch([0, 1]);
    expect(batch.inputIds).toEqual({ shape: [2, 5], data: Int32Array.of(30, 1, 2, 3, 31, 30, 4, 31, 0, 0) });
    expect([...batch.attentionMask!.data]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
    expect([...batch.labels]).toEqual([1, 0]);
    const single = await data.batch([1]);
    expect(single.inputIds!.shape).toEqual([1, 3]);
    expect(single.attentionMask).toBeUndefined();
    expect([0, 1].map((i) => data.tokens!(i))).toEqual([5, 3]);
  });

  it('truncates but keeps the closing token; pairs carry segments', async () => {
    const [cut] = [await textClassification(rows, words, { maxTokens: 4 }).batch([0])];
    expect([...cut.inputIds!.data]).toEqual([30, 1, 2, 31]);
    const pair = await textClassification([{ text: 'a', pair: 'bb', label: 2 }], words, {
      fixedLength: true,
      maxTokens: 6,
    }).batch([0]);
    expect([...pair.inputIds!.data]).toEqual([30, 1, 31, 2, 31, 0]);
    expect([...pair.tokenTypeIds!.data]).toEqual([0, 0, 0, 1, 1, 0]);
  });

  it('cuts the longer text of a pair, or the one asked for, and never loses one', async () => {
    const vocab = Object.fromEntries(
      ['[CLS]', '[SEP]', '[PAD]', ...'a b c d e f g h'.split(' ')].map((text, id) => [text, id]),
    );
    const tokenizer = createTokenizer({
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: { type: 'RobertaProcessing', sep: ['[SEP]', 1], cls: ['[CLS]', 0] },
      decoder: null,
      model: { type: 'WordPiece', unk_token: '[PAD]', continuing_subword_prefix: '##', vocab },
    });
    const pair = [{ text: 'a b c d e f', pair: 'g h', label: 0 }];
    const ids = async (options: TextClassificationOptions) => {
      const { inputIds, tokenTypeIds } = await textClassification(pair, tokenizer, options).batch([0]);
      expect([...tokenTypeIds!.data]).toEqual([...inputIds!.data].map(() => 0));
      return [...inputIds!.data].join(' ');
    };
    expect(await ids({ maxTokens: 9 })).toBe('0 3 4 5 1 1 9 10 1');
    expect(await ids({ maxTokens: 11, truncation: 'only_second' })).toBe('0 3 4 5 6 7 8 1 1 9 1');
    expect(await ids({ maxTokens: 7, truncation: 'only_first' })).toBe('0 3 1 1 9 10 1');
    expect(await ids({ maxTokens: 7, truncation: 'do_not_truncate' })).toBe('0 3 4 5 6 7 8 1 1 9 10 1');
    for (const options of [
      { maxTokens: 5 },
      { maxTokens: 6, truncation: 'only_first' },
      { maxTokens: 9, truncation: 'only_second' },
    ] as const) {
      expect(() => textClassification(pair, tokenizer, options)).toThrow(
        expect.objectContaining({ code: 'invalid-data', details: expect.objectContaining({ index: 0 }) }),
      );
    }
    // A tokenizer that does not read the options.
    expect(() => textClassification(pair, words, { maxTokens: 6 })).toThrow(/would lose the second text/);
  });

  it.skipIf(missingShared('models/bert-mini'))(
    `with a real tokenizer${missingShared('models/bert-mini')}`,
    async () => {
      const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'bert-mini')!, {
        config: { architectures: ['BertForSequenceClassification'], num_labels: 2 },
        newHeadSeed: 1,
      });
      const batch = await textClassification([{ text: 'a charming journey', label: 1 }], tokenizer!).batch([0]);
      expect(batch.inputIds!.data[0]).toBe(tokenizer!.tokenId('[CLS]'));
      expect(batch.inputIds!.data.at(-1)).toBe(tokenizer!.tokenId('[SEP]'));
      model.dispose();
    },
  );
});

describe('splitDataset', () => {
  it('deals every example to exactly one split', () => {
    const dataset: Dataset = {
      length: 97,
      batch: (indices) => ({ size: indices.length, labels: Int32Array.from(indices) }),
    };
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.45, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer(),
        (validation, report, seed) => {
          const splits = splitDataset(dataset, { validation, report, seed });
          const seen = Object.values(splits).flatMap((part: Dataset) => [
            ...(part.batch(Array.from({ length: part.length }, (_, i) => i)) as HostBatch).labels,
          ]);
          expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 97 }, (_, i) => i));
          expect(splits.report.length).toBe(report === 1 ? 1 : report);
        },
      ),
    );
    expect(() => splitDataset(dataset, { validation: 90, report: 7 })).toThrow(/leave nothing/);
  });
});

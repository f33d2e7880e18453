// Windows, splits and the loader.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { createLoader } from '../../src/data/loader.ts';
import { splitDataset } from '../../src/data/split.ts';
import { collateWindows, streamLoader } from '../../src/data/stream.ts';
import { splitText, textWindows } from '../../src/data/text-windows.ts';

const counting = (count: number) => Int32Array.from({ length: count }, (_, i) => i);

async function windowsOf(dataset: Dataset): Promise<{ ids: number[]; labels: number[] }[]> {
  const all = Array.from({ length: dataset.length }, (_, i) => i);
  const batch = (await dataset.batch(all)) as HostBatch;
  const [rows, length] = batch.inputIds!.shape as [number, number];
  return Array.from({ length: rows }, (_, row) => ({
    ids: [...batch.inputIds!.data.subarray(row * length, (row + 1) * length)],
    labels: [...batch.labels.subarray(row * length, (row + 1) * length)],
  }));
}

describe('textWindows', () => {
  it('labels are the next tokens; every window fits', async () => {
    const windows = await windowsOf(textWindows(counting(21), { length: 5 }));
    expect(windows.map((w) => w.ids[0])).toEqual([0, 5, 10, 15]);
    for (const { ids, labels } of windows) expect(labels).toEqual(ids.map((id) => id + 1));
    expect(textWindows(counting(20), { length: 5 }).length).toBe(3);
    expect(textWindows(counting(20), { length: 5, stride: 1 }).length).toBe(15);
    expect(() => textWindows(counting(5), { length: 5 })).toThrow(/need 6/);
  });
});

describe.each([
  ['textWindows', textWindows],
  ['splitText', splitText],
] as const)('%s', (_, make) => {
  it.each([-1, 1.5, Number.NaN])('names what is no token id: %s', (id) => {
    const tokens: number[] = [...counting(100)];
    tokens[7] = id;
    expect(() => make(tokens, { length: 5 })).toThrow(
      expect.objectContaining({ code: 'invalid-data', details: { id, at: [7] } }),
    );
  });
});

it('names a seed that is none', () => {
  const dataset = textWindows(counting(100), { length: 5 });
  for (const seed of [0.5, Number.NaN]) {
    const wrong = expect.objectContaining({ code: 'invalid-option', details: { name: 'seed', value: seed, seed } });
    expect(() => splitText(counting(100), { length: 5, seed })).toThrow(wrong);
    expect(() => splitDataset(dataset, { seed })).toThrow(wrong);
    expect(() => createLoader(dataset, { seed })).toThrow(wrong);
    expect(() => streamLoader({ open: () => [], collate: collateWindows, seed })).toThrow(wrong);
  }
});

describe('splitText', () => {
  it('no token is in two splits, labels included; the seed alone decides', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 200, max: 2000 }),
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0.05, max: 0.4, noNaN: true }),
        fc.integer(),
        async (length, count, blockWindows, share, seed) => {
          const options = { length, blockWindows, validation: share, report: share, seed };
          const splits = splitText(counting(count), options);
          const again = splitText(counting(count), options);
          const owner = new Map<number, string>();
          for (const [name, dataset] of Object.entries(splits)) {
            expect(dataset.length).toBeGreaterThan(0);
            const windows = await windowsOf(dataset);
            expect(await windowsOf(again[name as keyof typeof again])).toEqual(windows);
            for (const { ids, labels } of windows) {
              for (const token of [...ids, ...labels]) {
                expect(owner.get(token) ?? name).toBe(name);
                owner.set(token, name);
              }
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a text too short to split is an error', () => {
    expect(() => splitText(counting(20), { length: 16 })).toThrow(/too few/);
    expect(() => splitText(counting(500), { length: 16, blockWindows: Number.NaN })).toThrow(/blockWindows = NaN/);
  });
});

describe('createLoader', () => {
  const ragged: Dataset = {
    length: 57,
    tokens: (index) => 1 + ((index * 7) % 13),
    batch: (indices, context) => ({
      size: indices.length,
      labels: Int32Array.from(indices),
      inputIds: { shape: [1, 1], data: Int32Array.of(context?.seed ?? 0) },
    }),
  };

  it('every epoch deals every example once, in another order', async () => {
    const loader = createLoader(ragged, { batchSize: 4, seed: 3, dropLast: false });
    const epochs: number[][] = [];
    for (let epoch = 0; epoch < 3; epoch++) {
      const seen: number[] = [];
      for (let i = 0; i < loader.batchesPerEpoch!; i++) seen.push(...(await loader.next()).labels);
      epochs.push(seen);
    }
    for (const seen of epochs) expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 57 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('restores any position exactly, across epochs, for example and token batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 40 }),
        fc.integer(),
        fc.oneof(
          fc.integer({ min: 1, max: 60 }),
          fc.integer({ min: 1, max: 80 }).map((tokens) => ({ tokens })),
        ),
        fc.boolean(),
        async (stop, seed, batchSize, bucket) => {
          const first = createLoader(ragged, { batchSize, seed, bucket });
          for (let i = 0; i < stop; i++) await first.next();
          const second = createLoader(ragged, { batchSize, seed, bucket });
          await second.restore(JSON.parse(JSON.stringify(first.state())));
          for (let i = 0; i < 12; i++) expect(await second.next()).toEqual(await first.next());
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a token budget is kept when padded', async () => {
    const loader = createLoader(ragged, { batchSize: { tokens: 40 }, seed: 1, dropLast: false });
    const sizes = new Set<number>();
    for (let i = 0; i < loader.batchesPerEpoch!; i++) {
      const labels = [...(await loader.next()).labels];
      sizes.add(labels.length);
      expect(Math.max(...labels.map((index) => ragged.tokens!(index))) * labels.length).toBeLessThanOrEqual(40);
    }
    expect(sizes.size).toBeGreaterThan(1);
  });
});

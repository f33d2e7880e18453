// Streams: shuffled through a buffer, every example once an epoch, exact resume.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collateWindows, streamLoader, streamWindows } from '../../src/data/stream.ts';
import type { TextTokenizer } from '@hip/checkpoints';

const numbers = (count: number) => ({
  open: async function* () {
    for (let i = 0; i < count; i++) yield i;
  },
  collate: (examples: readonly number[]) => ({ size: examples.length, labels: Int32Array.from(examples) }),
});

describe('streamLoader', () => {
  it('gives every example once an epoch, in a seeded order', async () => {
    const loader = streamLoader({ ...numbers(60), batchSize: 4, shuffleBuffer: 16, seed: 2 });
    const epoch = async () => {
      const seen: number[] = [];
      for (let i = 0; i < 15; i++) seen.push(...(await loader.next()).labels);
      return seen;
    };
    const [first, second] = [await epoch(), await epoch()];
    const sorted = Array.from({ length: 60 }, (_, i) => i);
    expect([...first].sort((a, b) => a - b)).toEqual(sorted);
    expect([...second].sort((a, b) => a - b)).toEqual(sorted);
    expect(first).not.toEqual(sorted);
    expect(second).not.toEqual(first);
  });

  it('restores any position exactly', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 30 }),
        fc.integer(),
        async (count, batchSize, shuffleBuffer, stop, seed) => {
          const options = { ...numbers(count), batchSize, shuffleBuffer, seed };
          const first = streamLoader(options);
          for (let i = 0; i < stop; i++) await first.next();
          const second = streamLoader(options);
          await second.restore(JSON.parse(JSON.stringify(first.state())));
          for (let i = 0; i < 8; i++) expect(await second.next()).toEqual(await first.next());
        },
      ),
    );
  });

  it('an empty stream is an error', async () => {
    await expect(streamLoader(numbers(0)).next()).rejects.toMatchObject({ code: 'invalid-data' });
  });
});

describe('streamWindows', () => {
  const characters: TextTokenizer = {
    encode: (text) => Array.from(text, (c) => c.codePointAt(0)!),
    encodePair: () => ({ ids: [], typeIds: [] }),
    decode: (ids) => String.fromCodePoint(...ids),
    tokenId: () => undefined,
  };

  it('refuses windows of no tokens', async () => {
    for (const length of [0, Number.NaN]) {
      await expect(streamWindows(['abc'], characters, { length }).next()).rejects.toMatchObject({
        code: 'invalid-option',
      });
    }
  });

  it('cuts texts of any lengths into one sequence of windows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.stringMatching(/^[a-z]{0,12}$/)),
        fc.integer({ min: 1, max: 7 }),
        async (texts, length) => {
          const windows: Int32Array[] = [];
          for await (const window of streamWindows(texts, characters, { length, separator: 1 })) windows.push(window);
          const all = texts.flatMap((text) => [...characters.encode(text), 1]);
          expect(windows).toHaveLength(Math.max(0, Math.floor((all.length - 1) / length)));
          windows.forEach((window, i) => expect([...window]).toEqual(all.slice(i * length, (i + 1) * length + 1)));
          if (windows.length === 0) return;
          const { inputIds, labels } = collateWindows(windows);
          expect([...inputIds!.data]).toEqual(all.slice(0, windows.length * length));
          expect([...labels]).toEqual(all.slice(1, windows.length * length + 1));
        },
      ),
    );
  });
});

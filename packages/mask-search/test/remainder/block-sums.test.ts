// Statistics that grow and are cut back with a cache equal those made afresh, to the last bit.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { BlockSums, newWorkCount } from '../../src/index.ts';
import { MemoryMeter } from '../../src/work.ts';
import { randomTensor, seeds } from '../support.ts';

const [batch, kvHeads, headDim] = [2, 2, 3];
const shape = { batch, kvHeads, headDim };

/** Vectors [B, tokens, Hkv, d] of a sequence that is determined by its seed. */
function sequence(tokens: number, seed: number): Float64Array {
  const parts = Array.from({ length: batch }, (_, b) => randomTensor(600, seed + b).subarray(0, tokens * 6));
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

/** Every mean there is. */
function means(sums: BlockSums, tokens: number, sink: number, block: number): number[] {
  const out = new Float64Array(headDim);
  const all: number[] = [];
  for (let size = block; size <= tokens - sink; size *= 2)
    for (let start = sink; start + size <= tokens; start += size)
      for (let b = 0; b < batch; b++)
        for (let head = 0; head < kvHeads; head++) {
          sums.mean(out, b, head, start, size);
          all.push(...out);
        }
  return all;
}

it('after any appends and cuts', () => {
  const steps = fc.array(fc.record({ cut: fc.nat(40), add: fc.nat(30), look: fc.boolean() }), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(steps, fc.nat(4), fc.integer({ min: 1, max: 6 }), seeds, (moves, sink, block, seed) => {
      const sums = new BlockSums(shape, sink, block);
      let tokens = 0;
      let content = seed;
      let x = sequence(0, seed);
      for (const { cut, add, look } of moves) {
        const kept = Math.max(0, tokens - cut);
        sums.truncate(kept);
        const next = Math.min(100, kept + add);
        // What is appended after a cut differs from what was there.
        const fresh = sequence(next, ++content);
        const before = x;
        const width = kvHeads * headDim;
        const was = tokens;
        x = fresh.map((value, i) => {
          const [b, at] = [Math.floor(i / (next * width)), i % (next * width)];
          return at < kept * width ? before[b * was * width + at]! : value;
        });
        tokens = next;
        sums.extend(x, tokens);
        if (look) means(sums, tokens, sink, block);
      }
      const fresh = new BlockSums(shape, sink, block);
      fresh.extend(x, tokens);
      expect(means(sums, tokens, sink, block)).toEqual(means(fresh, tokens, sink, block));
    }),
    { numRuns: 100 },
  );
});

it('are means, and count what they read and hold', () => {
  const x = sequence(90, 1);
  const work = newWorkCount();
  const sums = new BlockSums(shape, 2, 4, new MemoryMeter(work));
  sums.extend(x, 90, work);
  expect(work.keysTouched).toBe(batch * kvHeads * 88);
  expect(work.peakNumbers).toBe(batch * 22 * kvHeads * headDim);
  const out = new Float64Array(headDim);
  sums.mean(out, 1, 1, 18, 16);
  // Pairs and fours, as far as the mean needs them: up to the second block of 16.
  expect(work.peakNumbers).toBe(batch * (22 + 4 + 2) * kvHeads * headDim);
  for (let i = 0; i < headDim; i++) {
    const values = Array.from({ length: 16 }, (_, j) => x[(90 + 18 + j) * 6 + 3 + i]!);
    expect(out[i]).toBeCloseTo(values.reduce((a, b) => a + b, 0) / 16, 12);
  }
});

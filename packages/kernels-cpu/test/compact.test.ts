// Compact keys: how far small integers are from float64, and what no integer may overflow on.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { BlockMask, HipConfig } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { cellsOf, randomTensor } from './support.ts';

/** Keys of this many channels, of which the slower half is looked at. */
const DIM = 32;
const SLOW = [...Array(DIM / 4).keys()].flatMap((c) => [DIM / 4 + c, (3 * DIM) / 4 + c]);
const WINDOW = 16;
const QUERIES = 24;

/** What keys can look like: spread evenly, all alike but for a little, with one channel far larger, of any size. */
const kinds = {
  even: (x: number) => x,
  alike: (x: number) => 1 + x / 64,
  alternating: (x: number, c: number) => (c % 2 === 0 ? 1 : -1) + x / 64,
  outlier: (x: number, c: number) => (SLOW[3] === c ? 40 : 1) * x,
  large: (x: number) => 1e15 * x,
  small: (x: number) => 1e-12 * x,
} as const;
type Kind = keyof typeof kinds;

interface Case {
  readonly keys: number;
  readonly kind: Kind;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  keys: fc.integer({ min: 120, max: 220 }),
  kind: fc.constantFrom(...(Object.keys(kinds) as Kind[])),
  seed: fc.integer({ min: 0, max: 1 << 20 }),
});

function inputs({ keys, kind, seed }: Case): {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly scale: number;
} {
  const form = kinds[kind];
  const k = randomTensor(keys * DIM, seed).map((x, i) => form(x, i % DIM));
  const size = kind === 'large' ? 1e-15 : kind === 'small' ? 1e12 : 1;
  return { q: randomTensor(QUERIES * DIM, seed + 1).map((x) => 2 * x), k, scale: size };
}

/** Dot product of the slower halves of row r and key j. */
function dot(q: Float32Array, k: Float32Array, r: number, j: number): number {
  return SLOW.reduce((sum, c) => sum + q[r * DIM + c]! * k[j * DIM + c]!, 0);
}

/** Furthest a product of integers lies from the product: half a step of either times the other, and of both. */
function error(q: Float32Array, k: Float32Array, j: number, simd: 'plain' | 'relaxed'): number {
  const most = (values: number[]): number => Math.max(...values.map(Math.abs));
  const key = SLOW.map((c) => k[j * DIM + c]!);
  const rows = Array.from(q, Math.abs);
  // A key's bytes of one sign add up to 250 in a lane at most: its step follows from half of its channels, at worst.
  const sums = key.reduce((sum, x) => sum + Math.abs(x), 0);
  const keyStep = simd === 'plain' ? most(key) / 2 ** 12 : Math.max(most(key) / 127, sums / 250);
  const rowStep = most(rows) / (simd === 'plain' ? 2 ** 12 : 63);
  const largest = SLOW.reduce((sum, c) => sum + Math.max(...rows.filter((_, i) => i % DIM === c)), 0);
  return (largest * keyStep + sums * rowStep) / 2 + (SLOW.length * keyStep * rowStep) / 4;
}

describe.each(['plain', 'relaxed'] as const)('compact keys, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 1 });
  afterAll(() => cpu.close());

  const search = (
    { keys }: Case,
    q: Float32Array,
    k: Float32Array,
    config: Partial<HipConfig>,
    scale: number,
  ): BlockMask => {
    const shape = { batch: 1, queries: QUERIES, keys, heads: 1, kvHeads: 1, headDim: DIM };
    return cpu.maskSearch(q, k, shape, { window: WINDOW, blockQ: QUERIES, causal: false, ...config }, { scale });
  };

  it('an exact stage leaves chunks that score as much as those it drops, but for the integers’ steps', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(0, 3, 16), fc.constantFrom(4, 6, 16), (given, sink, chunk) => {
        const { q, k } = inputs(given);
        const keep = 3 * chunk;
        const mask = search(
          given,
          q,
          k,
          {
            sink,
            blockK: chunk % 4 === 0 ? 2 : 3,
            k: keep,
            stages: [
              { chunk, keep, score: 'exact', rows: 'max', strideQ: 1, dims: 'slow-half' },
              { chunk: chunk % 4 === 0 ? 2 : 3, keep, score: 'mass', dims: 'slow-half' },
            ],
          },
          1,
        );
        const chosen = new Set(cellsOf(mask)[0]!.map((start) => Math.floor((start - sink) / chunk)));
        const [least, most] = [[] as number[], [] as number[]];
        for (let c = 0; sink + c * chunk < given.keys - WINDOW; c++) {
          let best = { score: -Infinity, error: 0 };
          for (let j = sink + c * chunk; j < Math.min(given.keys, sink + (c + 1) * chunk); j++) {
            const scores = Array.from({ length: QUERIES }, (_, r) => dot(q, k, r, j));
            best = { score: Math.max(best.score, ...scores), error: Math.max(best.error, error(q, k, j, simd)) };
          }
          if (chosen.has(c)) least.push(best.score + best.error);
          else most.push(best.score - best.error);
        }
        expect(chosen.size).toBe(3);
        expect(Math.min(...least)).toBeGreaterThanOrEqual(Math.max(...most));
      }),
      { numRuns: 30 },
    );
  });

  it('a vote’s blocks have as much mass as others, but for the integers’ steps', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(1, 2, 3, 8), (given, blockK) => {
        const { q, k, scale } = inputs(given);
        const [sink, keep] = [5, 8 * blockK];
        const mask = search(
          given,
          q,
          k,
          { sink, blockK, k: keep, stages: [{ chunk: blockK, keep, score: 'mass', dims: 'slow-half' }] },
          scale / 8,
        );
        const weights = Array.from({ length: QUERIES }, (_, r) => {
          const logits = Array.from({ length: given.keys }, (_, j) => (dot(q, k, r, j) * scale) / 8);
          const most = Math.max(...logits);
          const all = logits.map((x) => Math.exp(x - most));
          const sum = all.reduce((a, b) => a + b, 0);
          return all.map((x) => x / sum);
        });
        const furthest = Math.max(...Array.from({ length: given.keys }, (_, j) => error(q, k, j, simd)));
        // Numerator and denominator are off by the error each; the weights themselves by a ten-thousandth.
        const factor = Math.exp((2 * furthest * scale) / 8 + 5e-4);
        const chosen = new Set(cellsOf(mask)[0]);
        const [least, most] = [[] as number[], [] as number[]];
        for (let start = sink; start < given.keys - WINDOW; start += blockK) {
          let mass = 0;
          for (let j = start; j < Math.min(start + blockK, given.keys - WINDOW); j++)
            for (const row of weights) mass += row[j]!;
          if (chosen.has(start)) least.push(mass * factor);
          else most.push(mass / factor);
        }
        expect(chosen.size).toBe(8);
        expect(Math.min(...least)).toBeGreaterThanOrEqual(Math.max(...most));
      }),
      { numRuns: 30 },
    );
  });

  it('no key overflows: one that stands out among any is found', () => {
    fc.assert(
      fc.property(cases, fc.nat(), fc.constantFrom('exact', 'mass'), (given, place, score) => {
        const { q, k, scale } = inputs(given);
        const needle = place % (given.keys - WINDOW);
        // Along one row, longer than any other key.
        const length = 4 * Math.max(...k.map(Math.abs));
        for (const c of SLOW) k[needle * DIM + c] = Math.sign(q[7 * DIM + c]!) * length;
        const stages = [
          { chunk: 16, keep: 16, score: 'exact', rows: 'max', strideQ: 1, dims: 'slow-half' },
          { chunk: 16, keep: 16, score: 'mass', dims: 'slow-half' },
        ] as const;
        const config = { sink: 0, blockK: 16, k: 16, stages: score === 'exact' ? stages : stages.slice(1) };
        const [starts] = cellsOf(search(given, q, k, config, scale));
        expect(starts).toEqual([needle - (needle % 16)]);
      }),
      { numRuns: 40 },
    );
  });
});

// Dense and block-sparse attention: grouped heads, soft-cap, rows without keys, parts that merge, gradients, work.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  addKey,
  attendedKeys,
  blockSparseAttention,
  blockSparseAttentionGradient,
  denseAttention,
  denseMask,
  emptyPartial,
  finishPartial,
  mergePartials,
  newWorkCount,
  searchBlockMask,
  toDense,
} from '../../src/index.ts';
import { randomTensor, searches, seeds, shapes, tensorsOf } from '../support.ts';

describe('dense attention', () => {
  it('is softmax(scale·q·kᵀ + bias)·v, written out', () => {
    fc.assert(
      fc.property(shapes, seeds, fc.boolean(), fc.constantFrom(undefined, 0.5), (shape, seed, causal, softcap) => {
        const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
        const { q, k, v } = tensorsOf(shape, seed);
        const bias = randomTensor(queries * keys, seed + 3);
        const out = denseAttention(q, k, v, shape, { causal, softcap, scale: 0.7, bias });
        for (let b = 0; b < batch; b++) {
          for (let h = 0; h < heads; h++) {
            const row = (seed + h) % queries;
            const kv = (key: number): number => ((b * keys + key) * kvHeads + Math.floor(h / (heads / kvHeads))) * d;
            const at = ((b * queries + row) * heads + h) * d;
            const visible = causal ? Math.max(0, row + keys - queries + 1) : keys;
            const weights = Array.from({ length: visible }, (_, key) => {
              let s = 0;
              for (let i = 0; i < d; i++) s += q[at + i]! * k[kv(key) + i]! * 0.7;
              return Math.exp((softcap ? softcap * Math.tanh(s / softcap) : s) + bias[row * keys + key]!);
            });
            const total = weights.reduce((sum, w) => sum + w, 0);
            const expected = Array.from({ length: d }, (_, i) =>
              weights.reduce((sum, w, key) => sum + (w / total) * v[kv(key) + i]!, 0),
            );
            expect(out.subarray(at, at + d)).toBeAllclose(expected, { rtol: 1e-11, atol: 1e-12 });
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('gives 0 where a row sees no key, by position or by a bias of −Infinity', () => {
    const shape = { batch: 1, queries: 3, keys: 2, heads: 1, kvHeads: 1, headDim: 1 };
    const [q, k, v] = [Float64Array.of(1, 1, 1), Float64Array.of(1, 2), Float64Array.of(5, 7)];
    expect(denseAttention(q, k, v, shape)[0]).toBe(0);
    expect(denseAttention(q, k, v, shape)[1]).toBe(5);
    const bias = Float64Array.of(0, 0, -Infinity, -Infinity, -Infinity, 0);
    expect([...denseAttention(q, k, v, shape, { causal: false, bias })].slice(1)).toEqual([0, 7]);
    expect(
      blockSparseAttention(
        q,
        k,
        v,
        shape,
        searchBlockMask(q, k, shape, { window: 1, sink: 0, k: 1, blockK: 1, stages: undefined }),
      )[0],
    ).toBe(0);
  });

  it('reads a kv head for each group of query heads: equal to keys and values repeated', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const shape = { batch: 2, queries: 7, keys: 9, heads: 6, kvHeads: 2, headDim: 3 };
        const { q, k, v } = tensorsOf(shape, seed);
        const repeat = (x: Float64Array): Float64Array =>
          Float64Array.from({ length: x.length * 3 }, (_, i) => {
            const [c, h, row] = [i % 3, Math.floor(i / 3) % 6, Math.floor(i / 18)];
            return x[(row * 2 + Math.floor(h / 3)) * 3 + c]!;
          });
        const repeated = { ...shape, kvHeads: 6 };
        expect(denseAttention(q, k, v, shape)).toEqual(denseAttention(q, repeat(k), repeat(v), repeated));
        const options = { k: 2, blockK: 1, window: 2, sink: 1, blockQ: 4, stages: undefined };
        const mask = searchBlockMask(q, k, shape, options);
        const mask2 = searchBlockMask(q, repeat(k), repeated, options);
        expect(mask2).toEqual(mask);
        expect(blockSparseAttention(q, k, v, shape, mask)).toEqual(
          blockSparseAttention(q, repeat(k), repeat(v), repeated, mask),
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe('block-sparse attention', () => {
  it('is dense attention over the mask’s pairs', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, fc.constantFrom(undefined, 1.5), (shape, options, seed, softcap) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, shareHeads: true });
        const bias = Float64Array.from(toDense(mask), (held) => (held ? 0 : -Infinity));
        // A bias is shared by the batch: compare the first element of it.
        const first = { ...shape, batch: 1 };
        const part = (x: Float64Array): Float64Array => x.subarray(0, x.length / shape.batch);
        const expected = denseAttention(part(q), part(k), part(v), first, { causal: false, bias, softcap });
        expect(part(blockSparseAttention(q, k, v, shape, mask, { softcap }))).toBeAllclose(expected, {
          rtol: 1e-12,
          atol: 1e-13,
        });
      }),
      { numRuns: 50 },
    );
  });

  it('merges parts over disjoint keys, split anywhere, to the whole (flash-decoding)', () => {
    const logits = fc.array(fc.oneof(fc.double({ min: -50, max: 50, noNaN: true }), fc.constant(-Infinity)), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(logits, seeds, fc.integer({ min: 1, max: 5 }), (scores, seed, parts) => {
        const v = randomTensor(scores.length * 2, seed);
        const whole = emptyPartial(2);
        scores.forEach((s, i) => addKey(whole, s, v, 2 * i));
        const merged = emptyPartial(2);
        for (let part = 0; part < parts; part++) {
          const partial = emptyPartial(2);
          scores.forEach((s, i) => (i % parts === part ? addKey(partial, s, v, 2 * i) : undefined));
          mergePartials(merged, partial);
        }
        const [a, b] = [new Float64Array(2), new Float64Array(2)];
        finishPartial(whole, a, 0);
        finishPartial(merged, b, 0);
        expect(b).toBeAllclose(a, { rtol: 1e-12, atol: 1e-14 });
      }),
    );
  });

  it('counts the pairs it multiplies', () => {
    const shape = { batch: 2, queries: 20, keys: 40, heads: 4, kvHeads: 2, headDim: 2 };
    const { q, k, v } = tensorsOf(shape, 3);
    const mask = searchBlockMask(q, k, shape, { k: 4, blockK: 2, window: 4, sink: 2, stages: undefined });
    let pairs = 0;
    for (let b = 0; b < 2; b++)
      for (let h = 0; h < 4; h++)
        for (let row = 0; row < 20; row++) pairs += [...attendedKeys(mask, shape, b, h, row)].length;
    const work = newWorkCount();
    blockSparseAttention(q, k, v, shape, mask, { work });
    expect(work.dotProducts).toBe(pairs);
    const dense = newWorkCount();
    denseAttention(q, k, v, shape, { work: dense });
    expect(dense.dotProducts).toBe(2 * 4 * (20 * 20 + (20 * 21) / 2));
  });

  it('stops when its signal aborts', () => {
    const shape = { batch: 1, queries: 4, keys: 4, heads: 1, kvHeads: 1, headDim: 2 };
    const { q, k, v } = tensorsOf(shape, 1);
    for (const attend of [
      denseAttention,
      (...[a, b, c, s, o]: Parameters<typeof denseAttention>) =>
        blockSparseAttention(a, b, c, s, denseMask(s, true), o),
    ]) {
      const controller = new AbortController();
      const seen: number[] = [];
      const onProgress = (share: number): void => {
        seen.push(share);
        if (share >= 0.5) controller.abort();
      };
      expect(() => attend(q, k, v, shape, { signal: controller.signal, onProgress })).toThrow(
        expect.objectContaining({ code: 'aborted' }),
      );
      expect(seen).toEqual([0.25, 0.5]);
    }
  });
});

describe('the gradient', () => {
  it('is the finite difference of the output, for any mask, with soft-cap and without', () => {
    fc.assert(
      fc.property(searches, seeds, fc.constantFrom(undefined, 0.8), (options, seed, softcap) => {
        const shape = { batch: 1, queries: 12, keys: 30, heads: 2, kvHeads: 1, headDim: 2 };
        const tensors = tensorsOf(shape, seed);
        const mask = searchBlockMask(tensors.q, tensors.k, shape, { ...options, k: 16 });
        const towards = randomTensor(tensors.q.length, seed + 5);
        const loss = ({ q, k, v }: typeof tensors): number =>
          blockSparseAttention(q, k, v, shape, mask, { softcap }).reduce((sum, x, i) => sum + x * towards[i]!, 0);
        const { q, k, v } = tensors;
        const gradient = blockSparseAttentionGradient(q, k, v, towards, shape, mask, { softcap });
        for (const name of ['q', 'k', 'v'] as const) {
          const at = seed % tensors[name].length;
          const moved = (by: number): number =>
            loss({ ...tensors, [name]: tensors[name].map((x, i) => (i === at ? x + by : x)) });
          expect(gradient[name][at]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 7);
        }
      }),
      { numRuns: 30 },
    );
  });
});

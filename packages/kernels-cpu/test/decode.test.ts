// Decoding with stages that are refreshed each after its own number of tokens, against the reference's sessions; cut back; failed.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { blockSparseAttention, DecodeSession, type HipConfig, type SearchStage } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { Misses, tensors, TOLERANCE } from './support.ts';

const SIZE = { heads: 2, kvHeads: 1, headDim: 16 };
const TOTAL = 720;
const all = tensors({ batch: 1, queries: TOTAL, keys: TOTAL, ...SIZE }, 77);

/** Tokens [from, to) of q or of k and v. */
function part(name: 'q' | 'k' | 'v', from: number, to: number): Float32Array {
  const width = name === 'q' ? 32 : 16;
  return all[name].slice(from * width, to * width);
}

const refresh = fc.integer({ min: 1, max: 5 });
const configs = fc
  .record({
    refresh: fc.tuple(refresh, refresh, refresh),
    voted: fc.boolean(),
    remainder: fc.constantFrom(
      undefined,
      { block: 8, most: 4, tail: 'drop' as const },
      { block: 16, most: 2, tail: 'exact' as const },
    ),
    kPerHead: fc.constantFrom(undefined, [16, 0], [4, 32]),
    decodeKeys: fc.constantFrom('selected' as const, 'candidates' as const),
    shareHeads: fc.boolean(),
  })
  .map(({ refresh: [first, second, third], voted, kPerHead, decodeKeys, ...rest }) => {
    const stages: SearchStage[] = [
      { chunk: 16, keep: 96, strideQ: 4, rows: 'mean', score: 'deviation', refresh: first },
      { chunk: 4, keep: 48, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half', refresh: second },
      voted
        ? { chunk: 2, keep: 16, score: 'mass', dims: 'slow-half', refresh: third }
        : { chunk: 2, keep: 16, strideQ: 1, rows: 'max', score: 'exact', refresh: third },
    ];
    return {
      ...rest,
      k: 16,
      blockQ: 16,
      blockK: 2,
      window: 20,
      sink: 3,
      stages,
      kPerHead: rest.shareHeads ? undefined : kPerHead,
      decodeKeys: voted ? decodeKeys : 'selected',
    } satisfies Partial<HipConfig>;
  });

const types = fc.constantFrom('f32' as const, 'f16' as const);

describe.each(['plain', 'relaxed'] as const)('decoding, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  it('masks and outputs are those of the reference’s sessions', () => {
    let [equal, steps] = [0, 0];
    const misses = new Misses();
    fc.assert(
      fc.property(configs, fc.integer({ min: 2, max: 380 }), types, (config, prompt, type) => {
        const options = { ...SIZE, config, softcap: 3 };
        using cache = cpu.createCache({ ...options, type });
        // The reference reads what the cache holds.
        const held = (name: 'k' | 'v', from: number, to: number): Float32Array =>
          part(name, from, to).map((x) => (type === 'f16' ? Math.f16round(x) : x));
        const session = new DecodeSession(options);
        session.prefill(part('q', 0, prompt), held('k', 0, prompt), held('v', 0, prompt));
        cache.append(part('k', 0, prompt), part('v', 0, prompt));
        // A prefill from the cache.
        const prefill = cache.attend(part('q', 0, prompt));
        const before = { batch: 1, queries: prompt, keys: prompt, ...SIZE };
        const [keys, values] = [held('k', 0, prompt), held('v', 0, prompt)];
        const over = blockSparseAttention(part('q', 0, prompt), keys, values, before, prefill.mask, { softcap: 3 });
        expect(prefill.output).toBeAllclose(over, TOLERANCE);
        for (let at = prompt; at < prompt + 12; at++) {
          const expected = session.step(part('q', at, at + 1), held('k', at, at + 1), held('v', at, at + 1));
          cache.append(part('k', at, at + 1), part('v', at, at + 1));
          const output = cache.decode(part('q', at, at + 1));
          const mask = cache.mask!;
          const now = { ...mask, keys: at + 1, window: mask.window + at + 1 - mask.keys };
          const theirs = session.mask!;
          expect({ ...now, starts: 0, counts: 0 }).toEqual({ ...theirs, starts: 0, counts: 0 });
          // Candidates that nearly tie may hold one block less: the last ones.
          for (const [cell, count] of now.counts.entries())
            expect(Math.abs(count - theirs.counts[cell]!)).toBeLessThanOrEqual(1);
          misses.add(theirs, now);
          const shape = { batch: 1, queries: 1, keys: at + 1, ...SIZE };
          const [q, k, v] = [part('q', at, at + 1), held('k', 0, at + 1), held('v', 0, at + 1)];
          expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, now, { softcap: 3 }), TOLERANCE);
          steps++;
          // Scores that the integers of a vote cannot tell apart are rare (compact.test.ts).
          if (now.starts.join() !== theirs.starts.join()) continue;
          equal++;
          expect(output).toBeAllclose(expected, TOLERANCE);
        }
      }),
      { numRuns: 24 },
    );
    expect(equal / steps).toBeGreaterThan(simd === 'plain' ? 0.95 : 0.7);
    expect(misses.share).toBeLessThan(simd === 'plain' ? 0.005 : 0.04);
  });

  it.each(['f32', 'f16'] as const)('cut back, stages go on as if they never went further: %s', (type) => {
    const counts = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 40 })), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(configs, counts, counts, counts, (config, before, failed, after) => {
        using cut = cpu.createCache({ ...SIZE, type, config });
        using never = cpu.createCache({ ...SIZE, type, config });
        const go = (cache: typeof cut, rows: number, shift = 0): Float32Array => {
          const [from, to] = [cache.length, cache.length + rows];
          const [k, v] = [part('k', from, to), part('v', from, to)];
          cache.append(
            k.map((x) => x + shift),
            v.map((x) => x - shift),
          );
          const q = part('q', from, to);
          return rows === 1 ? cache.decode(q) : cache.attend(q).output;
        };
        for (const rows of before) {
          go(cut, rows);
          go(never, rows);
        }
        const { length } = cut;
        for (const rows of failed.slice(0, 2)) go(cut, rows, 0.5);
        cut.truncate(length);
        for (const rows of after) expect(go(cut, rows)).toEqual(go(never, rows));
      }),
      { numRuns: 15 },
    );
  });
});

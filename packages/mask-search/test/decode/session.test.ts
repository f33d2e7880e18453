// Decode against prefill: the same rows, token by token or chunk by chunk, with and without masks that are reused.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  DecodeSession,
  denseAttention,
  pseudoKeys,
  rotaryEmbedding,
  rotaryTables,
  searchBlockMask,
  type AttentionShape,
  type HipConfig,
} from '../../src/index.ts';
import { configurations, randomTensor, seeds, startsOf, tensorsOf } from '../support.ts';

const configs = fc
  .record({
    name: fc.constantFrom(...Object.keys(configurations)),
    sink: fc.integer({ min: 0, max: 5 }),
    remainder: fc.constantFrom(undefined, { block: 4, most: 3 }, { block: 3, most: 5, tail: 'drop' as const }),
  })
  .map(({ name, ...rest }): Partial<HipConfig> => ({ ...configurations[name], ...rest }));

const lengths = fc.integer({ min: 1, max: 110 });

function shapeOf(tokens: number): AttentionShape {
  return { batch: 1, queries: tokens, keys: tokens, heads: 4, kvHeads: 2, headDim: 4 };
}

/** One token's vectors of a [1, T, heads, d] tensor. */
function tokenOf(x: Float64Array, token: number, heads: number): Float64Array {
  return x.subarray(token * heads * 4, (token + 1) * heads * 4);
}

const model = { heads: 4, kvHeads: 2, headDim: 4 } as const;

describe('DecodeSession', () => {
  it('token by token equals a prefill of the same rows (one row a block, a search each step), to the last bit', () => {
    fc.assert(
      fc.property(configs, lengths, seeds, fc.constantFrom(undefined, 2), (config, tokens, seed, softcap) => {
        const shape = shapeOf(tokens);
        const { q, k, v } = tensorsOf(shape, seed);
        const stages = config.stages?.map((stage) => ({ ...stage, refresh: 1 }));
        const options = { ...config, stages, blockQ: 1, refreshInterval: 1 };
        const mask = searchBlockMask(q, k, shape, { ...options, softcap });
        const expected = blockSparseAttention(q, k, v, shape, mask, { softcap });
        const session = new DecodeSession({ ...model, config: options, softcap });
        for (let token = 0; token < tokens; token++) {
          const out = session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2));
          expect(out).toEqual(tokenOf(expected, token, 4));
          for (let head = 0; head < mask.maskHeads; head++) {
            expect(startsOf(session.mask!, head)).toEqual(startsOf(mask, head * mask.queryBlocks + token));
          }
        }
        expect(session.length).toBe(tokens);
        expect(session.searches).toBe(tokens);
      }),
      { numRuns: 40 },
    );
  });

  it('in chunks of whole query blocks equals one prefill, to the last bit', () => {
    fc.assert(
      fc.property(
        configs,
        lengths,
        seeds,
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 5 }),
        (config, tokens, seed, cuts) => {
          const shape = shapeOf(tokens);
          const { q, k, v } = tensorsOf(shape, seed);
          const options = { ...config, blockQ: 8 };
          const expected = blockSparseAttention(q, k, v, shape, searchBlockMask(q, k, shape, options));
          const session = new DecodeSession({ ...model, config: options });
          const parts: Float64Array[] = [];
          let start = 0;
          for (const blocks of [...cuts, 100]) {
            const end = Math.min(tokens, start + blocks * 8);
            if (end > start)
              parts.push(
                session.prefill(
                  q.subarray(start * 16, end * 16),
                  k.subarray(start * 8, end * 8),
                  v.subarray(start * 8, end * 8),
                ),
              );
            start = end;
          }
          expect(parts.flatMap((part) => [...part])).toEqual([...expected]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('reuses a mask for r_m steps, and no key gets out of reach meanwhile', () => {
    fc.assert(
      fc.property(
        configs,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 60 }),
        seeds,
        (config, refreshInterval, prompt, seed) => {
          const tokens = prompt + 30;
          const { q, k, v } = tensorsOf(shapeOf(tokens), seed);
          const session = new DecodeSession({ ...model, config: { ...config, refreshInterval } });
          if (prompt > 0)
            session.prefill(q.subarray(0, prompt * 16), k.subarray(0, prompt * 8), v.subarray(0, prompt * 8));
          let found = { starts: [] as number[], tokens: 0 };
          for (let token = prompt; token < tokens; token++) {
            const out = session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2));
            const mask = session.mask!;
            const steps = token - prompt;
            expect(session.searches).toBe(Math.floor(steps / refreshInterval) + 1);
            if (steps % refreshInterval === 0) found = { starts: [...mask.starts], tokens: token + 1 };
            expect([...mask.starts]).toEqual(found.starts);
            const shape = { ...shapeOf(token + 1), queries: 1 };
            for (let head = 0; head < 4; head++) {
              const attended = [...attendedKeys(mask, shape, 0, head, 0)];
              expect(attended).toEqual([...new Set(attended)].sort((a, b) => a - b));
              // Everything from where the window began at the search to this token.
              for (let key = Math.max(0, found.tokens - mask.window + (steps % refreshInterval)); key <= token; key++)
                expect(attended).toContain(key);
            }
            const expected = blockSparseAttention(
              tokenOf(q, token, 4),
              k.subarray(0, (token + 1) * 8),
              v.subarray(0, (token + 1) * 8),
              shape,
              mask,
            );
            expect(out).toEqual(expected);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('refreshes each stage at its own interval: later stages search inside what earlier ones left', () => {
    const stages = [
      { chunk: 16, keep: 64, strideQ: 1, rows: 'max', score: 'binary', refresh: 8 },
      { chunk: 4, keep: 32, strideQ: 1, rows: 'max', score: 'binary', refresh: 4 },
      { chunk: 2, keep: 16, strideQ: 1, rows: 'max', score: 'exact', refresh: 2 },
    ] as const;
    const session = new DecodeSession({ ...model, config: { k: 16, blockK: 2, window: 16, sink: 4, stages } });
    session.prefill(randomTensor(300 * 16, 1), randomTensor(300 * 8, 2), randomTensor(300 * 8, 3));
    const [searches, windows, costs]: [number[], number[], number[]] = [[], [], []];
    for (let step = 0; step < 16; step++) {
      const before = session.work.keysTouched;
      session.step(randomTensor(16, 4 + step), randomTensor(8, 100 + step), randomTensor(8, 200 + step));
      searches.push(session.searches);
      windows.push(session.mask!.window);
      costs.push(session.work.keysTouched - before);
    }
    expect(searches).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]);
    expect(windows).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 16, 17, 18, 19, 20, 21, 22, 23]);
    // A full search costs more than one of two stages, that more than one of one, that more than none.
    expect(costs[8]! > costs[4]! && costs[4]! > costs[2]! && costs[2]! > costs[3]!).toBe(true);
  });

  it('lets every token vote on candidates that are refreshed seldom: window and remainder start where they started', () => {
    const config: Partial<HipConfig> = {
      ...configurations['a vote on candidates'],
      blockQ: 1,
      refreshInterval: 6,
      remainder: { block: 4, most: 3 },
    };
    const [candidates, vote] = config.stages!;
    fc.assert(
      fc.property(seeds, fc.integer({ min: 60, max: 120 }), (seed, prompt) => {
        const tokens = prompt + 12;
        const { q, k, v } = tensorsOf(shapeOf(tokens), seed);
        const session = new DecodeSession({
          ...model,
          config: { ...config, stages: [candidates!, { ...vote!, refresh: 1 }] },
        });
        session.prefill(q.subarray(0, prompt * 16), k.subarray(0, prompt * 8), v.subarray(0, prompt * 8));
        for (let token = prompt; token < tokens; token++) {
          session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2));
          const mask = session.mask!;
          const age = (token - prompt) % 6;
          expect(mask.window).toBe(8 + age);
          // The candidates of the token that found them, voted on by this one over the window as it has grown.
          const asked = token - age;
          const first = { ...config, k: 32, blockK: 8, stages: [candidates!] };
          const asking = { ...shapeOf(asked + 1), queries: 1 };
          const found = searchBlockMask(tokenOf(q, asked, 4), k.subarray(0, (asked + 1) * 8), asking, first);
          const now = { ...shapeOf(token + 1), queries: 1 };
          const voted = searchBlockMask(tokenOf(q, token, 4), k.subarray(0, (token + 1) * 8), now, {
            ...config,
            window: 8 + age,
            stages: [vote!],
            k: 16,
          });
          for (let head = 0; head < 4; head++) {
            const starts = startsOf(found, head).flatMap((start) => [0, 2, 4, 6].map((more) => start + more));
            for (const start of startsOf(mask, head)) expect(starts).toContain(start);
            // What the vote on all keys chooses among the candidates is chosen among them alone.
            for (const start of startsOf(voted, head))
              expect(starts.includes(start) && !startsOf(mask, head).includes(start)).toBe(false);
            const ends = [...pseudoKeys(mask, 0, head, 0)].map(({ start, size }) => start + size);
            expect(Math.max(0, ...ends)).toBeLessThanOrEqual(asked + 1 - 8);
          }
        }
        expect(session.searches).toBe(12);
      }),
      { numRuns: 15 },
    );
  });

  it('attends to all candidates where it is told to, without a vote', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 12 }), (seed, refreshInterval) => {
        const config: Partial<HipConfig> = {
          ...configurations['a vote on candidates'],
          decodeKeys: 'candidates',
          refreshInterval,
          remainder: { block: 4, most: 3 },
        };
        const { q, k, v } = tensorsOf(shapeOf(100), seed);
        const session = new DecodeSession({ ...model, config });
        session.prefill(q.subarray(0, 90 * 16), k.subarray(0, 90 * 8), v.subarray(0, 90 * 8));
        for (let token = 90; token < 100; token++) {
          const out = session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2));
          const asked = token - ((token - 90) % refreshInterval);
          const shape = { ...shapeOf(asked + 1), queries: 1 };
          const found = searchBlockMask(tokenOf(q, asked, 4), k.subarray(0, (asked + 1) * 8), shape, {
            ...config,
            k: 32,
            blockK: 8,
            stages: [config.stages![0]!],
          });
          expect(session.mask!.starts).toEqual(found.starts);
          const mask = { ...found, keys: token + 1, window: 8 + token - asked };
          const now = { ...shape, keys: token + 1 };
          const [keys, values] = [k, v].map((x) => x.subarray(0, (token + 1) * 8)) as [Float64Array, Float64Array];
          expect(out).toEqual(blockSparseAttention(tokenOf(q, token, 4), keys, values, now, mask));
        }
      }),
      { numRuns: 15 },
    );
  });

  it('cut back and continued equals one that never held what was cut, to the last bit', () => {
    fc.assert(
      fc.property(configs, seeds, fc.array(fc.nat(50), { minLength: 1, maxLength: 4 }), (config, seed, cuts) => {
        const { q, k, v } = tensorsOf(shapeOf(110), seed);
        const feed = (session: DecodeSession, from: number, to: number): Float64Array[] => [
          session.prefill(
            q.subarray(from * 16, (to - 3) * 16),
            k.subarray(from * 8, (to - 3) * 8),
            v.subarray(from * 8, (to - 3) * 8),
          ),
          ...[to - 3, to - 2, to - 1].map((token) =>
            session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2)),
          ),
        ];
        const options = { ...model, config: { ...config, blockQ: 8, refreshInterval: 2 } };
        const session = new DecodeSession(options);
        feed(session, 0, 60);
        for (const cut of cuts) {
          const kept = 8 * Math.floor(cut / 8);
          // Other tokens than those that follow, then back.
          session.prefill(q.subarray(0, 20 * 16), v.subarray(0, 20 * 8), k.subarray(0, 20 * 8));
          session.truncate(kept);
          expect([session.length, session.mask]).toEqual([kept, undefined]);
          const fresh = new DecodeSession(options);
          if (kept > 0) fresh.prefill(q.subarray(0, kept * 16), k.subarray(0, kept * 8), v.subarray(0, kept * 8));
          expect(feed(session, kept, 70)).toEqual(feed(fresh, kept, 70));
        }
        expect(() => session.truncate(71)).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
      }),
      { numRuns: 25 },
    );
  });

  it('is dense attention while everything fits, with RoPE of either kind', () => {
    const tables = rotaryTables(80, 4, 100);
    for (const mode of ['absolute', 'streaming'] as const) {
      const shape = shapeOf(60);
      const { q, k, v } = tensorsOf(shape, 5);
      const turn = (x: Float64Array, heads: number): Float64Array =>
        rotaryEmbedding(x, { batch: 1, rows: 60, heads, headDim: 4 }, tables);
      const expected = denseAttention(turn(q, 4), turn(k, 2), v, shape, { scale: 0.3 });
      const session = new DecodeSession({
        ...model,
        scale: 0.3,
        rope: { tables, mode },
        config: { k: 32, window: 64 },
      });
      expect(session.prefill(q.subarray(0, 40 * 16), k.subarray(0, 40 * 8), v.subarray(0, 40 * 8))).toBeAllclose(
        expected.subarray(0, 40 * 16),
        { rtol: 1e-9, atol: 1e-11 },
      );
      for (let token = 40; token < 60; token++) {
        const out = session.step(tokenOf(q, token, 4), tokenOf(k, token, 2), tokenOf(v, token, 2));
        expect(out).toBeAllclose(tokenOf(expected, token, 4), { rtol: 1e-9, atol: 1e-11 });
      }
    }
  });

  it('with streaming RoPE goes on beyond its tables', () => {
    const tables = rotaryTables(48, 4);
    const config = { k: 8, blockK: 2, window: 16, sink: 4, refreshInterval: 4, blockQ: 8, stages: undefined };
    const session = new DecodeSession({ ...model, rope: { tables, mode: 'streaming' }, config });
    session.prefill(randomTensor(100 * 16, 1), randomTensor(100 * 8, 2), randomTensor(100 * 8, 3));
    const out = session.step(randomTensor(16, 4), randomTensor(8, 5), randomTensor(8, 6));
    expect(out.every(Number.isFinite)).toBe(true);
  });

  it('costs a step nothing that grows with the sequence, but for the log T of a search', () => {
    const cost = (tokens: number): number => {
      const config = {
        k: 32,
        blockK: 2,
        window: 16,
        sink: 4,
        refreshInterval: 8,
        blockQ: 64,
        strideQ: 64,
        stages: undefined,
      };
      const session = new DecodeSession({ heads: 1, kvHeads: 1, headDim: 2, config });
      session.prefill(randomTensor(tokens * 2, 1), randomTensor(tokens * 2, 2), randomTensor(tokens * 2, 3));
      const before = session.work.keysTouched;
      for (let step = 0; step < 8; step++)
        session.step(randomTensor(2, step), randomTensor(2, step + 9), randomTensor(2, step + 99));
      return session.work.keysTouched - before;
    };
    const costs = [1, 2, 4, 8].map((n) => cost(n * 1024));
    // One search in 8 steps: a doubling adds one round of at most 2·k keys (and the rounding of node sizes).
    for (const [i, c] of costs.slice(1).entries()) expect(c - costs[i]!).toBeLessThanOrEqual(2 * 32 + 12);
  });

  it('refuses what it cannot do', () => {
    expect(() => new DecodeSession({ ...model, config: { causal: false } })).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    );
    const streaming = { tables: rotaryTables(8, 4), mode: 'streaming' } as const;
    expect(() => new DecodeSession({ ...model, rope: streaming, config: { remainder: {} } })).toThrow(
      expect.objectContaining({ code: 'unsupported', details: { name: 'remainder' } }),
    );
    expect(() => new DecodeSession({ ...model, config: { kPerHead: [16] } })).toThrow(
      expect.objectContaining({ code: 'invalid-config' }),
    );
    expect(() => new DecodeSession({ ...model, kvHeads: 3 })).toThrow(
      expect.objectContaining({ code: 'invalid-shape' }),
    );
    expect(() => new DecodeSession({ ...model, scale: 0 })).toThrow(
      expect.objectContaining({ code: 'invalid-config' }),
    );
    const session = new DecodeSession(model);
    expect(() => session.step(new Float64Array(16), new Float64Array(8), new Float64Array(7))).toThrow(
      expect.objectContaining({ code: 'invalid-shape' }),
    );
    expect(() => session.step(new Float64Array(16), new Float64Array(8).fill(NaN), new Float64Array(8))).toThrow(
      expect.objectContaining({ code: 'non-finite' }),
    );
    expect(session.length).toBe(0);
  });
});

// No row reads what it may not see: NaN and infinity at a token leave the rows before it, other heads and other batch entries as they
// were, bit for bit. And means of large values stay finite.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  blockSparseAttention,
  denseAttention,
  denseMask,
  PAPER_CONFIG,
  searchBlockMask,
  type AttentionShape,
  splitStages,
  type HipConfig,
} from '@hip/mask-search';
import { createCpuRuntime, type CacheType, type KeyValueCache } from '../src/index.ts';
import { randomTensor, rowsOf, tensors, TOLERANCE } from './support.ts';

/** Windows hold a query block and a chunk, so that whatever is scored is visible to every row of the block. */
const configs: Record<string, Partial<HipConfig>> = {
  tree: { ...PAPER_CONFIG, blockQ: 16, k: 16, blockK: 4, window: 20, sink: 3 },
  'bound and exact stages': {
    blockQ: 16,
    k: 16,
    blockK: 8,
    window: 32,
    sink: 4,
    stages: [
      { chunk: 16, keep: 32, strideQ: 4, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  },
  'binary stages, one mask for all heads': {
    blockQ: 16,
    k: 16,
    blockK: 4,
    window: 32,
    sink: 5,
    shareHeads: true,
    stages: [
      { chunk: 16, keep: 48, strideQ: 4, rows: 'max', score: 'binary' },
      { chunk: 4, keep: 16, strideQ: 2, rows: 'mean', score: 'exact' },
    ],
  },
  'a vote and a remainder': {
    blockQ: 16,
    k: 16,
    blockK: 2,
    window: 32,
    sink: 5,
    stages: [
      { chunk: 16, keep: 64, strideQ: 4, rows: 'mean', score: 'deviation' },
      { chunk: 8, keep: 32, strideQ: 1, rows: 'max', score: 'exact' },
      { chunk: 2, keep: 16, score: 'mass' },
    ],
    remainder: { block: 8, most: 4, tail: 'drop' },
  },
};

/** NaN with other bits than the usual: what a careless exponent would make a number of. */
const ODD_NAN = new Float32Array(Uint32Array.of(0x7fc0_0001).buffer)[0]!;

interface Case {
  readonly shape: AttentionShape;
  readonly seed: number;
  /** What is spoilt: a coordinate, or all, of k or v of a token of a head. */
  readonly which: 'k' | 'v';
  readonly token: number;
  readonly batch: number;
  readonly head: number;
  readonly coordinate: number | undefined;
  readonly bits: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    batches: fc.constantFrom(1, 2),
    keys: fc.integer({ min: 2, max: 200 }),
    share: fc.constantFrom(1, 0.5, 0.1),
    kvHeads: fc.constantFrom(1, 2),
    group: fc.constantFrom(1, 2, 3),
    headDim: fc.constantFrom(4, 6, 8, 20),
    seed: fc.nat(1 << 20),
    which: fc.constantFrom<'k' | 'v'>('k', 'v'),
    at: fc.nat(1 << 20),
    head: fc.nat(1),
    batch: fc.nat(1),
    coordinate: fc.option(fc.nat(3), { nil: undefined }),
    bits: fc.constantFrom(0x7fc0_0000, 0x7fc0_0001, 0xffc0_0000 | 0, 0x7f80_0000, 0xff80_0000 | 0),
  })
  .map(({ batches, keys, share, kvHeads, group, headDim, at, head, batch, ...rest }) => ({
    ...rest,
    shape: {
      batch: batches,
      keys,
      queries: Math.max(1, Math.floor(keys * share)),
      heads: kvHeads * group,
      kvHeads,
      headDim,
    },
    token: at % keys,
    head: head % kvHeads,
    batch: batch % batches,
  }));

/** The tensors as they are and spoilt. */
function spoil({ shape, seed, which, token, batch, head, coordinate, bits }: Case): {
  readonly clean: ReturnType<typeof tensors>;
  readonly dirty: ReturnType<typeof tensors>;
} {
  const clean = tensors(shape, seed);
  const spoilt = clean[which].slice();
  const words = new Int32Array(spoilt.buffer);
  const at = ((batch * shape.keys + token) * shape.kvHeads + head) * shape.headDim;
  for (let c = 0; c < shape.headDim; c++) if (coordinate === undefined || c === coordinate) words[at + c] = bits;
  return { clean, dirty: { ...clean, [which]: spoilt } };
}

/** `actual` [B, Tq, H, d] with rows that may see the spoilt token, those from it on of its heads and batch, as they are expected. */
function unseen({ shape, token, batch, head }: Case, actual: Float32Array, expected: Float32Array): Float32Array {
  const { queries, keys, heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const out = actual.slice();
  for (let row = Math.max(0, token - (keys - queries)); row < queries; row++) {
    const from = ((batch * queries + row) * heads + head * group) * headDim;
    out.set(expected.subarray(from, from + group * headDim), from);
  }
  return out;
}

const runtimes = [
  { simd: 'plain', threads: 1 },
  { simd: 'relaxed', threads: 2 },
] as const;

describe.each(runtimes)('NaN and infinity, $simd SIMD, $threads threads', async ({ simd, threads }) => {
  const cpu = await createCpuRuntime({ simd, threads });
  afterAll(() => cpu.close());

  it('dense attention: rows that see the token are NaN or infinite where it is, others as they were', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(undefined, 3), (given, softcap) => {
        const { shape, which, token, batch, head, coordinate, bits } = given;
        const { clean, dirty } = spoil(given);
        const expected = cpu.denseAttention(clean.q, clean.k, clean.v, shape, { softcap });
        const actual = cpu.denseAttention(dirty.q, dirty.k, dirty.v, shape, { softcap });
        expect(unseen(given, actual, expected)).toEqual(expected);
        // What each row of the spoilt head is then: finite where it does not see the token's number.
        const isNaN = (bits & 0x7fffffff) > 0x7f800000;
        const { queries, keys, heads, kvHeads, headDim } = shape;
        for (let row = Math.max(0, token - (keys - queries)); row < queries; row++) {
          const at = ((batch * queries + row) * heads + head * (heads / kvHeads)) * headDim;
          const finite = [...actual.subarray(at, at + headDim)].map(Number.isFinite);
          const ofV = finite.map((_, c) => coordinate !== undefined && c !== coordinate);
          // An infinite key may score −∞: then nobody reads it.
          const allowed = which === 'v' ? [ofV] : [finite.map(() => false), ...(isNaN ? [] : [finite.map(() => true)])];
          expect(allowed).toContainEqual(finite);
        }
      }),
      { numRuns: 40 },
    );
  });

  it.each(Object.entries(configs))('search and attention, and attention over a mask: %s', (_, config) => {
    fc.assert(
      fc.property(cases, (given) => {
        const { shape, token } = given;
        const { clean, dirty } = spoil(given);
        const expected = cpu.hipAttention(clean.q, clean.k, clean.v, shape, config);
        const actual = cpu.hipAttention(dirty.q, dirty.k, dirty.v, shape, config);
        // Heads that share a mask are one row's worth of sight: only rows before the token are out of it.
        const { queries, keys, heads, headDim } = shape;
        const before = Math.max(0, Math.min(queries, token - (keys - queries)));
        const size = { batch: shape.batch, width: heads * headDim };
        const overMask = cpu.blockSparseAttention(clean.q, clean.k, clean.v, shape, actual.mask);
        expect(rowsOf(actual.output, size, 0, before)).toEqual(rowsOf(overMask, size, 0, before));
        // Where rows vote, those of the token's block that have it in their windows have another vote.
        const { blockQ } = expected.mask;
        const rows = splitStages(config.stages ?? []).vote ? Math.floor(before / blockQ) * blockQ : before;
        expect(rowsOf(actual.output, size, 0, rows)).toEqual(rowsOf(expected.output, size, 0, rows));
        const blocks = Math.ceil(rows / blockQ);
        for (let cell = 0; cell < expected.mask.counts.length; cell++) {
          if (cell % expected.mask.queryBlocks >= blocks) continue;
          const [from, to] = [cell * expected.mask.capacity, (cell + 1) * expected.mask.capacity];
          expect(actual.mask.starts.subarray(from, to)).toEqual(expected.mask.starts.subarray(from, to));
        }
        const { mask } = expected;
        const over = cpu.blockSparseAttention(dirty.q, dirty.k, dirty.v, shape, mask);
        expect(unseen(given, over, expected.output)).toEqual(expected.output);
      }),
      { numRuns: 25 },
    );
  });

  it.each(['f32', 'f16'] as const)(
    'a cache of %s: prefill in chunks, decode, dense and over masks',
    (type: CacheType) => {
      fc.assert(
        fc.property(cases, fc.constantFrom(...Object.values(configs)), (given, config) => {
          const shape = { ...given.shape, queries: given.shape.keys };
          const { clean, dirty } = spoil({ ...given, shape });
          const { batch, keys, heads, kvHeads, headDim } = shape;
          const [rows, kv] = [
            { batch, width: heads * headDim },
            { batch, width: kvHeads * headDim },
          ];
          const run = (
            x: typeof clean,
            attend: (cache: KeyValueCache, q: Float32Array) => Float32Array,
          ): Float32Array[] => {
            using cache = cpu.createCache({ batch, heads, kvHeads, headDim, type, config });
            // Chunks before the token, the last of which holds it.
            const outputs: Float32Array[] = [];
            const cuts = [0, given.token >> 1, Math.max(0, given.token - 2), given.token, keys].toSorted(
              (a, b) => a - b,
            );
            for (let i = 1; i < cuts.length; i++) {
              const [from, to] = [cuts[i - 1]!, cuts[i]!];
              if (from === to) continue;
              cache.append(rowsOf(x.k, kv, from, to), rowsOf(x.v, kv, from, to));
              outputs.push(attend(cache, rowsOf(x.q, rows, from, to)));
            }
            return outputs;
          };
          const before = (outputs: Float32Array[]): Float32Array[] => outputs.slice(0, -1);
          for (const attend of [
            (cache: KeyValueCache, q: Float32Array) => cache.attendDense(q),
            (cache: KeyValueCache, q: Float32Array) => cache.attend(q).output,
            (cache: KeyValueCache, q: Float32Array) => {
              const queries = q.length / batch / heads / headDim;
              const own = { batch, queries, keys: cache.length, heads, kvHeads, headDim };
              return cache.attendMasked(q, { ...denseMask(own, true), window: 9 });
            },
          ]) {
            const [expected, actual] = [run(clean, attend), run(dirty, attend)];
            expect(before(actual)).toEqual(before(expected));
          }
          // The whole prompt from the cache at once, then the last token alone.
          const whole = (x: typeof clean): Float32Array => {
            using cache = cpu.createCache({ batch, heads, kvHeads, headDim, type, config });
            cache.append(x.k, x.v);
            return cache.attendDense(x.q);
          };
          expect(unseen({ ...given, shape }, whole(dirty), whole(clean))).toEqual(whole(clean));
          const last = (x: typeof clean): Float32Array => {
            using cache = cpu.createCache({ batch, heads, kvHeads, headDim, type, config });
            cache.append(x.k, x.v);
            const own = { batch, queries: 1, keys, heads, kvHeads, headDim };
            return cache.attendMasked(rowsOf(x.q, rows, keys - 1, keys), { ...denseMask(own, true), window: 7 });
          };
          const seen = given.token >= keys - 7;
          const mine = { ...given, shape: { ...shape, queries: 1 }, token: seen ? keys - 1 : keys };
          expect(unseen(mine, last(dirty), last(clean))).toEqual(last(clean));
        }),
        { numRuns: 16 },
      );
    },
  );

  it('few rows over long caches, whose keys are split and merged', () => {
    const shape = { batch: 1, queries: 5, keys: 4500, heads: 4, kvHeads: 2, headDim: 8 };
    for (const token of [3, 2111, 4495, 4497, 4499])
      for (const which of ['k', 'v'] as const) {
        const given = { shape, seed: 3, which, token, batch: 0, head: 1, coordinate: 2, bits: 0x7fc0_0000 };
        const { clean, dirty } = spoil(given);
        const run = ({ q, k, v }: typeof clean): Float32Array => cpu.denseAttention(q, k, v, shape);
        expect(unseen(given, run(dirty), run(clean))).toEqual(run(clean));
        const wide = { window: 4400, sink: 4, k: 32 };
        const sparse = ({ q, k, v }: typeof clean): Float32Array => cpu.hipAttention(q, k, v, shape, wide).output;
        // Earlier tokens may be chosen or not.
        const here = token > 4400 ? dirty : clean;
        expect(unseen(given, sparse(here), sparse(clean))).toEqual(sparse(clean));
      }
  });

  it('gradients: of rows before the token, of other heads, of keys that no poisoned row reads', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(undefined, 2), fc.boolean(), (given, softcap, windowed) => {
        const { shape, token, batch, head } = given;
        const { clean, dirty } = spoil(given);
        const gradient = randomTensor(clean.q.length, given.seed + 9);
        const { keys, queries, kvHeads, headDim } = shape;
        const window = windowed ? 6 : keys;
        const mask = { ...denseMask(shape, true), window };
        const run = ({ q, k, v }: typeof clean) =>
          cpu.blockSparseAttentionGradient(q, k, v, gradient, shape, mask, { softcap });
        const [expected, actual] = [run(clean), run(dirty)];
        expect(unseen(given, actual.q, expected.q)).toEqual(expected.q);
        // Rows [token, token + window) read the token; keys they read may change.
        const near = (key: number): boolean => key > Math.max(token, keys - queries) - window && key < token + window;
        for (const name of ['k', 'v'] as const) {
          const seen = actual[name].slice();
          for (let key = 0; key < keys; key++) {
            if (!near(key)) continue;
            const at = ((batch * keys + key) * kvHeads + head) * headDim;
            seen.set(expected[name].subarray(at, at + headDim), at);
          }
          expect(seen).toEqual(expected[name]);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('gradients: an output gradient that is NaN reaches the keys its row reads, no others', () => {
    const shape = { batch: 1, queries: 150, keys: 150, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, k, v } = tensors(shape, 4);
    const clean = randomTensor(q.length, 5);
    const mask = denseMask(shape, true);
    const expected = cpu.blockSparseAttentionGradient(q, k, v, clean, shape, mask);
    const dirty = clean.slice();
    dirty[70 * 16 + 3] = NaN;
    const actual = cpu.blockSparseAttentionGradient(q, k, v, dirty, shape, mask);
    expect(actual.q.subarray(0, 70 * 16)).toEqual(expected.q.subarray(0, 70 * 16));
    expect(actual.q.subarray(71 * 16)).toEqual(expected.q.subarray(71 * 16));
    for (const name of ['k', 'v'] as const) {
      expect(actual[name].subarray(71 * 8)).toEqual(expected[name].subarray(71 * 8));
      expect(actual[name].subarray(0, 71 * 8).some(Number.isNaN)).toBe(true);
    }
  });

  it('a key that is NaN scores lowest and does not hide the other keys of its chunk', () => {
    const shape = { batch: 1, queries: 1, keys: 400, heads: 1, kvHeads: 1, headDim: 8 };
    for (const config of Object.values(configs).filter(({ stages }) => stages && !splitStages(stages).vote)) {
      const { q, k } = tensors(shape, 8);
      // Key 101 is the needle; 100 and 102, in its chunk, are NaN.
      k.set(
        q.map((x) => 9 * x),
        101 * 8,
      );
      k.fill(NaN, 100 * 8, 101 * 8);
      k.fill(ODD_NAN, 102 * 8, 103 * 8);
      const { starts } = cpu.maskSearch(q, k, shape, { ...config, stages: onlyExact(config) });
      expect([...starts].some((start) => start <= 101 && 101 < start + config.blockK!)).toBe(true);
    }
  });

  it('means of large values are finite: of v, over splits, in float16, of averaged rows', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(1e38, 3e38, 3.4028234663852886e38), ({ shape, seed }, size) => {
        const { q, k, v } = tensors(shape, seed);
        const sign = (x: number): number => (x < -0.9 ? -1 : 1);
        const large = v.map((x) => sign(x) * size);
        const scaled = v.map((x) => sign(x));
        const check = (actual: Float32Array, expected: Float64Array): void => {
          expect(actual.every(Number.isFinite)).toBe(true);
          expect(Float64Array.from(actual, (x) => x / size)).toBeAllclose(expected, TOLERANCE);
        };
        check(cpu.denseAttention(q, k, large, shape), denseAttention(q, k, scaled, shape));
        const { output, mask } = cpu.hipAttention(q, k, large, shape, configs['tree']);
        check(output, blockSparseAttention(q, k, scaled, shape, mask));
      }),
      { numRuns: 25 },
    );
    const long = { batch: 1, queries: 3, keys: 5000, heads: 2, kvHeads: 1, headDim: 6 };
    const { q, k } = tensors(long, 1);
    const most = Math.fround(3.4028234663852886e38);
    const same = cpu.denseAttention(q, k, new Float32Array(k.length).fill(most), long);
    expect(same.every((x) => x > 3.4e38 && x <= most)).toBe(true);
    using cache = cpu.createCache({ ...long, type: 'f16' });
    cache.append(k, new Float32Array(k.length).fill(65504));
    expect(cache.attendDense(q)).toBeAllclose(new Float64Array(q.length).fill(65504), TOLERANCE);
  });

  it('rows are averaged without overflow: the mask is that of the same rows, smaller', () => {
    const shape = { batch: 1, queries: 128, keys: 300, heads: 2, kvHeads: 1, headDim: 8 };
    const config = { ...configs['bound and exact stages'], window: 64 };
    const { q, k } = tensors(shape, 12);
    const power = 2 ** 126;
    const small = k.map((x) => x / 2 ** 20);
    const large = cpu.maskSearch(
      q.map((x) => x * 3 * power),
      small,
      shape,
      config,
    );
    expect(large.starts).toEqual(
      cpu.maskSearch(
        q.map((x) => x * 3),
        small,
        shape,
        config,
      ).starts,
    );
    expect(large.counts).toEqual(searchBlockMask(q, k, shape, config).counts);
  });

  it('scores far below zero count: a row whose keys all score −10³⁵ has the mean of the best', () => {
    const shape = { batch: 1, queries: 1, keys: 3, heads: 1, kvHeads: 1, headDim: 1 };
    const out = cpu.denseAttention(
      Float32Array.of(-1e20),
      Float32Array.of(2e15, 1e15, 1e15),
      Float32Array.of(1, 2, 4),
      shape,
    );
    expect([...out]).toEqual([3]);
  });
});

/** The stages with exact scores: a local binary search need not meet the needle. */
function onlyExact({ stages }: Partial<HipConfig>): HipConfig['stages'] {
  return splitStages(stages!).scored.map((stage) => ({ ...stage, score: 'exact' as const }));
}

describe('a float16 cache', async () => {
  const cpu = await createCpuRuntime({ threads: 1 });
  afterAll(() => cpu.close());
  const stored = (values: Float32Array): Float32Array => {
    using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: values.length, type: 'f16' });
    cache.append(new Float32Array(values.length), values);
    return cache.attendDense(new Float32Array(values.length));
  };

  it('holds what IEEE 754 makes of any float', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1, maxLength: 40 }), (list) => {
        const values = Float32Array.from(list);
        // The output is 1·v + 0, which has no −0.
        expect(stored(values)).toEqual(values.map((x) => Math.f16round(x) + 0));
      }),
      { numRuns: 200 },
    );
    const edges = Float32Array.of(
      NaN,
      ODD_NAN,
      Infinity,
      -Infinity,
      65504,
      65519.996,
      65520,
      -65520,
      1e9,
      -1e38,
      2 ** -25,
    );
    expect(stored(edges)).toEqual(edges.map((x) => Math.f16round(x) + 0));
  });

  it('holds every half, and the midpoints between', () => {
    const halves = new Float16Array(Uint16Array.from({ length: 1 << 16 }, (_, i) => i).buffer);
    const values = Float32Array.from(halves, (x, i) => (i % 2 === 0 ? x : x + (halves[i ^ 1]! - x) / 2));
    for (let at = 0; at < values.length; at += 2048) {
      const part = values.subarray(at, at + 2048);
      expect(stored(part)).toEqual(part.map((x) => Math.f16round(x) + 0));
    }
  });
});

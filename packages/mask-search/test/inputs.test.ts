// What callers get wrong: numbers that are none, shapes that do not fit, configurations that cannot run.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  blockSparseAttention,
  blockSparseAttentionGradient,
  BOUND_CONFIG,
  DEFAULT_CONFIG,
  denseAttention,
  denseMask,
  emptyMask,
  exactTopKMask,
  HipError,
  INFINITE_HIP_CONFIG,
  layerConfig,
  massRecall,
  nearestName,
  PAPER_CONFIG,
  resolveConfig,
  rotaryTables,
  rotateVector,
  searchBlockMask,
  searchKeysOfQuery,
  topKRecall,
  worstRowError,
  type HipConfig,
} from '../src/index.ts';
import { tensorsOf } from './support.ts';

const shape = { batch: 1, queries: 4, keys: 6, heads: 2, kvHeads: 1, headDim: 3 };
const mask = denseMask(shape, true);

/** Every function that takes tensors, and which it takes. */
const calls = {
  searchBlockMask: { takes: ['q', 'k'], run: (q, k) => searchBlockMask(q, k, shape) },
  exactTopKMask: { takes: ['q', 'k'], run: (q, k) => exactTopKMask(q, k, shape) },
  massRecall: { takes: ['q', 'k'], run: (q, k) => massRecall(q, k, shape, mask) },
  topKRecall: { takes: ['q', 'k'], run: (q, k) => topKRecall(q, k, shape, mask, { k: 2 }) },
  denseAttention: { takes: ['q', 'k', 'v'], run: (q, k, v) => denseAttention(q, k, v, shape) },
  blockSparseAttention: { takes: ['q', 'k', 'v'], run: (q, k, v) => blockSparseAttention(q, k, v, shape, mask) },
  blockSparseAttentionGradient: {
    takes: ['q', 'k', 'v'],
    run: (q, k, v) => blockSparseAttentionGradient(q, k, v, q, shape, mask),
  },
} satisfies Record<
  string,
  { takes: readonly ('q' | 'k' | 'v')[]; run: (q: Float32Array, k: Float32Array, v: Float32Array) => unknown }
>;

function tensors32(): Record<'q' | 'k' | 'v', Float32Array> {
  const { q, k, v } = tensorsOf(shape, 1);
  return { q: Float32Array.from(q), k: Float32Array.from(k), v: Float32Array.from(v) };
}

it('the papers’ parameters are theirs', () => {
  expect(PAPER_CONFIG).toMatchObject({ k: 512, blockQ: 64, blockK: 2, strideQ: 2, strideK: 1, window: 256, sink: 16 });
  expect(PAPER_CONFIG).toMatchObject({ refreshInterval: 8, denseLayers: 3, representative: 'center' });
  expect(PAPER_CONFIG.stages).toBeUndefined();
  expect(INFINITE_HIP_CONFIG).toMatchObject({ k: 2048, kPerLayer: [4096, 4096, 4096], blockQ: 64 });
  expect(INFINITE_HIP_CONFIG).toMatchObject({ window: 1024, sink: 256 });
  const stages = INFINITE_HIP_CONFIG.stages!;
  expect(stages.map(({ chunk, keep, strideQ, refresh }) => [chunk, keep, strideQ, refresh])).toEqual([
    [256, 32768, 4, 16],
    [32, 8192, 4, 8],
    [8, 2048, 1, 4],
  ]);
});

it.each([
  [null, 'config is null'],
  [7, 'config is 7'],
  [{ stages: 5 }, 'stages is 5: give a list of stages'],
  [{ kPerLayer: 64 }, 'kPerLayer is 64'],
  [{ stages: [null] }, 'stages[0] is null'],
  [{ stages: undefined, ensemble: 3 }, 'ensemble is 3'],
  [{ stages: undefined, ensemble: { members: 2, rounds: [1] } }, 'ensemble.rounds is [1]'],
  [{ stages: undefined, ensemble: { members: 2, rounds: [4, 1] } }, 'ensemble.rounds is [4,1]'],
])('a configuration of another form, %j', (config, message) => {
  expect(() => resolveConfig(config as Partial<HipConfig>)).toThrow(
    expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(message) as string }),
  );
});

describe('fields that nothing reads', () => {
  const stages = DEFAULT_CONFIG.stages!;
  it.each<[object, string]>([
    [{ windw: 32 }, 'config.windw is 32: there is no such field (did you mean window?); those there are: k, '],
    [
      { stages: [stages[0], { ...stages[1], stride: 2 }, stages[2]] },
      'stages[1].stride is 2: there is no such field (did you mean strideQ?); those there are: chunk, keep, ',
    ],
    [{ stages: [{ ...stages[2], topK: 4 }] }, 'stages[0].topK is 4: there is no such field; those there are: chunk, '],
    [
      { remainder: { Block: 64 } },
      'remainder.Block is 64: there is no such field (did you mean block?); those there are: block, most, tail',
    ],
    [
      { stages: undefined, ensemble: { members: 2, vote: 1 } },
      'ensemble.vote is 1: there is no such field (did you mean votes?); those there are: members, ',
    ],
    [
      { layers: [{}, { remainder: { mots: 16 } }] },
      'layers[1]: remainder.mots is 16: there is no such field (did you mean most?)',
    ],
    [{ layers: [{ desne: true }] }, 'layers[0].desne is true: there is no such field (did you mean dense?)'],
  ])('%j', (config, message) => {
    expect(() => resolveConfig(config)).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(message) as string }),
    );
  });

  it('that are undefined are as if they were not there', () => {
    const given: object = { remainder: { block: 32, blok: undefined }, layers: [{ kay: undefined }] };
    expect(resolveConfig(given).remainder).toEqual({ block: 32, most: 32, tail: 'drop' });
  });
});

it.each([
  ['temprature', 'temperature'],
  ['contxet', 'context'],
  ['WINDOW', 'window'],
  ['kk', 'k'],
  ['yes', undefined],
  ['sequence', undefined],
])('the name meant by %s is %s', (name, meant) => {
  expect(nearestName(name, ['k', 'window', 'context', 'temperature'])).toBe(meant);
  expect(nearestName(name, [])).toBeUndefined();
});

describe('float32 tensors', () => {
  it('with NaN or ±Infinity anywhere are rejected by every function, naming the place', () => {
    const bad = fc.constantFrom(NaN, Infinity, -Infinity);
    const names = fc.constantFrom(...(Object.keys(calls) as (keyof typeof calls)[]));
    fc.assert(
      fc.property(names, bad, fc.nat(), fc.nat(), (name, value, which, place) => {
        const { takes, run } = calls[name];
        const tensors = tensors32();
        const tensor = takes[which % takes.length]!;
        const index = place % tensors[tensor].length;
        tensors[tensor][index] = value;
        const error = thrown(() => run(tensors.q, tensors.k, tensors.v));
        expect(error.code).toBe('non-finite');
        expect(error.details).toMatchObject({ name: tensor, index });
        expect(error.message).toContain(`${tensor}[${index}]`);
      }),
      { numRuns: 200 },
    );
  });

  it('of another length than their shape’s are rejected by every function', () => {
    for (const { takes, run } of Object.values(calls)) {
      for (const name of takes) {
        const tensors = { ...tensors32(), [name]: new Float32Array(5) };
        expect(thrown(() => run(tensors.q, tensors.k, tensors.v)).code).toBe('invalid-shape');
      }
    }
  });

  it('give what the same numbers in float64 give', () => {
    const { q, k, v } = tensors32();
    expect(denseAttention(q, k, v, shape)).toEqual(
      denseAttention(Float64Array.from(q), Float64Array.from(k), Float64Array.from(v), shape),
    );
  });
});

describe('shapes and options', () => {
  const { q, k, v } = tensorsOf(shape, 1);
  const wrong: Record<string, readonly [HipError['code'], () => unknown]> = {
    'no keys': ['invalid-shape', () => denseAttention(q, k, v, { ...shape, keys: 0 })],
    'heads that are no multiple of kvHeads': [
      'invalid-shape',
      () => denseAttention(q, k, v, { ...shape, heads: 3, kvHeads: 2 }),
    ],
    'half a query': ['invalid-shape', () => searchBlockMask(q, k, { ...shape, queries: 4.5 })],
    'too few positions': ['invalid-shape', () => searchBlockMask(q, k, shape, { positions: [1] })],
    'positions that go back': ['invalid-shape', () => denseAttention(q, k, v, shape, { positions: [0, 2, 1, 3] })],
    'a bias of another size': ['invalid-shape', () => denseAttention(q, k, v, shape, { bias: new Float64Array(3) })],
    'a bias of NaN': ['non-finite', () => denseAttention(q, k, v, shape, { bias: new Float64Array(24).fill(NaN) })],
    'a negative scale': ['invalid-config', () => denseAttention(q, k, v, shape, { scale: -1 })],
    'a soft-cap of 0': ['invalid-config', () => blockSparseAttention(q, k, v, shape, mask, { softcap: 0 })],
    'a mask of another call': [
      'invalid-shape',
      () => blockSparseAttention(q, k, v, shape, denseMask({ ...shape, keys: 7 }, true)),
    ],
    'a mask of other heads': [
      'invalid-shape',
      () => blockSparseAttention(q, k, v, shape, searchBlockMask(new Float64Array(48), k, { ...shape, heads: 4 })),
    ],
    'a mask with a window of NaN': [
      'invalid-mask',
      () => blockSparseAttention(q, k, v, shape, { ...mask, window: NaN }),
    ],
    'a mask with an endless window': [
      'invalid-mask',
      () => blockSparseAttention(q, k, v, shape, { ...mask, window: Infinity }),
    ],
    'a mask with a negative sink': ['invalid-mask', () => blockSparseAttention(q, k, v, shape, { ...mask, sink: -1 })],
    'a mask of empty blocks': ['invalid-mask', () => blockSparseAttention(q, k, v, shape, { ...mask, blockK: 0 })],
    'a mask that no memory holds': [
      'out-of-memory',
      () => emptyMask({ ...shape, queries: 2 ** 20 }, { ...PAPER_CONFIG, blockQ: 1 }, 2 ** 30),
    ],
    'a row that is not there': ['invalid-shape', () => massRecall(q, k, shape, mask, { rows: [0, 4] })],
    'half a row': ['invalid-shape', () => topKRecall(q, k, shape, mask, { k: 1, rows: [0.5] })],
    'the best no keys': ['invalid-config', () => topKRecall(q, k, shape, mask, { k: 0 })],
    'rows of a negative dimension': ['invalid-shape', () => worstRowError(q, q, -3)],
    'half a key to keep': ['invalid-shape', () => searchKeysOfQuery(q, k, { visible: 1, k: 0.5 + 1 })],
    'half a position': ['invalid-shape', () => rotateVector(q, 0, 2, 0.5, rotaryTables(4, 2), new Float64Array(2), 0)],
  };
  for (const [name, [code, run]] of Object.entries(wrong)) {
    it(`${name}: ${code}`, () => expect(thrown(run).code).toBe(code));
  }
});

describe('resolveConfig', () => {
  const stage = { chunk: 16, keep: 512, strideQ: 1, rows: 'max', score: 'exact' } as const;
  const wrong: Record<string, readonly [string, Partial<HipConfig>]> = {
    'no keys': ['k', { k: 0, stages: undefined }],
    'half a block': ['blockQ', { blockQ: 0.5 }],
    'a negative window': ['window', { window: -1 }],
    'a refresh every 0 steps': ['refreshInterval', { refreshInterval: 0 }],
    'no stage': ['stages', { stages: [] }],
    'a stage that keeps part of a chunk': ['stages', { stages: [{ ...stage, keep: 500 }] }],
    'stages that do not nest': ['stages', { stages: [{ ...stage, chunk: 24, keep: 528 }, stage] }],
    'a stage that keeps more than the one before': ['stages', { stages: [stage, { ...stage, keep: 1024 }], k: 1024 }],
    'a stage with a refresh of 0': ['stages', { stages: [{ ...stage, refresh: 0 }] }],
    'a last stage of other blocks': ['blockK', { stages: [stage], blockK: 8 }],
    'a last stage of another k': ['k', { stages: [stage], k: 256 }],
    'a summary of the future': ['window', { stages: [{ ...stage, score: 'bound' }], window: 8 }],
    'an ensemble of stages': ['ensemble', { ensemble: { members: 2 } }],
    'an ensemble of nobody': ['ensemble', { stages: undefined, ensemble: { members: 0 } }],
    'more votes than members': ['ensemble', { stages: undefined, ensemble: { members: 2, votes: 3 } }],
    'a layer without keys': ['kPerLayer', { kPerLayer: [512, 0] }],
    'a window beyond 32 bits': ['window', { window: 2 ** 32 }],
    'a stride beyond 32 bits': ['strideQ', { stages: [{ ...stage, strideQ: 2 ** 32 }] }],
    'causality in words': ['causal', { causal: 'false' as unknown as boolean }],
    'another spelling of the centre': ['representative', { representative: 'centre' as 'center' }],
    'rows that are neither max nor mean': ['rows', { stages: [{ ...stage, rows: 'median' as 'mean' }] }],
    'a score that is none': ['score', { stages: [{ ...stage, score: 'best' as 'exact' }] }],
  };
  for (const [name, [field, config]] of Object.entries(wrong)) {
    it(`${name}: names ${field}`, () => {
      const error = thrown(() => resolveConfig(config));
      expect(error.code).toBe('invalid-config');
      expect([error.details['name'], error.message].join(' ')).toContain(field);
    });
  }

  it('accepts the stock configurations, and adapts the default’s stages to k', () => {
    for (const config of [DEFAULT_CONFIG, BOUND_CONFIG, PAPER_CONFIG, INFINITE_HIP_CONFIG])
      expect(resolveConfig(config)).toEqual(config);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (n) => {
        expect(resolveConfig({ k: 16 * n }).stages!.at(-1)!.keep).toBe(16 * n);
      }),
    );
  });

  it('takes undefined for absent, but for stages, where it asks for the tree', () => {
    const absent = { causal: undefined, window: undefined } as unknown as Partial<HipConfig>;
    const tree = resolveConfig({ ...absent, stages: undefined });
    // The remainder is the default's, and goes with its stages.
    expect(tree).toEqual({ ...DEFAULT_CONFIG, stages: undefined, remainder: undefined });
    const { remainder } = DEFAULT_CONFIG;
    expect(resolveConfig({ stages: undefined, remainder }).remainder).toEqual(remainder);
  });

  it('gives each layer its own', () => {
    expect([0, 1, 2].map((layer) => (layerConfig({}, layer) === 'dense' ? 'dense' : 'hip'))).toEqual([
      'dense',
      'dense',
      'hip',
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 0, max: 3 }), (blocks, layer) => {
        const config = layerConfig({ ...INFINITE_HIP_CONFIG, kPerLayer: [8 * blocks] }, layer);
        expect(config === 'dense' ? 0 : config.k).toBe(layer === 0 ? 8 * blocks : 2048);
      }),
    );
    const tree = layerConfig({ ...PAPER_CONFIG, denseLayers: 0, kPerLayer: [100] }, 0);
    expect(tree).toMatchObject({ k: 100, stages: undefined });
  });
});

function thrown(run: () => unknown): HipError {
  try {
    run();
  } catch (error) {
    if (error instanceof HipError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

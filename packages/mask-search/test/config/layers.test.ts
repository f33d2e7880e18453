// Profiles: what a layer does differently, what a dense layer does beyond a length, what kernels refuse.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  BOUND_CONFIG,
  decodeConfig,
  DEFAULT_CONFIG,
  INFINITE_HIP_CONFIG,
  layerConfig,
  PAPER_CONFIG,
  resolveConfig,
  withCandidates,
  type HipConfig,
  type LayerOverride,
} from '../../src/index.ts';

function sparse(config: HipConfig | 'dense'): HipConfig {
  if (config === 'dense') throw new Error('the layer is dense');
  return config;
}

const overrides = fc.record(
  {
    dense: fc.boolean(),
    k: fc.integer({ min: 1, max: 600 }).map((blocks) => 4 * blocks),
    kPerHead: fc.array(
      fc.integer({ min: 0, max: 200 }).map((blocks) => 4 * blocks),
      { minLength: 1, maxLength: 8 },
    ),
    remainder: fc.oneof(fc.constant(false as const), fc.record({ block: fc.integer({ min: 1, max: 512 }) })),
    candidates: fc.integer({ min: 200, max: 400 }).map((chunks) => 16 * chunks),
  },
  { requiredKeys: [] },
);

describe('a profile', () => {
  it('survives JSON, and gives each layer what it says of it and the rest as it is', () => {
    fc.assert(
      fc.property(fc.array(overrides, { maxLength: 5 }), (layers: LayerOverride[]) => {
        const config = { ...DEFAULT_CONFIG, denseLayers: 1, layers };
        const read = JSON.parse(JSON.stringify({ layers })) as { layers: LayerOverride[] };
        for (let layer = 0; layer < layers.length + 2; layer++) {
          const override = layers[layer] ?? {};
          const found = layerConfig(config, layer);
          expect(layerConfig({ ...config, ...read }, layer)).toEqual(found);
          expect(found === 'dense').toBe(override.dense ?? layer < 1);
          if (found === 'dense') continue;
          const { k, kPerHead, stages, remainder } = found;
          const mean = (override.kPerHead ?? []).reduce((sum, x) => sum + x, 0) / (override.kPerHead?.length ?? 1);
          expect(k).toBe(override.k ?? (override.kPerHead ? Math.max(2, 2 * Math.ceil(mean / 2)) : 320));
          expect(kPerHead).toEqual(override.kPerHead);
          expect(stages![1]!.keep).toBe(
            override.candidates ?? Math.max(1536, ...[...(kPerHead ?? []), k].map((x) => 16 * Math.ceil(x / 16))),
          );
          expect(remainder?.block).toBe(override.remainder === false ? undefined : (override.remainder?.block ?? 64));
          expect(found.layers ?? found.kPerLayer).toBeUndefined();
        }
      }),
      { numRuns: 100 },
    );
  });

  it('wins over kPerLayer and the first dense layers', () => {
    const config = {
      ...BOUND_CONFIG,
      denseLayers: 1,
      kPerLayer: [128, 256, 64],
      layers: [{ dense: false }, { k: 32 }, {}],
    };
    expect([0, 1, 2, 3].map((layer) => sparse(layerConfig(config, layer)).k)).toEqual([128, 32, 64, 512]);
    const budgets = { ...DEFAULT_CONFIG, denseLayers: 0, kPerHead: [64, 128], layers: [{ k: 96 }] };
    expect([0, 1].map((layer) => sparse(layerConfig(budgets, layer)).kPerHead)).toEqual([undefined, [64, 128]]);
  });

  it.each([
    [{ layers: 3 }, 'layers is 3'],
    [{ layers: [{}, null] }, 'layers[1] is null'],
    [{ layers: [{ dense: 1 }] }, 'layers[0].dense is 1'],
    [{ layers: [{ k: 2.5 }] }, 'layers[0].k is 2.5'],
    [{ layers: [{ k: 7 }] }, 'layers[0]: stages[2].keep is 7'],
    [{ layers: [{ kPerHead: 64 }] }, 'layers[0].kPerHead is 64'],
    [{ layers: [{ kPerHead: [7] }] }, 'layers[0]: kPerHead[0] is 7'],
    [{ layers: [{ kPerHead: [512], candidates: 256 }] }, 'layers[0]: stages[2].keep is 512: give at most'],
    [{ layers: [{ candidates: 100 }] }, 'layers[0]: stages[1].keep is 100'],
    [{ layers: [{ candidates: 512 }], stages: undefined }, 'layers[0].candidates is 512'],
    [{ layers: [{ remainder: { block: 0 } }] }, 'remainder.block is 0'],
    [{ denseTokens: 0 }, 'denseTokens is 0'],
    [{ kDense: -1 }, 'kDense is -1'],
  ])('that is none, %j', (config, message) => {
    expect(() => resolveConfig(config as Partial<HipConfig>, DEFAULT_CONFIG)).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(message) as string }),
    );
  });
});

describe('a dense layer', () => {
  it('takes HiP with more keys and no remainder where more than denseTokens are visible', () => {
    expect(layerConfig(DEFAULT_CONFIG, 0)).toBe('dense');
    expect(layerConfig(DEFAULT_CONFIG, 0, 32_768)).toBe('dense');
    const long = sparse(layerConfig({ ...DEFAULT_CONFIG, kPerHead: [4, 8] }, 1, 32_769));
    expect(long).toMatchObject({ k: 1280, blockK: 2, remainder: undefined });
    expect(long.kPerHead).toBeUndefined();
    expect(long.stages!.map(({ keep }) => keep)).toEqual([4096, 1536, 1280]);
    expect(sparse(layerConfig({ ...DEFAULT_CONFIG, kDense: 2048 }, 0, 40_000)).stages!.map(({ keep }) => keep)).toEqual(
      [4096, 2048, 2048],
    );
    const named = { ...DEFAULT_CONFIG, layers: [{}, {}, { dense: true }] };
    expect(sparse(layerConfig(named, 2, 40_000)).k).toBe(1280);
    expect(sparse(layerConfig(DEFAULT_CONFIG, 2, 40_000))).toMatchObject({
      k: 320,
      remainder: { block: 64, most: 32 },
    });
    expect(layerConfig(PAPER_CONFIG, 0, 1 << 20)).toBe('dense');
  });
});

describe('the configuration with a vote', () => {
  it('adapts its stages to another budget and block, as the default does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(1, 2, 4, 8, 16), (n, blockK) => {
        const k = n * blockK;
        const { stages } = resolveConfig({ k, blockK }, DEFAULT_CONFIG);
        expect(stages!.at(-1)).toEqual({ ...DEFAULT_CONFIG.stages!.at(-1), chunk: blockK, keep: k });
      }),
    );
    expect(resolveConfig({}, DEFAULT_CONFIG)).toEqual(DEFAULT_CONFIG);
    const off = resolveConfig({ remainder: undefined, denseTokens: undefined }, DEFAULT_CONFIG);
    expect([off.remainder, off.denseTokens]).toEqual([undefined, undefined]);
    for (const config of [PAPER_CONFIG, INFINITE_HIP_CONFIG])
      expect(resolveConfig(config, DEFAULT_CONFIG)).toEqual(config);
    expect(resolveConfig({ remainder: {} }).remainder).toEqual({ block: 64, most: 32, tail: 'drop' });
  });

  it('decodes with its candidates; others with what they select', () => {
    const { k, blockK, stages, remainder, kPerHead } = decodeConfig({
      ...DEFAULT_CONFIG,
      decodeKeys: 'candidates',
      kPerHead: [4],
    });
    expect([k, blockK, stages!.length, kPerHead]).toEqual([1536, 16, 2, undefined]);
    expect(remainder).toEqual(DEFAULT_CONFIG.remainder);
    expect(resolveConfig(decodeConfig(DEFAULT_CONFIG))).toEqual({
      ...decodeConfig(DEFAULT_CONFIG),
      kPerHead: undefined,
    });
    const selected: HipConfig = { ...DEFAULT_CONFIG, decodeKeys: 'selected' };
    for (const config of [selected, PAPER_CONFIG, { ...INFINITE_HIP_CONFIG, decodeKeys: 'candidates' as const }])
      expect(decodeConfig(config)).toBe(config);
  });

  it('with other candidates keeps at least as many before them', () => {
    const keeps = (candidates: number): number[] =>
      withCandidates(DEFAULT_CONFIG.stages!, candidates).map(({ keep }) => keep);
    expect(keeps(1024)).toEqual([4096, 1024, 320]);
    expect(keeps(8192)).toEqual([8192, 8192, 320]);
  });
});

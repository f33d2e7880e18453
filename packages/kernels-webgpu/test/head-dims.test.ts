// Every head dimension from 8 to 512 in steps of 8 is planned within the smallest limits; a choice of them runs, on every tier.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { PAPER_CONFIG, blockSparseAttention, denseAttention, resolveConfig } from '@hip/mask-search';
import { BOUNDS } from './support/bounds.ts';
import { encodeAttention, type AttentionOptions } from '../src/attention/dispatch.ts';
import { uploadMask } from '../src/attention/mask.ts';
import { planAttention } from '../src/attention/plan.ts';
import { tileWorkgroupBytes } from '../src/attention/tile-parts.ts';
import { matrixWorkgroupBytes } from '../src/attention/variants.ts';
import { encodeDecode } from '../src/decode/decode.ts';
import { planDecode } from '../src/decode/plan.ts';
import { DEFAULT_LIMITS } from '../src/device/limits.ts';
import { GpuCall } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { planSearch } from '../src/search/plan.ts';
import { randomMask, randomTensors, roundToHalf } from './support/cases.ts';
import { emulatedMatrices } from './support/emulated-matrices.ts';
import { runSearch } from './support/search-cases.ts';

const ALL = Array.from({ length: 64 }, (_, i) => 8 * (i + 1));
const timestamps = false;
const PROFILES = [
  { tier: 'basic', shaderF16: false, subgroupMinSize: 1, subgroupMaxSize: 1, timestamps },
  { tier: 'subgroups', shaderF16: false, subgroupMinSize: 4, subgroupMaxSize: 64, timestamps },
  { tier: 'subgroup-matrix', shaderF16: true, subgroupMinSize: 32, subgroupMaxSize: 32, timestamps },
] as const;

describe('head dimensions, planned', () => {
  it.each(PROFILES)('$tier: attention, decode and search fit 16 KiB of workgroup memory', (profile) => {
    const memory = DEFAULT_LIMITS.maxComputeWorkgroupStorageSize;
    for (const headDim of ALL)
      for (const type of ['f32', 'f16'] as const) {
        const shape = { batch: 1, queries: 128, keys: 2048, heads: 8, kvHeads: 1, headDim };
        const { variant } = planAttention({ shape, type }, profile, DEFAULT_LIMITS);
        const bytes = variant.kind === 'tile' ? tileWorkgroupBytes(variant) : matrixWorkgroupBytes(variant, headDim);
        expect(bytes).toBeLessThanOrEqual(memory);
        expect(variant.kind === 'matrix').toBe(
          profile.tier === 'subgroup-matrix' && type === 'f16' && headDim % 16 === 0 && headDim <= 256,
        );
        for (const config of [BOUNDS, PAPER_CONFIG])
          planSearch({ shape, type, config, profile, limits: DEFAULT_LIMITS });
        expect(
          planDecode({ shape: { ...shape, queries: 1 }, type, limits: DEFAULT_LIMITS, sharedKeys: true }).splits,
        ).toBeGreaterThan(0);
      }
  });
});

describeGpu('head dimensions', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' }));
  });
  afterAll(() => context.device.destroy());

  const TOLERANCE = { f32: { rtol: 2e-5, atol: 5e-6 }, f16: { rtol: 1.5e-3, atol: 1e-3 } } as const;
  const matrices = (): AttentionOptions => {
    const lanes = context.profile.subgroupMaxSize;
    return {
      variant: { kind: 'matrix', subgroups: 1, lanes, keys: 16, prefetch: true },
      matrices: () => emulatedMatrices(lanes),
    };
  };

  // Compiling is what takes a software GPU seconds: each dimension has one tier, one storage, and both, sparse and dense, in turn.
  const runs = [
    [8, 'basic', 'f32', 'sparse'],
    [16, 'subgroups', 'f16', 'sparse'],
    [24, 'basic', 'f16', 'dense'],
    [40, 'subgroups', 'f32', 'sparse'],
    [72, 'basic', 'f16', 'sparse'],
    [112, 'subgroups', 'f32', 'dense'],
    [200, 'basic', 'f32', 'sparse'],
    [512, 'subgroups', 'f16', 'sparse'],
    [16, 'matrices', 'f16', 'sparse'],
  ] as const;
  it.each(runs)('%i: attention, %s, %s, %s', async (headDim, tier, type, kind) => {
    const shape = { batch: 1, queries: 16, keys: 37, heads: 1, kvHeads: 1, headDim };
    const values = randomTensors(shape, headDim);
    const [q, k, v] = [values.q, values.k, values.v].map((x) => (type === 'f16' ? roundToHalf(x) : x)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const mask = kind === 'sparse' ? maskFor(shape) : undefined;
    const out = emptyTensor({ context, type, length: q.length });
    const tensors = {
      q: uploadTensor(context, q, type),
      k: uploadTensor(context, k, type),
      v: uploadTensor(context, v, type),
      out,
    };
    const call = new GpuCall(context);
    encodeAttention(
      call,
      tensors,
      shape,
      mask && uploadMask(context, mask),
      tier === 'matrices' ? matrices() : { tier },
    );
    call.submit();
    const expected = mask ? blockSparseAttention(q, k, v, shape, mask) : denseAttention(q, k, v, shape);
    expect(await readTensor(context, out)).toBeAllclose(expected, TOLERANCE[type]);
  });

  const maskFor = (shape: {
    batch: number;
    queries: number;
    keys: number;
    heads: number;
    kvHeads: number;
    headDim: number;
  }) =>
    randomMask(shape, { blockQ: 16, blockK: 4, capacity: 4, sink: 3, window: 9, causal: true, shared: false, seed: 3 });

  it.each([
    [8, 'f32'],
    [40, 'f16'],
    [72, 'f32'],
    [512, 'f16'],
  ] as const)('%i: decode, %s', async (headDim, type) => {
    const shape = { batch: 1, queries: 2, keys: 150, heads: 2, kvHeads: 1, headDim };
    const values = randomTensors(shape, headDim);
    const [q, k, v] = [values.q, values.k, values.v].map((x) => (type === 'f16' ? roundToHalf(x) : x)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const mask = maskFor(shape);
    const out = emptyTensor({ context, type, length: q.length });
    const tensors = {
      q: uploadTensor(context, q, type),
      k: uploadTensor(context, k, type),
      v: uploadTensor(context, v, type),
      out,
    };
    const call = new GpuCall(context);
    encodeDecode(call, tensors, shape, uploadMask(context, mask));
    call.submit();
    expect(await readTensor(context, out)).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), TOLERANCE[type]);
  });

  it.each([
    [40, 'f16', 'stages'],
    [72, 'f32', 'tree'],
    [512, 'f16', 'stages'],
    [512, 'f32', 'tree'],
  ] as const)('%i: search, %s, %s', async (headDim, type, kind) => {
    const stages = [
      { chunk: 16, keep: 64, strideQ: 4, rows: 'mean', score: 'bound' },
      { chunk: 4, keep: 16, strideQ: 4, rows: 'max', score: 'exact' },
    ] as const;
    const config = resolveConfig({
      k: 16,
      blockK: 4,
      blockQ: 16,
      window: 16,
      sink: 3,
      stages: kind === 'stages' ? stages : undefined,
    });
    const shape = { batch: 1, queries: 20, keys: 200, heads: 2, kvHeads: 1, headDim };
    const { actual, expected } = await runSearch(context, { shape, config, type, seed: headDim });
    expect([...actual.starts]).toEqual([...expected.starts]);
  });
});

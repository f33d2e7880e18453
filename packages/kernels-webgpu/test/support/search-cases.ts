// Random searches whose scores are exact in float32 (small integers), so that GPU masks must equal the reference's bit for bit.
import * as fc from 'fast-check';
import {
  maskLayout,
  searchBlockMask,
  resolveConfig,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type MaskLayout,
  type ScoreOptions,
  type SearchStage,
} from '@hip/mask-search';
import { allocateMask, destroyMask, readMask } from '../../src/attention/mask.ts';
import type { DeviceProfile, ElementType } from '../../src/device/features.ts';
import type { DeviceLimits } from '../../src/device/limits.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import type { GpuContext } from '../../src/dispatch/context.ts';
import { uploadTensor } from '../../src/dispatch/tensor.ts';
import { capacityOf, planSearch, type SearchPlan, type SearchTuning } from '../../src/search/plan.ts';
import { encodeSearch } from '../../src/search/search.ts';
import { randomValues } from './cases.ts';

/** Means of up to 8 such numbers are integers, and all are exact in f16. */
const MEAN_FACTOR = 840;

/** Integers −3 … 3. Ties are frequent. */
export function integers(length: number, seed: number, factor = 1): Float32Array {
  return randomValues(length, seed).map((x) => Math.round(x * 3) * factor);
}

export interface SearchCase {
  readonly shape: AttentionShape;
  readonly config: HipConfig;
  readonly type: ElementType;
  readonly seed: number;
  /** Of the attention, for stages that vote. */
  readonly score?: ScoreOptions;
  /** q and k instead of integers. */
  readonly values?: { readonly q: Float32Array; readonly k: Float32Array };
}

/** q and k of a case. */
export function searchTensors({ shape, seed }: Pick<SearchCase, 'shape' | 'seed'>): {
  q: Float32Array;
  k: Float32Array;
} {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return {
    q: integers(batch * queries * heads * headDim, seed, MEAN_FACTOR),
    k: integers(batch * keys * kvHeads * headDim, seed + 1),
  };
}

export interface SearchRun {
  readonly expected: BlockMask;
  readonly actual: BlockMask;
  readonly plan: SearchPlan;
}

/** The shape of an empty mask. */
export function maskOf(shape: AttentionShape, config: HipConfig): MaskLayout {
  return maskLayout(shape, config, capacityOf(config));
}

/** Searches on the GPU and in the reference. */
export async function runSearch(
  context: GpuContext,
  { shape, config, type, seed, score, values }: SearchCase,
  {
    profile = context.profile,
    limits = context.limits,
    scratchBytes,
    tuning,
    rewrite = (code) => code,
  }: {
    profile?: DeviceProfile;
    limits?: DeviceLimits;
    scratchBytes?: number;
    tuning?: SearchTuning;
    rewrite?: (code: string) => string;
  } = {},
): Promise<SearchRun> {
  const { q, k } = values ?? searchTensors({ shape, seed });
  const made = planSearch({ shape, config, type, profile, limits, scratchBytes, tuning, score });
  const plan = {
    ...made,
    slabs: made.slabs.map((slab) => ({
      ...slab,
      passes: slab.passes.map((pass) => ({ ...pass, code: rewrite(pass.code) })),
    })),
  };
  const mask = allocateMask(context, maskOf(shape, config));
  const tensors = { q: uploadTensor(context, q, type), k: uploadTensor(context, k, type) };
  const call = new GpuCall(context);
  encodeSearch(call, plan, { ...tensors, mask });
  call.submit();
  const actual = await readMask(context, mask);
  destroyMask(mask);
  tensors.q.buffer.destroy();
  tensors.k.buffer.destroy();
  return { actual, expected: searchBlockMask(q, k, shape, { ...config, ...score }), plan };
}

/** Shapes with ragged lengths, grouped heads, fewer queries than keys and the other way round. */
export const searchShapes: fc.Arbitrary<AttentionShape> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    queries: fc.integer({ min: 1, max: 80 }),
    keys: fc.integer({ min: 1, max: 400 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    headDim: fc.constantFrom(32, 64, 80),
  })
  .map(({ group, ...shape }) => ({ ...shape, heads: shape.kvHeads * group }));

const stage = (chunk: number, keep: number): fc.Arbitrary<SearchStage> =>
  fc.record({
    chunk: fc.constant(chunk),
    keep: fc.constant(keep * chunk),
    strideQ: fc.constantFrom(1, 2, 4, 8),
    rows: fc.constantFrom('max', 'mean'),
    score: fc.constantFrom('binary', 'bound', 'exact'),
  });

/** One to three stages whose keeps fall. */
const stages: fc.Arbitrary<readonly SearchStage[]> = fc
  .record({
    last: fc.constantFrom(1, 2, 3, 8, 16),
    ratios: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
    keep: fc.integer({ min: 1, max: 4 }),
  })
  .chain(({ last, ratios, keep }) => {
    const chunks: number[] = [last];
    for (const ratio of ratios) chunks.unshift(chunks[0]! * ratio);
    return fc.tuple(
      ...chunks.map((chunk, i) => {
        const tokens = keep * last * 2 ** (chunks.length - 1 - i);
        return stage(chunk, i === chunks.length - 1 ? keep : Math.ceil(tokens / chunk));
      }),
    );
  })
  .filter((list) => list.every(({ keep }, i) => i === 0 || keep <= list[i - 1]!.keep));

/** Configurations of the staged search. */
export const stagedConfigs: fc.Arbitrary<HipConfig> = fc
  .record({
    stages,
    blockQ: fc.constantFrom(1, 16, 32, 64),
    window: fc.integer({ min: 0, max: 40 }),
    sink: fc.integer({ min: 0, max: 20 }),
    causal: fc.boolean(),
    shareHeads: fc.boolean(),
  })
  .map(({ stages: list, window, ...rest }) => {
    const last = list[list.length - 1]!;
    return resolveConfig({
      ...rest,
      stages: list,
      window: Math.max(window, list[0]!.chunk),
      k: last.keep,
      blockK: last.chunk,
    });
  });

/** Configurations of the tree search. */
export const treeConfigs: fc.Arbitrary<HipConfig> = fc
  .record({
    k: fc.integer({ min: 1, max: 40 }),
    blockQ: fc.constantFrom(1, 16, 64),
    blockK: fc.constantFrom(1, 2, 3, 8),
    strideQ: fc.constantFrom(1, 2, 3),
    strideK: fc.constantFrom(1, 2),
    window: fc.integer({ min: 0, max: 40 }),
    sink: fc.integer({ min: 0, max: 20 }),
    representative: fc.constantFrom('center', 'first', 'last', 'random', 'oracle'),
    causal: fc.boolean(),
    shareHeads: fc.boolean(),
    seed: fc.nat(2 ** 33),
  })
  .map((options) => resolveConfig({ ...options, stages: undefined }));

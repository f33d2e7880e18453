// Checks of the attention kernels for a real device: every tier, storage, head dimension and variant against float64.
import {
  destroyMask,
  emptyTensor,
  encodeAttention,
  GpuCall,
  readTensor,
  uploadMask,
  uploadTensor,
  type AttentionVariant,
  type ElementType,
  type GpuContext,
  type Tier,
} from '@hip/kernels-webgpu';
import {
  blockSparseAttention,
  denseAttention,
  searchBlockMask,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';

/** Uniform in [−1, 1), exact in f16. */
export function values(length: number, seed: number): Float32Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Float32Array.from(
    new Float16Array(
      Float32Array.from({ length }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / 2 ** 31 - 1;
      }),
    ),
  );
}

interface Case {
  readonly name: string;
  readonly shape: AttentionShape;
  readonly type: ElementType;
  readonly tier: Tier;
  readonly variant?: AttentionVariant | undefined;
  readonly config?: Partial<HipConfig> | undefined;
  readonly softcap?: number | undefined;
  readonly causal?: boolean | undefined;
}

/** Float64 results by what they depend on: tiers, storages and variants share them. */
const references = new Map<string, { readonly mask: BlockMask | undefined; readonly expected: Float64Array }>();

function referenceOf(
  { shape, config, softcap, causal = true }: Case,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
): { readonly mask: BlockMask | undefined; readonly expected: Float64Array } {
  const key = JSON.stringify([shape, config, softcap, causal]);
  const known = references.get(key);
  if (known) return known;
  const score = softcap === undefined ? {} : { softcap };
  const mask = config && searchBlockMask(q, k, shape, { ...config, causal });
  const expected = mask
    ? blockSparseAttention(q, k, v, shape, mask, score)
    : denseAttention(q, k, v, shape, { ...score, causal });
  references.set(key, { mask, expected });
  return { mask, expected };
}

async function check(context: GpuContext, item: Case): Promise<Record<string, unknown>> {
  const { name, shape, type, tier, variant, softcap, causal = true } = item;
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const q = values(batch * queries * heads * headDim, 1).map((x) => 4 * x);
  const k = values(batch * keys * kvHeads * headDim, 2);
  const v = values(batch * keys * kvHeads * headDim, 3);
  const { mask, expected } = referenceOf(item, q, k, v);
  const tensors = {
    q: uploadTensor(context, q, type),
    k: uploadTensor(context, k, type),
    v: uploadTensor(context, v, type),
    out: emptyTensor({ context, type, length: q.length }),
  };
  const gpuMask = mask && uploadMask(context, mask);
  const call = new GpuCall(context);
  const plan = encodeAttention(call, tensors, shape, gpuMask, {
    tier,
    variant,
    causal,
    ...(softcap === undefined ? {} : { softcap }),
  });
  call.submit();
  const actual = await readTensor(context, tensors.out);
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  if (gpuMask) destroyMask(gpuMask);
  let error = 0;
  let wrong = 0;
  expected.forEach((x, i) => {
    const difference = Math.abs(x - actual[i]!);
    error = Math.max(error, Number.isNaN(difference) ? Infinity : difference);
    if (!(difference <= (type === 'f32' ? 2e-5 : 2e-3) * (1 + Math.abs(x)))) wrong++;
  });
  return {
    check: `attention, ${name}`,
    shape: [queries, keys, heads, kvHeads, headDim],
    type,
    tier,
    variant: plan.variant,
    error,
    wrong,
    ok: wrong === 0,
  };
}

/** Matrix variants worth comparing on a device with matrix units. */
export function matrixCandidates(lanes: number): AttentionVariant[] {
  const shared = { kind: 'matrix', lanes, prefetch: true } as const;
  const variants: AttentionVariant[] = [
    { ...shared, subgroups: 4, keys: 64 },
    { ...shared, subgroups: 4, keys: 64, speculate: true },
    { ...shared, subgroups: 4, keys: 48 },
    { ...shared, subgroups: 4, keys: 48, spareBytes: 12_288 },
    { ...shared, subgroups: 4, keys: 32 },
    { ...shared, subgroups: 4, keys: 32, spareBytes: 23_552 },
    { ...shared, subgroups: 2, keys: 32, rowMatrices: 2 },
    { ...shared, subgroups: 2, keys: 32, rowMatrices: 2, spareBytes: 24_576 },
    { ...shared, subgroups: 4, keys: 32, rowMatrices: 2 },
    { ...shared, subgroups: 8, keys: 32 },
    { ...shared, subgroups: 2, keys: 64, spareBytes: 16_384 },
    { ...shared, subgroups: 4, keys: 64, transposeValues: true },
    { ...shared, subgroups: 4, keys: 64, prefetch: false },
  ];
  return variants;
}

/** Bytes of workgroup memory decide whether a variant can run; the device says so. */
export async function attentionChecks(
  context: GpuContext,
  { tiny = false, deadline = Infinity, log }: { tiny?: boolean; deadline?: number; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const { tier: best, subgroupMaxSize } = context.profile;
  const tiers: readonly Tier[] =
    best === 'subgroup-matrix'
      ? ['basic', 'subgroups', 'subgroup-matrix']
      : best === 'subgroups'
        ? ['basic', 'subgroups']
        : ['basic'];
  const config = { k: 64, window: 64, sink: 16, blockK: 16, stages: undefined };
  const cases: Case[] = [];
  const headDims = {
    basic: [40, 64, 512],
    subgroups: [72, 80, 128, 512],
    'subgroup-matrix': [16, 32, 48, 64, 80, 96, 112, 128, 192, 256],
  };
  for (const tier of tiers) {
    // The matrix kernels take f16 only; f32 goes to the tier below.
    for (const type of tier === 'subgroup-matrix' ? (['f16'] as const) : (['f32', 'f16'] as const)) {
      for (const headDim of tiny ? [32] : headDims[tier]) {
        const shape = { batch: 1, queries: tiny ? 33 : 150, keys: tiny ? 40 : 333, heads: 2, kvHeads: 1, headDim };
        cases.push({ name: 'dense causal', shape, type, tier });
        if (tiny) continue;
        cases.push({
          name: 'sparse, 16-key blocks',
          shape: { ...shape, batch: 2, keys: 320, queries: 320 },
          type,
          tier,
          config,
        });
        if (headDim !== 128 && headDim !== 64) continue;
        cases.push({ name: 'dense, not causal, soft-cap', shape, type, tier, causal: false, softcap: 5 });
        cases.push({
          name: 'sparse, 2-key blocks',
          shape,
          type,
          tier,
          config: { ...config, blockK: 2, k: 32, window: 32 },
        });
      }
    }
  }
  if (best === 'subgroup-matrix') {
    for (const variant of matrixCandidates(subgroupMaxSize)) {
      const shape = { batch: 1, queries: 300, keys: 320, heads: 2, kvHeads: 1, headDim: 128 };
      cases.push({ name: 'dense causal, variant', shape, type: 'f16', tier: best, variant });
      cases.push({
        name: 'sparse, variant',
        shape: { ...shape, queries: 320 },
        type: 'f16',
        tier: best,
        variant,
        config,
      });
    }
  }
  for (const item of cases) {
    if (performance.now() > deadline) break;
    const row = await check(context, item).catch((error: unknown) => ({
      check: `attention, ${item.name}`,
      tier: item.tier,
      type: item.type,
      variant: item.variant,
      ok: false,
      failure: String(error).slice(0, 300),
    }));
    rows.push(row);
    if (!row['ok']) log?.(`FAIL ${JSON.stringify(row)}`);
  }
  log?.(
    `attention checks: ${rows.filter(({ ok }) => ok).length} of ${rows.length} pass, ${cases.length - rows.length} not run`,
  );
  return rows;
}

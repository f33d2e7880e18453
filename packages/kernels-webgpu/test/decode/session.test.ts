// Decode sessions on the GPU against the reference's, step by step: masks bit for bit, outputs within the storage's rounding.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { DecodeSession, resolveConfig, type HipConfig } from '@hip/mask-search';
import { readMask } from '../../src/attention/mask.ts';
import { KvCache } from '../../src/cache/kv-cache.ts';
import { KvPool, type KvPoolOptions } from '../../src/cache/kv-pool.ts';
import { GpuDecodeSession } from '../../src/decode/session.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../../src/dispatch/tensor.ts';
import { integers } from '../support/search-cases.ts';

const heads = 4;
const kvHeads = 2;
const headDim = 32;
const scale = 0.02;

const staged = resolveConfig({
  k: 32,
  blockK: 8,
  blockQ: 16,
  window: 20,
  sink: 3,
  stages: [
    { chunk: 16, keep: 96, strideQ: 4, rows: 'mean', score: 'bound', refresh: 6 },
    { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact', refresh: 3 },
  ],
});
/** Chunks are pages here, so that few pages hold what survives. */
const narrow = resolveConfig({
  ...staged,
  k: 16,
  sink: 16,
  stages: [
    { chunk: 16, keep: 32, strideQ: 4, rows: 'mean', score: 'bound' },
    { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact' },
  ],
});
const tree = resolveConfig({
  k: 16,
  blockK: 2,
  blockQ: 16,
  window: 20,
  sink: 3,
  stages: undefined,
  refreshInterval: 4,
});

/** Three stages of which the first serves for five steps, budgets by head, blocks of 16 and 32 keys stood for. */
const voting = resolveConfig({
  k: 24,
  blockK: 2,
  blockQ: 16,
  window: 20,
  sink: 3,
  kPerHead: [24, 8, 0, 32],
  remainder: { block: 16, most: 4, tail: 'drop' },
  stages: [
    { chunk: 16, keep: 96, strideQ: 8, rows: 'mean', score: 'deviation', refresh: 5 },
    { chunk: 8, keep: 48, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half', refresh: 1 },
    { chunk: 2, keep: 24, score: 'mass', dims: 'slow-half', refresh: 1 },
  ],
});

interface Run {
  readonly config: HipConfig;
  readonly pool: Partial<KvPoolOptions> & { readonly tokens: number };
  readonly prompts: readonly number[];
  readonly steps: number;
  /** Another sequence takes pages in between. */
  readonly neighbour?: boolean;
}

/** Runs both; returns the worst output error and the number of steps whose masks differ. */
async function compare(
  context: GpuContext,
  { config, pool: options, prompts, steps, neighbour }: Run,
): Promise<{ error: number; wrongMasks: number; cache: KvCache; session: GpuDecodeSession }> {
  const pool = new KvPool(context, { kvHeads, headDim, type: 'f16', pageTokens: 16, ...options });
  const cache = new KvCache(pool, { maxTokens: 512 });
  const other = neighbour ? new KvCache(pool, { maxTokens: 512 }) : undefined;
  const session = new GpuDecodeSession(cache, { heads, config, scale });
  const reference = new DecodeSession({ heads, kvHeads, headDim, config, scale });
  let error = 0;
  let wrongMasks = 0;
  let seed = 1;
  const take = (tokens: number): { q: Float32Array; k: Float32Array; v: Float32Array } => {
    seed += 3;
    return {
      q: integers(tokens * heads * headDim, seed),
      k: integers(tokens * kvHeads * headDim, seed + 1),
      v: integers(tokens * kvHeads * headDim, seed + 2),
    };
  };
  const upload = (values: ReturnType<typeof take>) => ({
    q: uploadTensor(context, values.q, 'f16'),
    k: uploadTensor(context, values.k, 'f16'),
    v: uploadTensor(context, values.v, 'f16'),
    out: emptyTensor({ context, type: 'f16', length: values.q.length }),
  });
  const check = (actual: Float32Array, expected: Float64Array): void => {
    expected.forEach((x, i) => (error = Math.max(error, Math.abs(actual[i]! - x))));
  };
  for (const tokens of prompts) {
    const values = take(tokens);
    const tensors = upload(values);
    session.prefill(tensors, tokens);
    check(await readTensor(context, tensors.out), reference.prefill(values.q, values.k, values.v));
    await pool.settle();
    if (other) {
      const call = new GpuCall(context);
      other.append(call, tensors.k, tensors.v, 20);
      call.submit();
    }
  }
  const tensors = upload(take(1));
  for (let step = 0; step < steps; step++) {
    const values = take(1);
    for (const name of ['q', 'k', 'v'] as const)
      context.device.queue.writeBuffer(tensors[name].buffer, 0, new Float16Array(values[name]).buffer);
    if (pool.offload) await session.stepOffloaded(tensors);
    else session.step(tensors);
    check(await readTensor(context, tensors.out), reference.step(values.q, values.k, values.v));
    const mask = await readMask(context, session.mask);
    if (mask.starts.join() !== reference.mask!.starts.join() || mask.counts.join() !== reference.mask!.counts.join())
      wrongMasks++;
  }
  expect(session.searches).toBe(reference.searches);
  expect(cache.length).toBe(reference.length);
  return { error, wrongMasks, cache, session };
}

/** Outputs are below 4: half a unit of f16 in the last place is 2^-10. */
const TOLERANCE = 2e-3;

describeGpu('decode sessions', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  it('prefill in chunks, then steps with stage outputs reused', async () => {
    const { error, wrongMasks, cache } = await compare(context, {
      config: staged,
      pool: { tokens: 512 },
      prompts: [160, 48],
      steps: 9,
    });
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
    expect(cache.contiguous).toBe(true);
  });

  it('the tree search, decoding from nothing', async () => {
    const { error, wrongMasks } = await compare(context, {
      config: tree,
      pool: { tokens: 512 },
      prompts: [70],
      steps: 10,
    });
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
  });

  it('reads through the page table when sequences share a pool', async () => {
    const { error, wrongMasks, cache } = await compare(context, {
      config: staged,
      pool: { tokens: 512 },
      prompts: [160, 48],
      steps: 8,
      neighbour: true,
    });
    expect(cache.contiguous).toBe(false);
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
  });

  it('kv heads in several pools', async () => {
    const limits = { ...context.limits, maxStorageBufferBindingSize: 512 * headDim * 2 };
    const { error, wrongMasks, cache } = await compare(context, {
      config: staged,
      pool: { tokens: 512, limits },
      prompts: [160],
      steps: 7,
    });
    expect(cache.pool.pools.length).toBe(2);
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
  });

  it('cold pages on the host come back when a search wants them', async () => {
    const { error, wrongMasks, cache } = await compare(context, {
      config: narrow,
      pool: { tokens: 13 * 16, offload: true },
      prompts: [200],
      steps: 50,
    });
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
    expect(cache.pages.some((page) => cache.pool.planner.slotOf(page) === undefined)).toBe(true);
    expect(cache.pool.hostBytes).toBeGreaterThan(0);
  });

  it('votes anew each step inside what the first stage left, with a remainder', async () => {
    const { error, wrongMasks, session } = await compare(context, {
      config: voting,
      pool: { tokens: 512 },
      prompts: [160, 48],
      steps: 14,
    });
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
    expect(session.searches).toBe(14);
  });

  for (const [name, storage] of Object.entries({
    'written by the attention, after the search': 10,
    'chosen for and attended to in one pass': 12,
  }))
    it(`with bindings enough, the newest token is ${name}`, async () => {
      const limits = { maxStorageBuffersPerShaderStage: storage };
      const roomy = await gpu.device({ features: ['subgroups', 'shader-f16'], limits });
      for (const [remainder, neighbour] of [
        [voting.remainder, false],
        [{ block: 16, most: 4, tail: 'exact' } as const, true],
        [undefined, false],
      ] as const) {
        const { error, wrongMasks } = await compare(contextOf(roomy), {
          config: resolveConfig({ ...voting, remainder }),
          pool: { tokens: 512 },
          prompts: [112],
          steps: 7,
          neighbour,
        });
        expect(error).toBeLessThan(TOLERANCE);
        expect(wrongMasks).toBe(0);
      }
      const rowKernels = [...contextOf(roomy).pipelines.keys()].filter((code) => code.includes('struct Row {'));
      // Without a remainder ten bindings are enough for one pass, too.
      expect(rowKernels.length).toBe(storage === 12 ? 4 : 1);
      expect(rowKernels.filter((code) => code.includes('new_k')).length).toBe(storage === 12 ? 1 : 0);
      roomy.destroy();
    });

  it('votes through the page table, every candidate attended to, an exact tail', async () => {
    const { error, wrongMasks, cache } = await compare(context, {
      config: resolveConfig({
        ...voting,
        kPerHead: undefined,
        decodeKeys: 'candidates',
        remainder: { block: 16, most: 4, tail: 'exact' },
      }),
      pool: { tokens: 512 },
      prompts: [160, 48],
      steps: 7,
      neighbour: true,
    });
    expect(cache.contiguous).toBe(false);
    expect(error).toBeLessThan(TOLERANCE);
    expect(wrongMasks).toBe(0);
  });
});

// Calls that are refused: which, with what code, and that they leave no memory behind.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { PAPER_CONFIG, resolveConfig, searchBlockMask, DEFAULT_CONFIG, type BlockMask } from '@hip/mask-search';
import {
  contextOf,
  emptyTensor,
  flashAttention,
  GpuDecodeSession,
  hipAttention,
  KvCache,
  KvPool,
  requestHipDevice,
  uploadMask,
  uploadTensor,
  type GpuContext,
} from '../src/index.ts';
import { randomTensors } from './support/cases.ts';

const shape = { batch: 1, queries: 40, keys: 72, heads: 2, kvHeads: 1, headDim: 32 };
const config = resolveConfig({ k: 16, blockQ: 16, blockK: 8, window: 16, sink: 8, stages: undefined });
const values = randomTensors(shape, 3);

it('of no adapter', async () => {
  await expect(requestHipDevice(null)).rejects.toMatchObject({ name: 'HipError', code: 'unsupported' });
});

describeGpu('refusals', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await requestHipDevice(await gpu.adapter()));
  });
  afterAll(() => context.device.destroy());
  const inputs = () => ({
    q: uploadTensor(context, values.q, 'f32'),
    k: uploadTensor(context, values.k, 'f32'),
    v: uploadTensor(context, values.v, 'f32'),
  });
  const code = (expected: string): unknown => expect.objectContaining({ code: expected });

  it.each([{ scale: NaN }, { scale: 0 }, { scale: -1 }, { softcap: 0 }, { softcap: Infinity }])(
    'of scores %o',
    (options) => {
      expect(() => flashAttention(context, inputs(), shape, options)).toThrow(code('invalid-config'));
      expect(() => hipAttention(context, inputs(), shape, { config, ...options })).toThrow(code('invalid-config'));
      using pool = new KvPool(context, { kvHeads: 1, headDim: 32, tokens: 256, type: 'f32' });
      using cache = new KvCache(pool);
      expect(() => new GpuDecodeSession(cache, { heads: 2, ...options })).toThrow(code('invalid-config'));
    },
  );

  it.each([{ queries: 0 }, { queries: -1 }, { keys: 1.5 }, { batch: NaN }])('of shapes with %o', (wrong) => {
    expect(() => flashAttention(context, inputs(), { ...shape, ...wrong })).toThrow(code('invalid-shape'));
    expect(() => hipAttention(context, inputs(), { ...shape, ...wrong }, { config })).toThrow(code('invalid-shape'));
  });

  it('of masks that are none, or whose rows stand elsewhere', () => {
    const mask = searchBlockMask(values.q, values.k, shape, config);
    const upload = (wrong: Partial<BlockMask>) => () => uploadMask(context, { ...mask, ...wrong });
    expect(upload({})).not.toThrow();
    expect(upload({ window: NaN })).toThrow(code('invalid-mask'));
    expect(upload({ starts: mask.starts.map(() => 8), counts: mask.counts.map(() => mask.capacity) })).toThrow(
      code('invalid-mask'),
    );
    expect(upload({ positions: Int32Array.from({ length: 40 }, (_, row) => row) })).toThrow(code('unsupported'));
    expect(upload({ positions: Int32Array.from({ length: 40 }, (_, row) => row + 32) })).not.toThrow();
  });

  it('of caches and sessions that are gone, or whose tensors are too short', () => {
    const pool = (options: object): KvPool =>
      new KvPool(context, { kvHeads: 1, headDim: 32, tokens: 256, type: 'f32', ...options });
    expect(() => pool({ tokens: NaN })).toThrow(code('invalid-config'));
    expect(() => pool({ kvHeads: 0 })).toThrow(code('invalid-config'));
    using held = pool({});
    expect(() => new KvCache(held, { maxTokens: NaN })).toThrow(code('invalid-config'));
    const cache = new KvCache(held);
    const session = new GpuDecodeSession(cache, { heads: 2 });
    const tensor = (length: number) => emptyTensor({ context, type: 'f32', length });
    const step = { q: tensor(64), k: tensor(32), v: tensor(32), out: tensor(64) };
    expect(() => session.step({ ...step, out: tensor(32) })).toThrow(/out holds 32 numbers/);
    session.destroy();
    session.destroy();
    expect(() => session.step(step)).toThrow(/destroyed/);
    expect(() => session.prefill(step, 1)).toThrow(/destroyed/);
    cache.dispose();
    cache.dispose();
    expect(() => cache.reserve(1)).toThrow(/disposed/);
  });

  it('of budgets for other heads or without stages, and of a remainder that would hold the newest key', () => {
    const budgets = (kPerHead: number[]) => () =>
      hipAttention(context, inputs(), shape, { config: { ...DEFAULT_CONFIG, kPerHead } });
    expect(budgets([320])).toThrow(code('invalid-config'));
    const tree = { ...config, kPerHead: [16, 8] };
    expect(() => hipAttention(context, inputs(), shape, { config: tree })).toThrow(code('unsupported'));
    using pool = new KvPool(context, { kvHeads: 1, headDim: 32, tokens: 256, type: 'f32' });
    using cache = new KvCache(pool);
    const windowless = { ...config, window: 0, remainder: { block: 8 } };
    expect(() => new GpuDecodeSession(cache, { heads: 2, config: windowless })).toThrow(code('unsupported'));
  });

  it('leaves no scratch borrowed', async () => {
    const ensemble = { ...PAPER_CONFIG, ensemble: { members: 2 } };
    expect(() => hipAttention(context, inputs(), shape, { config: ensemble })).toThrow(code('unsupported'));
    expect(() => hipAttention(context, inputs(), shape, { config, scale: NaN })).toThrow(code('invalid-config'));
    await context.settled();
    context.pool.clear();
    expect(context.pool.bytes).toBe(0);
  });
});

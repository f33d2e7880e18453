// Bad input is refused with a code, the value and the fix.
import { describe, expect, it, beforeAll, afterAll } from 'vitest';
import { denseMask, PAPER_CONFIG } from '@hip/mask-search';
import { createCpuRuntime, type CpuRuntime } from '../src/index.ts';
import { tensors } from './support.ts';

const shape = { batch: 1, queries: 64, keys: 64, heads: 2, kvHeads: 1, headDim: 4 };
const { q, k, v } = tensors(shape, 1);

let cpu: CpuRuntime;
beforeAll(async () => {
  cpu = await createCpuRuntime({ threads: 2 });
});
afterAll(() => cpu.close());

describe('typed errors', () => {
  it.each([
    ['heads not a multiple of kvHeads', { ...shape, heads: 3, kvHeads: 2 }, 'invalid-shape', /multiple of kvHeads/],
    ['no rows', { ...shape, queries: 0 }, 'invalid-shape', /queries is 0/],
    ['another length of q', { ...shape, queries: 63 }, 'invalid-shape', /q holds 512 numbers: its shape needs 504/],
    ['another length of k', { ...shape, keys: 65 }, 'invalid-shape', /k holds 256/],
  ])('%s', (_, wrong, code, message) => {
    expect(() => cpu.denseAttention(q, k, v, wrong)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(() => cpu.hipAttention(q, k, v, wrong)).toThrow(expect.objectContaining({ code }));
  });

  it('configurations', () => {
    const code = (value: string): unknown => expect.objectContaining({ code: value });
    expect(() => cpu.maskSearch(q, k, shape, { window: -1 })).toThrow(code('invalid-config'));
    expect(() => cpu.maskSearch(q, k, shape, { ...PAPER_CONFIG, representative: 'random' })).toThrow(
      code('unsupported'),
    );
    expect(() => cpu.maskSearch(q, k, shape, { ...PAPER_CONFIG, ensemble: { members: 2 } })).toThrow(
      code('unsupported'),
    );
    const stage = { chunk: 16, keep: 512, strideQ: 1, rows: 'max', score: 'exact' } as const;
    expect(() => cpu.maskSearch(q, k, shape, { stages: Array.from({ length: 9 }, () => stage) })).toThrow(/at most 8/);
  });

  it('masks', () => {
    const mask = denseMask(shape, true);
    const call = (wrong: Partial<typeof mask>) => () => cpu.blockSparseAttention(q, k, v, shape, { ...mask, ...wrong });
    expect(call({})).not.toThrow();
    expect(call({ keys: 60 })).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
    expect(call({ starts: Int32Array.of(70), counts: Int32Array.of(1) })).toThrow(
      expect.objectContaining({ code: 'invalid-mask' }),
    );
    expect(call({ positions: Int32Array.from({ length: 64 }, (_, i) => 2 * i) })).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    );
    expect(call({ positions: Int32Array.from({ length: 64 }, (_, i) => i) })).not.toThrow();
  });

  it('runtimes', async () => {
    await expect(createCpuRuntime({ threads: 0 })).rejects.toThrow(/threads is 0/);
    await expect(createCpuRuntime({ threads: 1.5 })).rejects.toMatchObject({ code: 'invalid-config' });
    const closed = await createCpuRuntime({ threads: 2 });
    closed.close();
    closed.close();
    expect(() => closed.denseAttention(q, k, v, shape)).toThrow(/closed/);
    expect(() => closed.createCache({ heads: 1, kvHeads: 1, headDim: 8 })).toThrow(/closed/);
  });

  it('calls that failed leave no memory behind', () => {
    expect(() =>
      cpu.hipAttention(q, k, v, shape, { ...PAPER_CONFIG, k: 2, window: 0, representative: 'oracle' }),
    ).toThrow(/oracle/);
    expect(cpu.usedBytes).toBe(0);
    expect(cpu.denseAttention(q, k, v, shape)).toHaveLength(q.length);
  });

  it('rows that see no key give 0', () => {
    const early = { ...shape, keys: 10 };
    const few = tensors(early, 2);
    const out = cpu.denseAttention(few.q, few.k, few.v, early);
    expect(out.subarray(0, 54 * 8).every((x) => x === 0)).toBe(true);
    expect(out.subarray(54 * 8).every((x) => x !== 0)).toBe(true);
  });
});

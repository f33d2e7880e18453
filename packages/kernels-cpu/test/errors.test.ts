// Bad input is refused with a code, the value and the fix.
import { describe, expect, it, beforeAll, afterAll, vi } from 'vitest';
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

  it('a page whose policy forbids WebAssembly', async () => {
    const forbidden = new WebAssembly.CompileError('Wasm code generation disallowed by embedder');
    const compile = vi.spyOn(WebAssembly, 'compile').mockRejectedValue(forbidden);
    try {
      await expect(createCpuRuntime({ threads: 1 })).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringContaining("'wasm-unsafe-eval'") as string,
        cause: forbidden,
      });
    } finally {
      compile.mockRestore();
    }
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
    const stage = { chunk: 2, keep: 320, strideQ: 1, rows: 'max', score: 'exact' } as const;
    expect(() => cpu.maskSearch(q, k, shape, { stages: Array.from({ length: 9 }, () => stage) })).toThrow(/at most 8/);
  });

  it.each([{ scale: 0 }, { scale: -1 }, { scale: NaN }, { softcap: 0 }, { softcap: NaN }, { softcap: Infinity }])(
    'scores %o',
    (options) => {
      const wrong = expect.objectContaining({
        code: 'invalid-config',
        details: expect.objectContaining({ name: Object.keys(options)[0] }),
      });
      expect(() => cpu.denseAttention(q, k, v, shape, options)).toThrow(wrong);
      expect(() => cpu.hipAttention(q, k, v, shape, {}, options)).toThrow(wrong);
      expect(() => cpu.createCache({ heads: 2, kvHeads: 1, headDim: 4, ...options })).toThrow(wrong);
      expect(cpu.usedBytes).toBe(0);
    },
  );

  it('arrays that are not float32: their numbers would be taken for others', () => {
    const wrong = expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('Float32Array') });
    for (const other of [Uint16Array.from(q), Float64Array.from(q), [...q], undefined]) {
      expect(() => cpu.denseAttention(other as unknown as Float32Array, k, v, shape)).toThrow(wrong);
      using cache = cpu.createCache({ heads: 2, kvHeads: 1, headDim: 4 });
      expect(() => cache.append(other as unknown as Float32Array, k)).toThrow(wrong);
    }
  });

  it.each([
    ['maxTokens', { maxTokens: NaN }],
    ['maxTokens', { maxTokens: 0.5 }],
    ['type', { type: 'bf16' as 'f16' }],
  ])('caches: %s', (name, options) => {
    expect(() => cpu.createCache({ heads: 2, kvHeads: 1, headDim: 4, ...options })).toThrow(
      expect.objectContaining({ code: 'invalid-config', details: expect.objectContaining({ name }) }),
    );
  });

  it('products without rows or depth', () => {
    const call = (wrong: object) => () =>
      cpu.matmul(new Float32Array(6), new Float32Array(6), { m: 2, n: 2, k: 3, ...wrong });
    expect(call({})).not.toThrow();
    expect(call({ m: -2, n: -2, k: -3 })).toThrow(/m is -2/);
    expect(() => cpu.matmul(new Float32Array(), new Float32Array(), { m: 2, n: 2, k: 0 })).toThrow(/k is 0/);
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
    await expect(createCpuRuntime({ simd: 'fast' as 'plain' })).rejects.toMatchObject({ code: 'invalid-config' });
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

  it('calls that run out of memory leave none behind', () => {
    const tooMuch = { ...PAPER_CONFIG, blockQ: 2 ** 26, window: 0, sink: 0, k: 2 };
    expect(() => cpu.hipAttention(q, k, v, shape, tooMuch)).toThrow(expect.objectContaining({ code: 'out-of-memory' }));
    expect(cpu.usedBytes).toBe(0);
    // 16 KiB a page of 256 tokens of one number each.
    const keys = 2 ** 26;
    const zeros = new Float32Array(keys);
    const long = { batch: 1, queries: 1, keys, heads: 1, kvHeads: 1, headDim: 1 };
    expect(() => cpu.denseAttention(zeros.subarray(0, 1), zeros, zeros, long)).toThrow(
      expect.objectContaining({ code: 'out-of-memory' }),
    );
    expect(cpu.usedBytes).toBe(0);
  });

  it.each([
    ['stages', { k: 16, window: 64 }],
    ['tree', { ...PAPER_CONFIG, k: 16, window: 16 }],
  ])('NaN stays in its rows, search by %s, and harms neither the runtime nor a cache beside', (_, config) => {
    const more = { ...shape, queries: 300, keys: 300 };
    const clean = tensors(more, 3);
    const expected = cpu.hipAttention(clean.q, clean.k, clean.v, more, config).output;
    using cache = cpu.createCache({ heads: 2, kvHeads: 1, headDim: 4 });
    cache.append(clean.k, clean.v);
    const before = cache.attendDense(clean.q);
    const first = 256 * 8;
    const dirty = clean.q.map((x, i) => (i < first ? x : NaN));
    const { output } = cpu.hipAttention(dirty, clean.k, clean.v, more, config);
    expect(output.subarray(0, first)).toEqual(expected.subarray(0, first));
    expect(output.subarray(first).every(Number.isNaN)).toBe(true);
    cpu.maskSearch(clean.q, clean.k.fill(NaN), more, config);
    expect(cache.attendDense(clean.q)).toEqual(before);
  });

  it('where the engine does not reserve 4 GiB, less does', async () => {
    const { Memory } = WebAssembly;
    let most = 16384;
    const spy = vi.spyOn(WebAssembly, 'Memory').mockImplementation(function (descriptor: WebAssembly.MemoryDescriptor) {
      if (descriptor.maximum! > most) throw new RangeError('could not allocate memory');
      return new Memory(descriptor);
    });
    try {
      using small = await createCpuRuntime({ threads: 2 });
      expect(small.denseAttention(q, k, v, shape)).toEqual(cpu.denseAttention(q, k, v, shape));
      most = 0;
      await expect(createCpuRuntime()).rejects.toMatchObject({ code: 'out-of-memory' });
    } finally {
      spy.mockRestore();
    }
  });

  it('where threads may not start, auto goes without and a number says so', async () => {
    const builtin = process.getBuiltinModule.bind(process);
    const spy = vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
      name === 'node:worker_threads'
        ? {
            Worker: class {
              constructor() {
                throw new Error('denied');
              }
            },
          }
        : builtin(name)) as typeof process.getBuiltinModule);
    try {
      await expect(createCpuRuntime({ threads: 2 })).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/denied.*threads: 1/),
      });
      using alone = await createCpuRuntime();
      expect(alone.threads).toBe(1);
      expect(alone.denseAttention(q, k, v, shape)).toEqual(cpu.denseAttention(q, k, v, shape));
    } finally {
      spy.mockRestore();
    }
  });

  it('rows that see no key give 0', () => {
    const early = { ...shape, keys: 10 };
    const few = tensors(early, 2);
    const out = cpu.denseAttention(few.q, few.k, few.v, early);
    expect(out.subarray(0, 54 * 8).every((x) => x === 0)).toBe(true);
    expect(out.subarray(54 * 8).every((x) => x !== 0)).toBe(true);
  });
});

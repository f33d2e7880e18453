// A step that fails changes nothing, and a runtime that lost a thread says so and goes no further.
import { afterEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { HipError, type SearchStage } from '@hip/mask-search';
import { createCpuRuntime, type KeyValueCache } from '../src/index.ts';
import { Heap } from '../src/runtime/heap.ts';
import { configs, randomTensor, tensors } from './support.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Lets the n-th allocation from now on fail, once. */
function failAllocation(n: number): { readonly restore: () => void } {
  // eslint-disable-next-line typescript/unbound-method
  const { allocate } = Heap.prototype;
  let left = n;
  const spy = vi.spyOn(Heap.prototype, 'allocate').mockImplementation(function (this: Heap, bytes: number) {
    if (left-- === 0) throw new HipError('out-of-memory', 'the memory ends here');
    return allocate.call(this, bytes);
  });
  return { restore: () => spy.mockRestore() };
}

/** The code or name of what a call is rejected with; undefined when it is not. */
async function reason(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof HipError ? error.code : (error as Error).name;
  }
}

describe('a cache after a step that failed', () => {
  const vote = configs['a vote and a remainder']!;
  const kinds = fc.constantFrom(
    { ...configs['bound and exact stages'], refreshInterval: 3 },
    // The first stage serves for three tokens, the others for one.
    {
      ...vote,
      refreshInterval: 3,
      stages: vote.stages!.map((stage, i): SearchStage => (i === 0 ? stage : { ...stage, refresh: 1 })),
    },
  );
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom<'append' | 'attend' | 'attendDense' | 'decode' | 'attendAsync'>(
        'append',
        'attend',
        'attendDense',
        'decode',
        'attendAsync',
      ),
      tokens: fc.integer({ min: 1, max: 300 }),
      failAt: fc.option(fc.nat(12), { nil: undefined }),
    }),
    { minLength: 2, maxLength: 8 },
  );

  it.each(['f32', 'f16'] as const)('goes on as one that never failed, %s', async (type) => {
    using cpu = await createCpuRuntime({ threads: 2 });
    const width = { kv: 2 * 8, q: 4 * 8 };
    const take = (cache: KeyValueCache, kind: string, tokens: number, fail?: number): unknown => {
      const k = randomTensor(tokens * width.kv, cache.length + 1);
      const v = randomTensor(tokens * width.kv, cache.length + 2);
      const rows = Math.min(tokens, cache.length);
      const q = randomTensor((kind === 'decode' ? 1 : rows) * width.q, cache.length + 3);
      if (kind === 'append') return cache.append(k, v);
      if (kind === 'attend') return cache.attend(q);
      if (kind === 'attendDense') return cache.attendDense(q);
      if (kind === 'decode') return cache.decode(q);
      // Aborted at its start or after its first slice.
      const abort = new AbortController();
      if (fail === 0) abort.abort();
      const onProgress = (): void => (fail === undefined ? undefined : abort.abort());
      return cache.attendAsync(q, { signal: abort.signal, onProgress });
    };
    const state = (cache: KeyValueCache): object => ({ length: cache.length, mask: cache.mask });
    const memory = (cache: KeyValueCache): object => ({ bytes: cache.bytes, used: cpu.usedBytes });
    /** Does a step that fails where there is something to fail, and then changes nothing. */
    const fail = async (
      cache: KeyValueCache,
      never: KeyValueCache,
      kind: string,
      tokens: number,
      at: number,
    ): Promise<void> => {
      const [before, held] = [state(cache), memory(cache)];
      const failure = kind === 'attendAsync' ? undefined : failAllocation(at);
      const why = await reason(async () => take(cache, kind, tokens, at));
      failure?.restore();
      if (why === undefined) {
        // It needed fewer allocations.
        await take(never, kind, tokens);
        return;
      }
      expect(['out-of-memory', 'AbortError']).toContain(why);
      expect(state(cache)).toEqual(before);
      // Summaries that a search has made may stay: they follow from the keys.
      expect(kind === 'append' ? memory(cache) : held).toEqual(held);
    };
    await fc.assert(
      fc.asyncProperty(steps, kinds, async (list, config) => {
        const options = { heads: 4, kvHeads: 2, headDim: 8, type, config };
        using cache = cpu.createCache(options);
        using never = cpu.createCache(options);
        const start = randomTensor(5 * width.kv, 9);
        cache.append(start, start);
        never.append(start, start);
        for (const { kind, tokens, failAt } of list) {
          if (failAt !== undefined) await fail(cache, never, kind, tokens, failAt);
          if (kind === 'attendAsync') continue;
          expect(await take(cache, kind, tokens)).toEqual(await take(never, kind, tokens));
        }
      }),
      { numRuns: 40 },
    );
    expect(cpu.usedBytes).toBe(0);
  });
});

interface EndableWorker {
  terminate(): Promise<number>;
}

/** A runtime of three threads and its workers. */
async function withWorkers(): Promise<{
  readonly cpu: Awaited<ReturnType<typeof createCpuRuntime>>;
  readonly workers: EndableWorker[];
}> {
  const workers: EndableWorker[] = [];
  const builtin = process.getBuiltinModule.bind(process);
  const spy = vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) => {
    const module = builtin(name) as typeof import('node:worker_threads');
    if (name !== 'node:worker_threads') return module;
    class Watched extends module.Worker {
      constructor(...args: ConstructorParameters<typeof module.Worker>) {
        super(...args);
        workers.push(this);
      }
    }
    return { ...module, Worker: Watched };
  }) as typeof process.getBuiltinModule);
  const cpu = await createCpuRuntime({ threads: 3 });
  spy.mockRestore();
  return { cpu, workers };
}

describe('a worker thread that dies', () => {
  const shape = { batch: 1, queries: 1500, keys: 1500, heads: 2, kvHeads: 2, headDim: 32 };
  const { q, k, v } = tensors(shape, 1);
  const dead = expect.objectContaining({
    code: 'internal',
    message: expect.stringMatching(/worker thread \d has ended.*createCpuRuntime/),
  });

  it.each(['between calls', 'as a call begins', 'during a call'])(
    '%s: a typed error, and the next runtime works',
    async (when) => {
      const { cpu, workers } = await withWorkers();
      using cache = cpu.createCache({ heads: 2, kvHeads: 2, headDim: 32 });
      cache.append(k.subarray(0, 6400), v.subarray(0, 6400));
      const expected = cpu.denseAttention(q, k, v, shape);
      const held = { length: cache.length, bytes: cache.bytes, used: cpu.usedBytes };
      const ending = when === 'during a call' ? undefined : workers[1]!.terminate();
      if (when === 'between calls') await ending;
      const call = async (): Promise<unknown> => {
        if (when !== 'during a call') return cpu.denseAttention(q, k, v, shape);
        const long = { ...shape, queries: 9000, keys: 9000 };
        const x = randomTensor(9000 * 64, 1);
        return cpu.denseAttentionAsync(x, x, x, long, { onProgress: () => void workers[0]!.terminate() });
      };
      await expect(call()).rejects.toEqual(dead);
      // From now on at once, and nothing is changed.
      expect(() => cache.append(k, v)).toThrow(dead);
      expect(() => cache.attend(q.subarray(0, 64))).toThrow(dead);
      expect(() => cpu.hipAttention(q, k, v, shape)).toThrow(dead);
      expect(() => cpu.matmul(q, k, { m: 1500, n: 1500, k: 64, transposeB: true })).toThrow(dead);
      expect({ length: cache.length, bytes: cache.bytes, used: cpu.usedBytes }).toEqual(held);
      cpu.close();
      await ending;
      using next = await createCpuRuntime({ threads: 3 });
      expect(next.denseAttention(q, k, v, shape)).toEqual(expected);
    },
  );

  it('before it is ready: the runtime does not start', async () => {
    const builtin = process.getBuiltinModule.bind(process);
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) => {
      const module = builtin(name) as typeof import('node:worker_threads');
      if (name !== 'node:worker_threads') return module;
      class Short extends module.Worker {
        constructor(_: string, options: object) {
          super('process.exit(3)', options);
        }
      }
      return { ...module, Worker: Short };
    }) as typeof process.getBuiltinModule);
    await expect(createCpuRuntime({ threads: 2 })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/exit code 3.*threads: 1/),
    });
  });
});

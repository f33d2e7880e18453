// A step that fails changes nothing, or the cache says that it goes no further; sequences of one pool do not notice each other.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { HipError, resolveConfig } from '@hip/mask-search';
import { KvCache } from '../../src/cache/kv-cache.ts';
import { KvPool, type KvPoolOptions } from '../../src/cache/kv-pool.ts';
import { GpuDecodeSession } from '../../src/decode/session.ts';
import type { StepTensors } from '../../src/decode/tensors.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readBytes, readTensor, uploadTensor } from '../../src/dispatch/tensor.ts';
import { randomValues } from '../support/cases.ts';

const [heads, kvHeads, headDim, pageTokens] = [2, 1, 16, 16];
const config = resolveConfig({
  k: 16,
  blockK: 8,
  blockQ: 16,
  window: 20,
  sink: 3,
  stages: [
    { chunk: 16, keep: 32, strideQ: 4, rows: 'mean', score: 'bound', refresh: 4 },
    { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact', refresh: 2 },
  ],
});

describeGpu('failed steps', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await gpu.device({ features: ['subgroups'], limits: 'default' }));
  });
  afterAll(() => context.device.destroy());

  const poolOf = (more: Partial<KvPoolOptions> = {}): KvPool =>
    new KvPool(context, { kvHeads, headDim, type: 'f16', pageTokens, tokens: 512, ...more });
  const sessionOf = (pool: KvPool): GpuDecodeSession =>
    new GpuDecodeSession(new KvCache(pool, { maxTokens: 256 }), { heads, config });
  const tensorsOf = (tokens: number, seed: number, value = (x: number): number => x): StepTensors => {
    const of = (count: number, s: number, map: (x: number) => number) =>
      uploadTensor(context, randomValues(tokens * count * headDim, s).map(map), 'f16');
    return {
      q: of(heads, seed, (x) => x),
      k: of(kvHeads, seed + 1, value),
      v: of(kvHeads, seed + 2, value),
      out: emptyTensor({ context, type: 'f16', length: tokens * heads * headDim }),
    };
  };
  const bits = async ({ out }: StepTensors): Promise<string> =>
    new Uint16Array(await readBytes(context, out.buffer, 0, 2 * out.length)).join();
  const code = (expected: string): unknown => expect.objectContaining({ code: expected });

  /** Ways to call a step wrongly. */
  const short = (length: number) => emptyTensor({ context, type: 'f16', length });
  const faults: Record<string, (good: StepTensors) => StepTensors> = {
    'short out': (good) => ({ ...good, out: short(8) }),
    'short q': (good) => ({ ...good, q: short(8) }),
    'short k': (good) => ({ ...good, k: short(8) }),
    'v of another type': (good) => ({ ...good, v: emptyTensor({ context, type: 'f32', length: good.v.length }) }),
  };

  const stateOf = ({ cache, searches }: GpuDecodeSession): unknown[] => {
    const { length, pages, contiguous, pool } = cache;
    return [length, [...pages], contiguous, searches, pool.planner.resident];
  };
  const refusalOf = (action: () => void): string => {
    try {
      action();
      return 'none';
    } catch (error) {
      return error instanceof HipError ? error.code : String(error);
    }
  };

  it('leave cache, clock and masks as they were: what follows is the same bit for bit', async () => {
    const calls = fc.array(
      fc.record({ tokens: fc.constantFrom(1, 1, 1, 1, 16), fault: fc.constantFrom(undefined, ...Object.keys(faults)) }),
      { minLength: 6, maxLength: 10 },
    );
    await fc.assert(
      fc.asyncProperty(calls, async (list) => {
        using pools = new DisposableStack();
        const [whole, failing] = [0, 1].map(() => sessionOf(pools.use(poolOf()))) as [
          GpuDecodeSession,
          GpuDecodeSession,
        ];
        for (const [i, { tokens, fault }] of [{ tokens: 64, fault: undefined }, ...list].entries()) {
          const run = (session: GpuDecodeSession, tensors: StepTensors): void =>
            tokens === 1 ? session.step(tensors) : session.prefill(tensors, tokens);
          const [expected, actual] = [tensorsOf(tokens, i), tensorsOf(tokens, i)];
          run(whole, expected);
          const before = stateOf(failing);
          const refusal = fault && refusalOf(() => run(failing, faults[fault]!(tensorsOf(tokens, 99))));
          expect(refusal).toBe(fault && 'invalid-shape');
          expect(stateOf(failing)).toEqual(before);
          run(failing, actual);
          expect(await bits(actual)).toBe(await bits(expected));
        }
        expect(failing.searches).toBe(whole.searches);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it('sequences of one pool do not notice each other, nor pages of disposed ones, whatever those hold', async () => {
    const odd = fc.constantFrom(Number.NaN, Infinity, 70_000);
    await fc.assert(
      fc.asyncProperty(
        odd,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 49, max: 70 }),
        async (value, tokens, prompt) => {
          const run = async (other: (x: number) => number): Promise<string[]> => {
            using pool = poolOf();
            const gone = sessionOf(pool);
            gone.prefill(tensorsOf(48, 7, other), 48);
            const neighbour = sessionOf(pool);
            neighbour.prefill(tensorsOf(tokens, 8, other), tokens);
            gone.destroy();
            gone.cache.dispose();
            const session = sessionOf(pool);
            const results: string[] = [];
            for (const [i, count] of [prompt, 1, 1, 1, 1, 1].entries()) {
              const tensors = tensorsOf(count, 20 + i);
              if (count > 1) session.prefill(tensors, count);
              else session.step(tensors);
              neighbour.step(tensorsOf(1, 30 + i, other));
              results.push(await bits(tensors));
            }
            expect(session.cache.contiguous).toBe(false);
            return results;
          };
          expect(await run(() => value)).toEqual(await run((x) => x));
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it('an f16 cache keeps NaN and infinity what they are', async () => {
    using pool = poolOf();
    const cache = new KvCache(pool);
    const odd = Float32Array.from({ length: headDim }, (_, i) => [Number.NaN, Infinity, -Infinity, 70_000, 1][i % 5]!);
    const [k, v] = [uploadTensor(context, odd, 'f16'), uploadTensor(context, odd, 'f16')];
    const call = new GpuCall(context);
    cache.append(call, k, v, 1);
    call.submit();
    const held = pool.pools[0]!;
    for (const tensor of [held.k, held.v]) {
      const stored = await readTensor(context, { ...tensor, length: headDim });
      expect([...stored]).toEqual([...odd].map((x) => (x === 70_000 ? Infinity : x)));
    }
  });

  it('an append whose call is dropped is taken back, and one that waits is named', () => {
    using pool = poolOf();
    const cache = new KvCache(pool);
    const { k, v } = tensorsOf(20, 1);
    {
      using call = new GpuCall(context);
      cache.append(call, k, v, 20);
      cache.append(call, k, v, 20);
      expect([cache.length, cache.pages.length]).toEqual([40, 3]);
      expect(() => cache.append(new GpuCall(context), k, v, 1)).toThrow(/not submitted/);
    }
    expect([cache.length, cache.pages.length, pool.planner.resident]).toEqual([0, 0, 0]);
    expect(() => cache.append(new GpuCall(context), k, v, 0)).toThrow(code('invalid-shape'));
    const tight = poolOf({ tokens: 32 });
    const full = new KvCache(tight, { maxTokens: 512 });
    expect(() => full.append(new GpuCall(context), tensorsOf(40, 1).k, tensorsOf(40, 1).v, 40)).toThrow(
      code('out-of-memory'),
    );
    expect([full.length, full.pages.length, tight.planner.resident]).toEqual([0, 0, 0]);
  });

  it('offloaded steps that fail, or come before another has ended, change nothing', async () => {
    using pools = new DisposableStack();
    const make = (tokens: number): GpuDecodeSession => sessionOf(pools.use(poolOf({ tokens, offload: true })));
    const [roomy, tight] = [make(256), make(96)];
    for (const session of [roomy, tight]) {
      session.prefill(tensorsOf(79, 1), 79);
      await session.cache.pool.settle();
    }
    // Pinned pages of somebody else: what the step needs has no room in slots, and is read beside them.
    const { planner } = tight.cache.pool;
    const strangers = [planner.create().page, planner.create().page];
    for (const page of strangers) planner.pin(page);
    const [first, other] = [tensorsOf(1, 5), tensorsOf(1, 5)];
    await tight.stepOffloaded(first);
    await roomy.stepOffloaded(other);
    expect(await bits(first)).toBe(await bits(other));
    for (const session of [roomy, tight]) session.truncate(79);
    for (const page of strangers) planner.release(page);
    const { searches } = tight;
    await expect(tight.stepOffloaded({ ...tensorsOf(1, 5), out: short(8) })).rejects.toThrow(code('invalid-shape'));
    expect([tight.cache.length, tight.searches]).toEqual([79, searches]);
    for (let i = 0; i < 4; i++) {
      const [expected, actual] = [tensorsOf(1, 40 + i), tensorsOf(1, 40 + i)];
      await roomy.stepOffloaded(expected);
      const step = tight.stepOffloaded(actual);
      expect(() => tight.prefill(tensorsOf(4, 60), 4)).toThrow(/under way/);
      await expect(tight.stepOffloaded(tensorsOf(1, 60))).rejects.toThrow(/under way/);
      await step;
      expect(await bits(actual)).toBe(await bits(expected));
    }
    expect(tight.cache.length).toBe(83);
  });

  it('a step that the GPU refuses ends its cache in words, and no other', async () => {
    const own = contextOf(await gpu.device({ features: ['subgroups'], limits: 'default' }));
    const pool = new KvPool(own, { kvHeads, headDim, type: 'f16', pageTokens, tokens: 512 });
    const make = (): GpuDecodeSession => new GpuDecodeSession(new KvCache(pool, { maxTokens: 256 }), { heads, config });
    const tensors = (): StepTensors => {
      const of = (length: number) => emptyTensor({ context: own, type: 'f16', length });
      return { q: of(heads * headDim), k: of(headDim), v: of(headDim), out: of(heads * headDim) };
    };
    const [broken, sound] = [make(), make()];
    const step = tensors();
    broken.step(step);
    sound.step(tensors());
    await own.settled();
    step.out.buffer.destroy();
    // The same buffers as before: nothing is bound anew, only the submit can tell.
    broken.step(step);
    await expect(own.settled()).rejects.toThrow(code('internal'));
    expect(() => broken.step(tensors())).toThrow(/begin again from the prompt/);
    expect(() => broken.prefill(tensors(), 1)).toThrow(/begin again from the prompt/);
    sound.step(tensors());
    await own.settled();
    expect(sound.cache.length).toBe(2);
    const { length } = sound.cache;
    own.device.destroy();
    await own.device.lost;
    await Promise.resolve();
    expect(() => sound.step(tensors())).toThrow(code('device-lost'));
    expect(sound.cache.length).toBe(length);
  });
});

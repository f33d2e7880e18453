// KeyValueCache.fork: caches that share pages equal caches that share nothing, whatever each goes on to do.
import { afterEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { HipError, type HipConfig } from '@hip/mask-search';
import { createCpuRuntime, type CpuRuntime, type KeyValueCache } from '../src/index.ts';
import { Heap } from '../src/runtime/heap.ts';
import { configs, randomTensor } from './support.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const [HEADS, KV_HEADS, DIM] = [4, 2, 8];

/** One thing done to one of the caches there are: which one, and with which numbers. */
const steps = fc.array(
  fc.record({
    which: fc.nat(100),
    kind: fc.constantFrom<'append' | 'attend' | 'decode' | 'dense' | 'fork' | 'truncate' | 'dispose' | 'fail'>(
      'append',
      'append',
      'attend',
      'decode',
      'decode',
      'dense',
      'fork',
      'fork',
      'truncate',
      'dispose',
      'fail',
    ),
    tokens: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.nat(1000),
  }),
  { minLength: 8, maxLength: 30 },
);
type Step = typeof steps extends fc.Arbitrary<readonly (infer S)[]> ? S : never;

/** Does a step of one cache, and says what it gave. */
function take(cache: KeyValueCache, batch: number, { kind, tokens, share, seed }: Step): unknown {
  if (kind === 'truncate') {
    cache.truncate(Math.floor(share * cache.length));
    return cache.length;
  }
  const rows = kind === 'append' ? tokens : Math.min(cache.length, kind === 'decode' ? 1 : tokens);
  if (rows === 0) return undefined;
  const values = (width: number, at: number): Float32Array => randomTensor(batch * rows * width * DIM, seed + at);
  if (kind === 'append') {
    cache.append(values(KV_HEADS, 1), values(KV_HEADS, 2));
    return cache.length;
  }
  const q = values(HEADS, 3);
  if (kind === 'dense') return cache.attendDense(q);
  if (kind === 'decode') return { output: cache.decode(q), mask: cache.mask };
  return cache.attend(q);
}

/** Lets the n-th allocation of `work` fail. @returns whether it did */
function failing(n: number, work: () => void): boolean {
  // eslint-disable-next-line typescript/unbound-method
  const { allocate } = Heap.prototype;
  let left = n;
  const spy = vi.spyOn(Heap.prototype, 'allocate').mockImplementation(function (this: Heap, bytes: number) {
    if (left-- === 0) throw new HipError('out-of-memory', 'the memory ends here');
    return allocate.call(this, bytes);
  });
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof HipError && error.code === 'out-of-memory') return true;
    throw error;
  } finally {
    spy.mockRestore();
  }
}

/** An append that finds no memory changes nothing; one that found it is taken back. */
function failAppend(cpu: CpuRuntime, cache: KeyValueCache, batch: number, step: Step): void {
  const { length, bytes } = cache;
  const used = cpu.usedBytes;
  const did = failing(step.seed % 5, () => take(cache, batch, { ...step, kind: 'append' }));
  if (!did) cache.truncate(length);
  expect([cache.length, did ? cache.bytes : bytes, did ? cpu.usedBytes : used]).toEqual([length, bytes, used]);
}

/** A step gives both the same. */
function same(pair: Readonly<Record<'cache' | 'alone', KeyValueCache>>, batch: number, step: Step): void {
  expect(take(pair.cache, batch, step)).toEqual(take(pair.alone, batch, step));
}

describe('forks of a cache', () => {
  const create = (cpu: CpuRuntime, batch: number, type: 'f32' | 'f16', config: Partial<HipConfig>): KeyValueCache =>
    cpu.createCache({ batch, heads: HEADS, kvHeads: KV_HEADS, headDim: DIM, type, config });

  it.each([
    ['f32', 1, 'a vote and a remainder'],
    ['f16', 2, 'bound and exact stages'],
  ] as const)('equal caches that had the same steps and share nothing: %s, batch %i, %s', async (type, batch, name) => {
    using cpu = await createCpuRuntime({ threads: 2 });
    const config = { ...configs[name], refreshInterval: 3 };
    fc.assert(
      fc.property(steps, (list) => {
        // Every cache beside one that had all of its steps from the beginning, and those steps.
        let pairs = [
          { cache: create(cpu, batch, type, config), alone: create(cpu, batch, type, config), past: [] as Step[] },
        ];
        // Summaries that have room to grow are there before the first fork.
        const start = [600, 20, 120, 30].flatMap((tokens, i): Step[] => {
          const kind = i % 2 === 0 ? 'append' : 'attend';
          return [{ which: 0, kind, tokens, share: 0, seed: i }];
        });
        for (const step of [...start, ...list]) {
          const pair = pairs[step.which % pairs.length]!;
          const { cache, alone, past } = pair;
          if (step.kind === 'fork') {
            if (pairs.length === 4) continue;
            const again = create(cpu, batch, type, config);
            for (const before of past) take(again, batch, before);
            pairs.push({ cache: cache.fork(), alone: again, past: [...past] });
          } else if (step.kind === 'dispose') {
            if (pairs.length === 1) continue;
            cache.dispose();
            alone.dispose();
            pairs = pairs.filter((other) => other !== pair);
          } else if (step.kind === 'fail') failAppend(cpu, cache, batch, step);
          else {
            same(pair, batch, step);
            past.push(step);
          }
        }
        for (const { cache, alone, past } of pairs) {
          const last: Step = { which: 0, kind: 'dense', tokens: 5, share: 0, seed: past.length };
          same({ cache, alone }, batch, last);
          cache.dispose();
          alone.dispose();
        }
        expect(cpu.usedBytes).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  it('take the memory of one cache until they differ, and then of the pages that differ', async () => {
    using cpu = await createCpuRuntime({ threads: 1 });
    using cache = create(cpu, 1, 'f32', { stages: undefined });
    const values = randomTensor(1000 * KV_HEADS * DIM, 1);
    cache.append(values, values);
    const page = (cpu.usedBytes - 64) / 4;
    using fork = cache.fork();
    expect(cpu.usedBytes).toBe(4 * page + 128);
    expect(fork.bytes).toBe(cache.bytes);
    const one = values.subarray(0, KV_HEADS * DIM);
    cache.append(one, one);
    expect(cpu.usedBytes).toBe(5 * page + 128);
    // What the other no longer shares is its own: nothing more is copied.
    fork.append(one, one);
    expect(cpu.usedBytes).toBe(5 * page + 128);
    cache.dispose();
    expect(cpu.usedBytes).toBe(4 * page + 64);
    expect(fork.attendDense(randomTensor(HEADS * DIM, 2))).toHaveLength(HEADS * DIM);
  });

  it('that find no memory leave the cache as it was', async () => {
    using cpu = await createCpuRuntime({ threads: 1 });
    using cache = create(cpu, 1, 'f32', configs['a vote and a remainder']!);
    const values = randomTensor(600 * KV_HEADS * DIM, 1);
    cache.append(values, values);
    const q = randomTensor(HEADS * DIM, 2);
    cache.decode(q);
    const used = cpu.usedBytes;
    let n = 0;
    while (failing(n, () => cache.fork().dispose())) {
      expect(cpu.usedBytes).toBe(used);
      n++;
    }
    expect(n).toBeGreaterThan(2);
    cache.dispose();
    expect(cpu.usedBytes).toBe(0);
    expect(() => cache.fork()).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});

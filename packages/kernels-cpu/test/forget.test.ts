// KeyValueCache.forget: behind a window pages are given back, rows attend as before, and what would read them is refused.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { denseMask } from '@hip/mask-search';
import { createCpuRuntime, type CpuRuntime, type KeyValueCache } from '../src/index.ts';
import { randomTensor } from './support.ts';

const [heads, kvHeads, headDim, window] = [2, 1, 8, 40];
let cpu: CpuRuntime;
beforeAll(async () => {
  cpu = await createCpuRuntime({ threads: 1 });
});
afterAll(() => cpu.close());

/** Appends so many tokens, and attends with the last of them through the window. */
function step(cache: KeyValueCache, tokens: number, seed: number): Float32Array {
  cache.append(randomTensor(tokens * kvHeads * headDim, seed), randomTensor(tokens * kvHeads * headDim, seed + 1));
  const shape = { batch: 1, queries: tokens, keys: cache.length, heads, kvHeads, headDim };
  return cache.attendMasked(randomTensor(tokens * heads * headDim, seed + 2), { ...denseMask(shape, true), window });
}

it('gives what a cache gives that holds everything, in less memory, forked, saved and cut back', () => {
  using cache = cpu.createCache({ heads, kvHeads, headDim });
  using whole = cpu.createCache({ heads, kvHeads, headDim });
  for (let at = 0; at < 8; at++) {
    expect(step(cache, 200, 10 * at)).toEqual(step(whole, 200, 10 * at));
    cache.forget(Math.max(0, cache.length - window));
  }
  expect([cache.length, cache.forgotten]).toEqual([1600, 1536]);
  expect(cache.bytes).toBeLessThan(0.3 * whole.bytes);
  using fork = cache.fork();
  const saved = cache.save();
  using again = cpu.createCache({ heads, kvHeads, headDim });
  again.restore(saved);
  for (let page = saved.firstPage!; page < saved.pages; page++) again.writePage(page, cache.readPage(page));
  for (const each of [cache, fork, again]) each.truncate(1590);
  whole.truncate(1590);
  const expected = step(whole, 3, 90);
  for (const each of [cache, fork, again]) expect(step(each, 3, 90)).toEqual(expected);
  expect(() => again.readPage(0)).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
  // Empty, it is as new.
  cache.truncate(0);
  whole.truncate(0);
  expect(step(cache, 300, 7)).toEqual(step(whole, 300, 7));
  expect(cache.attendDense(randomTensor(heads * headDim, 1))).toEqual(
    whole.attendDense(randomTensor(heads * headDim, 1)),
  );
});

it('refuses to read what was given back', () => {
  using cache = cpu.createCache({ heads, kvHeads, headDim });
  step(cache, 600, 1);
  cache.forget(590);
  const q = randomTensor(heads * headDim, 3);
  const refused = expect.objectContaining({ code: 'unsupported', details: { forgotten: 512 } });
  const wide = denseMask({ batch: 1, queries: 1, keys: 600, heads, kvHeads, headDim }, true);
  for (const read of [
    () => cache.attendDense(q),
    () => cache.attend(q),
    () => cache.decode(q),
    () => cache.attendMasked(q, { ...wide, window: 89 }),
    () => cache.read(),
    () => cache.truncate(511),
  ])
    expect(read).toThrow(refused);
  expect(cache.attendMasked(q, { ...wide, window: 88 })).toHaveLength(heads * headDim);
  for (const tokens of [-1, 601, 0.5])
    expect(() => cache.forget(tokens)).toThrow(expect.objectContaining({ code: 'invalid-config' }));
});

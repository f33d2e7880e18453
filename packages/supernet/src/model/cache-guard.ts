// A pass that fails leaves its cache as it was; a cache that cannot be taken back is closed, in words.
import { SupernetError } from '../errors.ts';
import type { KeyValueCache } from './types.ts';

/** Caches left with part of a pass, and what broke it. */
const broken = new WeakMap<KeyValueCache, unknown>();
/** Caches of calls that have not returned. */
const busy = new WeakSet<KeyValueCache>();

/**
 * Runs one forward pass over a cache, by its `append`. Afterwards every layer holds `tokens` more, or the cache is as before.
 *
 * @throws SupernetError `invalid-input` when the cache is left of a failed pass, or its layers do not agree; what `pass` throws
 */
export function passOver<T>(
  cache: KeyValueCache,
  tokens: () => number,
  pass: (append: KeyValueCache['append']) => T,
): T {
  requireWhole(cache);
  const before = cache.length;
  let isTouched = false;
  try {
    const result = pass((layer, k, v) => {
      isTouched = true;
      return cache.append(layer, k, v);
    });
    requireEven(cache, before, tokens());
    return result;
  } catch (error) {
    if (isTouched) takeBack(cache, before, error);
    throw error;
  }
}

/**
 * Runs work of several passes over a cache, alone. What fails or is aborted leaves the cache as it was before the work.
 *
 * @throws SupernetError `invalid-input` when another call works on the cache; as {@link passOver}
 */
export async function workOn<T>(cache: KeyValueCache, work: () => Promise<T>): Promise<T> {
  requireWhole(cache);
  if (busy.has(cache)) {
    throw new SupernetError(
      'invalid-input',
      'another call works on this cache: await it first, or give each conversation a cache of its own',
    );
  }
  const before = cache.length;
  busy.add(cache);
  try {
    return await work();
  } catch (error) {
    if (cache.length !== before) takeBack(cache, before, error);
    throw error;
  } finally {
    busy.delete(cache);
  }
}

function takeBack(cache: KeyValueCache, length: number, cause: unknown): void {
  try {
    cache.truncate?.(length);
    if (cache.truncate && cache.length === length) return;
  } catch {
    // The error that made it necessary is the one to report.
  }
  broken.set(cache, cause);
}

function requireWhole(cache: KeyValueCache): void {
  if (!broken.has(cache)) return;
  throw new SupernetError(
    'invalid-input',
    'this cache holds part of a forward pass that failed and has no truncate(length) that takes it back: dispose it and run the conversation into a new one',
    {},
    { cause: broken.get(cache) },
  );
}

function requireEven(cache: KeyValueCache, before: number, tokens: number): void {
  if (cache.length === before + tokens) return;
  throw new SupernetError(
    'invalid-input',
    `after ${tokens} new tokens the cache holds ${cache.length}, expected ${before + tokens}: a conversation runs the same sub-network from its first token to its last, and a cache with an attention of its own wants that as options.attention`,
    { before, tokens, length: cache.length },
  );
}

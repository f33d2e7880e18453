// A sequence's caches as pieces of bytes, layer after layer, and such pieces as caches again.
import type { SavedCache } from '@hip/kernels-cpu';
import { LlmError } from '../../errors.ts';
import { pause } from '../pause.ts';
import type { LayerCache } from './layer-cache.ts';

/** Milliseconds of copying after which other tasks get their turn. */
const SLICE = 16;

/** @param check - throws where the engine is closed */
export async function* savedPages(
  caches: readonly LayerCache[],
  check: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  let since = performance.now();
  for (const cache of caches) {
    const { pages, firstPage = 0 } = cache.save();
    for (let page = firstPage; page < pages; page++) {
      check();
      yield cache.readPage(page);
      if (performance.now() - since < SLICE) continue;
      await pause();
      since = performance.now();
    }
  }
}

/** @throws LlmError `invalid-input` for a state of other layers, or pieces that end; HipError `invalid-shape`, `out-of-memory` */
export async function restoreCaches(
  caches: readonly LayerCache[],
  state: unknown,
  tokens: number,
  pieces: AsyncGenerator<Uint8Array, void, void>,
  check: () => void,
): Promise<void> {
  const saved = state as readonly SavedCache[];
  if (!Array.isArray(saved) || saved.length !== caches.length || saved.some((cache) => cache?.tokens !== tokens)) {
    throw wrong('its layers are others');
  }
  for (const [layer, cache] of caches.entries()) {
    cache.restore(saved[layer] as SavedCache);
    const { pages, firstPage = 0 } = cache.save();
    for (let page = firstPage; page < pages; page++) {
      const { value, done } = await pieces.next();
      check();
      if (done) throw wrong('pages are missing');
      cache.writePage(page, value);
    }
  }
}

function wrong(what: string): LlmError {
  return new LlmError('invalid-input', `this is no saved sequence of this engine: ${what}`, { what });
}

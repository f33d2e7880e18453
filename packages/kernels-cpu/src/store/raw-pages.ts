// A store's pages as bytes, and such bytes as pages again: what a cache that is kept elsewhere consists of.
import { HipError } from '@hip/mask-search';
import { paddedDim, PAGE_TOKENS } from '../plan/layout.ts';
import type { Engine } from '../runtime/engine.ts';
import type { Store } from './store.ts';

/** Runs of a page's bytes that are in use: of each batch entry, of keys and values, of each kv head. */
function runs(engine: Engine, store: Store, page: number): { readonly bytes: number; readonly at: readonly number[] } {
  const { batch, kvHeads, headDim } = store.shape;
  const tokens = Math.min(PAGE_TOKENS, store.length - page * PAGE_TOKENS);
  if (!Number.isSafeInteger(page) || page < store.firstPage || tokens <= 0) {
    const pages = Math.ceil(store.length / PAGE_TOKENS);
    throw new HipError(
      'invalid-shape',
      `page is ${page}: the cache has ${pages}, counted from 0${store.firstPage > 0 ? `, without the first ${store.firstPage}` : ''}`,
      {
        page,
        pages,
      },
    );
  }
  const row = paddedDim(headDim) * (store.type === 'f16' ? 2 : 4);
  const at: number[] = [];
  for (let b = 0; b < batch; b++) {
    const first = engine.heap.ints(store.fields(b).PAGES!, page + 1)[page]! >>> 0;
    for (let part = 0; part < 2 * kvHeads; part++) at.push(first + part * PAGE_TOKENS * row);
  }
  return { bytes: tokens * row, at };
}

/** [B, keys and values, Hkv, tokens of the page, d padded], in the store's type. @throws HipError `invalid-shape` */
export function readPage(engine: Engine, store: Store, page: number): Uint8Array<ArrayBuffer> {
  const { bytes, at } = runs(engine, store, page);
  const out = new Uint8Array(bytes * at.length);
  const memory = new Uint8Array(engine.heap.memory.buffer);
  at.forEach((from, i) => out.set(memory.subarray(from, from + bytes), i * bytes));
  return out;
}

/** Fills a page with what {@link readPage} gave. @throws HipError `invalid-shape` for another number of bytes */
export function writePage(engine: Engine, store: Store, page: number, given: Uint8Array): void {
  const { bytes, at } = runs(engine, store, page);
  if (given.byteLength !== bytes * at.length) {
    const message = `page ${page} is given ${given.byteLength} bytes and takes ${bytes * at.length}: give those of a cache of the same shape and type`;
    throw new HipError('invalid-shape', message, { page, given: given.byteLength, expected: bytes * at.length });
  }
  const memory = new Uint8Array(engine.heap.memory.buffer);
  at.forEach((to, i) => memory.set(given.subarray(i * bytes, (i + 1) * bytes), to));
}

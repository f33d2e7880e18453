// Blocks of a remote file, the last ones kept: small reads beside each other are one request, however many tensors there are.
import type { ByteSource } from './byte-source.ts';

/** Bytes that are asked for first, and of a block of a file that is kept whole. */
export const BLOCK_BYTES = 8 * 2 ** 20;
/** Bytes of a block of a larger file: what a small tensor between large ones costs. */
const SMALL_BLOCK_BYTES = 2 ** 20;
/** Bytes that are kept of a file. */
const KEPT_BYTES = 64 * 2 ** 20;
/** Blocks of a run that are all kept; of a longer one the first and the last. */
const SHORT_RUN = 8;

/** Bytes `from` … `to` − 1, exactly. */
export type ReadBytes = (from: number, to: number) => Promise<Uint8Array<ArrayBuffer>>;

/**
 * Reads through blocks. A run of missing blocks is one request; those of its ends are kept, and all of a short one.
 *
 * @param first - the first {@link BLOCK_BYTES}, where they are there already
 */
export function blockReader(
  size: number,
  readBytes: ReadBytes,
  first?: Uint8Array<ArrayBuffer>,
): Pick<ByteSource, 'read' | 'close'> {
  const blockBytes = size <= KEPT_BYTES ? BLOCK_BYTES : SMALL_BLOCK_BYTES;
  const kept = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  const startOf = (block: number) => Math.min(size, block * blockBytes);
  const keep = (block: number, bytes: Promise<Uint8Array<ArrayBuffer>>) => {
    kept.delete(block);
    kept.set(block, bytes);
    // A block that failed is asked for anew.
    bytes.catch(() => kept.get(block) === bytes && kept.delete(block));
    const [oldest] = kept.keys();
    if (kept.size > KEPT_BYTES / blockBytes && oldest !== undefined) kept.delete(oldest);
  };
  if (first) {
    for (let at = 0; at < first.byteLength; at += blockBytes) {
      keep(at / blockBytes, Promise.resolve(first.slice(at, at + blockBytes)));
    }
  }
  /** A run of blocks by one request; those that stay are copied, lest they hold all of it. */
  const load = (from: number, to: number): Promise<Uint8Array<ArrayBuffer>>[] => {
    const whole = readBytes(startOf(from), startOf(to));
    const stays = (i: number) => to - from <= SHORT_RUN || i === 0 || i === to - from - 1;
    return Array.from({ length: to - from }, (_, i) => {
      const [begin, end] = [startOf(from + i) - startOf(from), startOf(from + i + 1) - startOf(from)];
      const block = whole.then((bytes) =>
        stays(i) && to - from > 1 ? bytes.slice(begin, end) : bytes.subarray(begin, end),
      );
      block.catch(() => {});
      if (stays(i)) keep(from + i, block);
      return block;
    });
  };
  return {
    read: async (offset, length) => {
      if (length === 0) return new Uint8Array(0);
      const from = Math.floor(offset / blockBytes);
      const to = Math.floor((offset + length - 1) / blockBytes) + 1;
      const blocks: Promise<Uint8Array<ArrayBuffer>>[] = [];
      for (let block = from; block < to;) {
        const known = kept.get(block);
        if (known) {
          keep(block, known);
          blocks.push(known);
          block++;
          continue;
        }
        let end = block + 1;
        while (end < to && !kept.has(end)) end++;
        blocks.push(...load(block, end));
        block = end;
      }
      const out = new Uint8Array(length);
      for (const [i, block] of blocks.entries()) {
        const at = startOf(from + i) - offset;
        const bytes = await block;
        const begin = Math.max(0, -at);
        out.set(bytes.subarray(begin, Math.min(bytes.byteLength, length - at)), at + begin);
      }
      return out;
    },
    close: async () => kept.clear(),
  };
}

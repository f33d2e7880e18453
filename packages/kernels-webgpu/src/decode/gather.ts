// A cache's pages side by side in order of tokens, for kernels that read rows: from the device, and from the host where pages lie there.
import { bytesOf } from '../device/features.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import type { GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';

/**
 * The view's keys and values from token `first` on, which is a page's first. Pages of the device are copied in the call; pages of the
 * host are uploaded at once, so that the call must be submitted before anything else is gathered.
 *
 * @param room tokens behind those that there is room for. @defaultValue 0
 */
export function gather(
  call: GpuCall,
  cache: KvCache,
  view: CacheView,
  {
    index,
    first,
    keys,
    room = 0,
  }: { readonly index: number; readonly first: number; readonly keys: number; readonly room?: number },
): CacheView {
  const { pool } = cache;
  const { pageBytes } = pool.pools[index]!;
  const pages = cache.pages.slice(first / pool.pageTokens, Math.ceil(keys / pool.pageTokens));
  const count = Math.ceil((keys - first + room) / pool.pageTokens);
  const bytes = count * pageBytes;
  const [k, v] = [call.scratch(bytes, 'gathered keys'), call.scratch(bytes, 'gathered values')];
  pages.forEach((page, i) => {
    const slot = pool.planner.slotOf(page);
    if (slot === undefined) {
      pool.host.write(page, index, k, v, i * pageBytes);
      return;
    }
    call.copy(view.k.buffer, slot * pageBytes, k, i * pageBytes, pageBytes);
    call.copy(view.v.buffer, slot * pageBytes, v, i * pageBytes, pageBytes);
  });
  const tensor = (buffer: GPUBuffer): GpuTensor => ({ buffer, type: pool.type, length: bytes / bytesOf(pool.type) });
  const { kvHeads, firstKvHead } = view;
  return { kvHeads, firstKvHead, k: tensor(k), v: tensor(v), keyRows: count * pool.pageTokens };
}

// Rows of a layer with a window and sinks on the GPU: the decoder's windows leave sinks out, so their mask is written down.
import { destroyMask, encodeAttention, GpuCall, uploadMask, type GpuMask, type KvCache } from '@hip/kernels-webgpu';
import { denseMask } from '@hip/mask-search';
import { scaleOf } from './backend.ts';
import type { GpuLayerParts, GpuRows } from './webgpu-layer.ts';

/** Appends the rows' tokens and attends to the window and the key that stands for the sinks. One submit. */
export function attendWindowWithSink(
  { context, form, sizes }: GpuLayerParts,
  cache: KvCache,
  { q, k, v, out }: GpuRows,
  tokens: number,
): void {
  const { heads, kvHeads, headDim } = sizes;
  const { window } = form;
  using call = new GpuCall(context);
  cache.append(call, k, v, tokens);
  const group = heads / kvHeads;
  const keys = cache.length;
  let mask: GpuMask | undefined;
  try {
    for (const view of cache.views()) {
      const shape = {
        batch: 1,
        queries: tokens,
        keys,
        heads: view.kvHeads * group,
        kvHeads: view.kvHeads,
        headDim,
      };
      mask ??= uploadMask(context, { ...denseMask({ ...shape, heads }, true), window, sink: 1 });
      encodeAttention(call, { q, k: view.k, v: view.v, out }, shape, mask, {
        scale: scaleOf(form, sizes),
        softcap: form.softcap || undefined,
        queryHeads: heads,
        headFirst: view.firstKvHead * group,
      });
    }
    call.submit();
  } finally {
    if (mask) destroyMask(mask);
  }
}

// Whether a layer has adapters left when blocks are left out.
import type { ElasticSpace } from './types.ts';

/** Whether any product of a layer has an adapter; blocks that are left out have no products. */
export function hasAdapters(space: ElasticSpace, noAttention = false, noFfn = false): boolean {
  return (space.adaptedBlocks ?? []).some((block) => (block === 'attention' ? !noAttention : !noFfn));
}

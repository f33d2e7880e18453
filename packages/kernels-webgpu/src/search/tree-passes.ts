// The one pass of a slab of a tree search.
import { topBytes } from './code/top.ts';
import { memoCode } from './code/memo.ts';
import { treeCode, treeWords } from './code/tree.ts';
import type { SearchConstants } from './code/shape.ts';
import { capacityOf, searchableOf, type SearchPass, type SearchRequest } from './plan.ts';
import { rowTiling } from './row-tiling.ts';
import { requireOneWindow, type Slab } from './slabs.ts';

/** Plans the pass. Nodes that do not fit workgroup memory beside one row live in a storage buffer. */
export function treePasses(
  request: SearchRequest,
  constants: SearchConstants,
  slab: Slab,
): { passes: SearchPass[]; bytes: Record<string, number> } {
  const { shape, config, limits, profile, pageShift } = request;
  const keep = capacityOf(config);
  const z = slab.batches * (config.shareHeads ? 1 : shape.heads);
  const groups = Math.ceil(Math.min(config.blockQ, shape.queries) / config.strideQ);
  const searches = Math.ceil(searchableOf(slab.firstBlock + slab.blocks - 1, shape, config) / config.blockK) > keep;
  if (searches) requireOneWindow('tree', slab);
  const top = topBytes(2 * keep) + Math.ceil((2 * keep) / 32) * 4 + 256;
  const nodes = 4 * treeWords(keep);
  const spill = nodes + top + 4 * (shape.headDim * 4 + 4) > limits.maxComputeWorkgroupStorageSize;
  return {
    passes: [
      {
        label: 'search/tree',
        stage: 0,
        code: memoCode(treeCode, {
          constants,
          rows: rowTiling(groups, config.strideQ, 'max', request, 'all', top + (spill ? 0 : nodes)),
          blockK: config.blockK,
          strideK: config.strideK,
          keep,
          representative: config.representative,
          seed: config.seed % 2 ** 32,
          spill,
          subgroups: profile.tier !== 'basic',
        }),
        buffers: [
          'shape',
          'q',
          'k',
          'mask/starts',
          'mask/counts',
          ...(spill ? ['spill'] : []),
          ...(pageShift === undefined ? [] : ['pages']),
        ],
        workgroups: [1, slab.blocks, z],
        window: 0,
      },
    ],
    bytes: spill ? { spill: 4 * z * slab.blocks * treeWords(keep) } : {},
  };
}

// searchBlockMask: the blocked HiP mask search, one mask per (batch, head or shared, query block).
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { resolveConfig, type HipConfig } from '../config.ts';
import { checkShape, checkTensor, sizes, type FloatArray } from '../inputs.ts';
import { queryBlock, type QueryBlock } from './geometry.ts';
import { mulberry32 } from './random.ts';
import { BlockScorer, keyEnvelope, type Envelope, type WorkCount } from './scorer.ts';
import { stagedSearch } from './stages.ts';
import { representatives, treeSearch } from './tree.ts';

/** An empty mask of the configuration's capacity; all starts −1. */
export function emptyMask(shape: AttentionShape, config: HipConfig): BlockMask {
  const maskHeads = config.shareHeads ? 1 : shape.heads;
  const queryBlocks = Math.ceil(shape.queries / config.blockQ);
  const capacity = Math.ceil(config.k / config.blockK);
  const cells = shape.batch * maskHeads * queryBlocks;
  return {
    batch: shape.batch,
    maskHeads,
    queryBlocks,
    capacity,
    blockQ: config.blockQ,
    blockK: config.blockK,
    queries: shape.queries,
    keys: shape.keys,
    sink: config.sink,
    window: config.window,
    causal: config.causal,
    starts: new Int32Array(cells * capacity).fill(-1),
    counts: new Int32Array(cells),
  };
}

/**
 * Finds, for each block of `blockQ` queries, the key blocks that matter (hip.md §2, or §3 when `stages` are given).
 * A block that sees no more than k keys beyond sink and window keeps them all: its attention is exact.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d]
 * @param work counts what the search does, if given
 * @throws HipError `invalid-config`, `invalid-shape`, `non-finite`
 * @example
 * const shape = { batch: 1, queries: 2048, keys: 2048, heads: 1, kvHeads: 1, headDim: 8 };
 * const mask = searchBlockMask(q, k, shape, { k: 128 });
 */
export function searchBlockMask(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  options: Partial<HipConfig> = {},
  work: WorkCount = { dotProducts: 0, keysTouched: 0 },
): BlockMask {
  const config = resolveConfig(options);
  checkShape(shape);
  const size = sizes(shape);
  checkTensor('q', q, size.query);
  checkTensor('k', k, size.key);
  const mask = emptyMask(shape, config);
  const envelopes = new Map<number, Envelope>();
  const envelope = (chunk: number): Envelope => {
    let found = envelopes.get(chunk);
    if (!found) envelopes.set(chunk, (found = keyEnvelope(k, shape, config.sink, chunk)));
    return found;
  };
  const allHeads = Array.from({ length: shape.heads }, (_, head) => head);
  for (let batch = 0; batch < shape.batch; batch++) {
    for (let maskHead = 0; maskHead < mask.maskHeads; maskHead++) {
      const heads = config.shareHeads ? allHeads : [maskHead];
      for (let n = 0; n < mask.queryBlocks; n++) {
        const block = queryBlock(n, shape, config);
        const scorer = (strideQ: number, rows: 'max' | 'mean'): BlockScorer =>
          new BlockScorer(q, k, shape, config, work, { batch, heads, block, strideQ, rows });
        const firsts = searchOne(block, config, scorer, envelope);
        const cell = (batch * mask.maskHeads + maskHead) * mask.queryBlocks + n;
        mask.counts[cell] = firsts.length;
        mask.starts.set(firsts, cell * mask.capacity);
      }
    }
  }
  return mask;
}

/** Token index of each kept block's first key, ascending. */
function searchOne(
  block: QueryBlock,
  config: HipConfig,
  scorerOf: (strideQ: number, rows: 'max' | 'mean') => BlockScorer,
  envelope: (chunk: number) => Envelope,
): number[] {
  const { sink, blockK } = config;
  const blocks = Math.ceil(block.searchable / blockK);
  const keep = Math.ceil(config.k / blockK);
  if (blocks <= keep) return Array.from({ length: blocks }, (_, i) => sink + i * blockK);
  if (config.stages) {
    return stagedSearch(
      block,
      { sink, stages: config.stages },
      ({ strideQ, rows }) => scorerOf(strideQ, rows),
      ({ chunk }) => envelope(chunk),
    ).map((token) => sink + token);
  }
  const scorer = scorerOf(config.strideQ, 'max');
  const random = mulberry32(config.seed + block.index);
  const firsts = treeSearch(blocks, keep, (half) => {
    let best = -Infinity;
    for (const index of representatives(config.representative, half, random)) {
      for (let offset = 0; offset < blockK; offset += config.strideK) best = Math.max(best, scorer.key(sink + index * blockK + offset));
    }
    return best;
  });
  return firsts.map((first) => sink + first * blockK);
}

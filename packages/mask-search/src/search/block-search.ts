// The search of one query block, whichever algorithm the configuration names.
import type { HipConfig } from '../config/config.ts';
import type { SearchStage } from '../config/stages.ts';
import type { MemoryMeter } from '../work.ts';
import { ensembleCapacity, ensembleSearch } from './ensemble.ts';
import { KeyEnvelope } from './envelope.ts';
import type { QueryBlock } from './geometry.ts';
import { randomAt } from './random.ts';
import { BlockScorer, type ScorerInputs } from './scorer.ts';
import { stagedSearch, type ChunkSet } from './stages.ts';
import { representatives, treeSearch, type Node } from './tree.ts';

/** Envelopes by chunk length, kept between searches of a growing cache. */
export type Envelopes = Map<number, KeyEnvelope>;

/** Everything one search call shares between its blocks. */
export interface SearchContext extends ScorerInputs {
  readonly config: HipConfig;
  readonly meter: MemoryMeter;
  readonly envelopes: Envelopes;
}

/** Stage outputs of a query block, for later searches to start from. */
export interface StageMemory {
  /** Tokens the outputs are about. */
  searchable: number;
  outputs: ChunkSet[];
}

/** Slots a query block's mask needs at most. */
export function maskCapacity(config: HipConfig): number {
  const keep = Math.ceil(config.k / config.blockK);
  return config.ensemble ? ensembleCapacity(keep, config.ensemble) : keep;
}

function envelopeOf(context: SearchContext, { chunk }: SearchStage): KeyEnvelope {
  const { envelopes, shape, config, k, work, meter } = context;
  let envelope = envelopes.get(chunk);
  if (!envelope) envelopes.set(chunk, (envelope = new KeyEnvelope(shape, config.sink, chunk)));
  envelope.extend(k, shape.keys, work, meter);
  return envelope;
}

/**
 * Token index of each kept block's first key, ascending. All blocks when they fit into k (exact).
 * Cost (tree) O(k/strideK · log(T/k)) keys, each against heads·blockQ/strideQ rows.
 *
 * @param memory stage outputs to reuse (those it holds) and to fill
 */
export function searchBlock(
  context: SearchContext,
  { batch, heads, block }: { readonly batch: number; readonly heads: readonly number[]; readonly block: QueryBlock },
  memory?: StageMemory,
): number[] {
  const { config, meter } = context;
  const { sink, blockK, stages } = config;
  const searchable = memory && memory.outputs.length > 0 ? memory.searchable : block.searchable;
  const blocks = Math.ceil(searchable / blockK);
  const keep = Math.ceil(config.k / blockK);
  if (blocks <= keep) return Array.from({ length: blocks }, (_, i) => sink + i * blockK);
  if (!stages) return searchTree(context, { batch, heads, block }, blocks, keep).map((first) => sink + first * blockK);
  const scorerOf = ({ strideQ, rows }: SearchStage): BlockScorer =>
    new BlockScorer(context, { batch, heads, block, strideQ, rows });
  const outputs = stagedSearch(
    stages,
    { sink, searchable, scorerOf, envelopeOf: (stage) => envelopeOf(context, stage), meter },
    memory?.outputs,
  );
  if (memory) Object.assign(memory, { searchable, outputs });
  return outputs.at(-1)!.starts.map((token) => sink + token);
}

function searchTree(
  context: SearchContext,
  { batch, heads, block }: { readonly batch: number; readonly heads: readonly number[]; readonly block: QueryBlock },
  blocks: number,
  keep: number,
): number[] {
  const { config, meter } = context;
  const { sink, blockK, strideQ, strideK, representative, seed, ensemble } = config;
  const scorer = new BlockScorer(context, { batch, heads, block, strideQ, rows: 'max' });
  const random = randomAt(seed, block.position);
  meter.hold(scorer.size);
  const score = (half: Node): number => {
    let best = -Infinity;
    for (const index of representatives(representative, half, random)) {
      for (let offset = 0; offset < blockK; offset += strideK)
        best = Math.max(best, scorer.key(sink + index * blockK + offset));
    }
    return best;
  };
  const found = ensemble
    ? ensembleSearch(blocks, keep, ensemble, { seed, place: block.position, score, meter })
    : treeSearch(blocks, keep, score, { meter });
  meter.release(scorer.size);
  return found;
}

// The search of one query block, whichever algorithm the configuration names.
import type { HipConfig } from '../config/config.ts';
import type { ScoredStage } from '../config/stages.ts';
import type { MemoryMeter } from '../work.ts';
import { ensembleCapacity, ensembleSearch } from './ensemble.ts';
import { KeyEnvelope, KeyMoments, type KeySummary } from './envelope.ts';
import type { QueryBlock } from './geometry.ts';
import { randomAt } from './random.ts';
import { BlockScorer } from './scorer.ts';
import { stagedSearch, type ChunkSet, type StageContext } from './stages.ts';
import { representatives, treeSearch, type Node } from './tree.ts';
import { blockMasses, mostKeys, type VoteInputs } from './vote.ts';

/** Summaries by kind and chunk length (`bound 64`), kept between searches of a growing cache. */
export type Summaries = Map<string, KeySummary>;

/** Everything one search call shares between its blocks. */
export interface SearchContext extends VoteInputs {
  readonly config: HipConfig;
  readonly meter: MemoryMeter;
  readonly summaries: Summaries;
}

/** Stage outputs of a query block, for later searches to start from. */
export interface StageMemory {
  /** Tokens the outputs are about. */
  searchable: number;
  outputs: ChunkSet[];
}

/** Slots a query block's mask needs at most: those of the head with the largest budget. */
export function maskCapacity(config: Pick<HipConfig, 'k' | 'blockK' | 'kPerHead' | 'ensemble'>): number {
  const keep = Math.max(1, Math.ceil(Math.max(...(config.kPerHead ?? [config.k])) / config.blockK));
  return config.ensemble ? ensembleCapacity(keep, config.ensemble) : keep;
}

/** Keys that a mask head keeps. */
function budgetOf({ k, kPerHead }: HipConfig, heads: readonly number[]): number {
  return kPerHead ? kPerHead[heads[0]!]! : k;
}

function summaryOf(context: SearchContext, { chunk, score }: ScoredStage): KeySummary {
  const { summaries, shape, config, k, work, meter } = context;
  const name = `${score} ${chunk}`;
  const known = summaries.get(name);
  const summary = known ?? new (score === 'bound' ? KeyEnvelope : KeyMoments)(shape, config.sink, chunk);
  if (!known) summaries.set(name, summary);
  summary.extend(k, shape.keys, work, meter);
  return summary;
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
  const { sink, blockK } = config;
  const budget = budgetOf(config, heads);
  const searchable = memory && memory.outputs.length > 0 ? memory.searchable : block.searchable;
  const blocks = Math.ceil(searchable / blockK);
  const keep = Math.ceil(budget / blockK);
  if (blocks <= keep) return Array.from({ length: blocks }, (_, i) => sink + i * blockK);
  if (keep === 0) return [];
  const stages = config.stages?.map((stage, i, { length }) => (i === length - 1 ? { ...stage, keep: budget } : stage));
  if (!stages) return searchTree(context, { batch, heads, block }, blocks, keep).map((first) => sink + first * blockK);
  const scorerOf = ({ strideQ, rows, dims }: ScoredStage): BlockScorer =>
    new BlockScorer(context, { batch, heads, block, strideQ, rows, dims });
  const massesOf: StageContext['massesOf'] = ({ chunk, dims }, tokens) => {
    const starts = tokens.map((token) => sink + token);
    const held = mostKeys(context, { starts, chunk });
    meter.hold(held);
    const masses = blockMasses(context, { batch, heads, block, starts, chunk, dims });
    meter.release(held);
    return masses;
  };
  const outputs = stagedSearch(
    stages,
    { sink, searchable, scorerOf, massesOf, summaryOf: (stage) => summaryOf(context, stage), meter },
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

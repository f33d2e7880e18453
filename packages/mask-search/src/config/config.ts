// The parameters of HiP attention and what they mean (arXiv 2406.09827 §3; docs/specification/hip.md §2, §8).
import type { RemainderConfig } from './remainder.ts';
import type { SearchStage } from './stages.ts';

/** Which block stands for a half during the tree search; the paper's is the centre. `oracle`: the best of all its blocks, O(T). */
export type Representative = 'center' | 'first' | 'last' | 'random' | 'oracle';

/**
 * Several randomised tree searches whose survivors vote (the paper's ensemble). The first member is the plain search; the
 * others split their nodes at random points in the middle rounds.
 */
export interface EnsembleConfig {
  /** n_e: searches per query block. */
  readonly members: number;
  /** θ: a block stays if at least this many members found it. @defaultValue 1 (the union, the paper's best) */
  readonly votes?: number | undefined;
  /** Keep only the k keys' worth of blocks with most votes (ties: lower index), instead of all. @defaultValue false */
  readonly truncate?: boolean | undefined;
  /** First randomised round and the round after the last one. @defaultValue all but the first and the last round */
  readonly rounds?: readonly [number, number] | undefined;
}

/**
 * One layer's deviations; what is left out stays as the configuration says. `{}` changes nothing.
 *
 * @example
 * ```ts
 * import { layerConfig } from '@hip/mask-search';
 * const profile = '{"layers": [{"dense": true}, {"k": 128}, {"kPerHead": [64, 32], "remainder": false}]}';
 * const config = { ...JSON.parse(profile), denseLayers: 0, blockK: 16 };
 * console.log(layerConfig(config, 0)); // => dense
 * const second = layerConfig(config, 1);
 * console.log(second === 'dense' ? 0 : second.k); // => 128
 * ```
 */
export interface LayerOverride {
  /** The layer attends to all keys (up to `denseTokens`). @defaultValue whether it is among the first `denseLayers` */
  readonly dense?: boolean | undefined;
  /** Keys kept. @defaultValue the mean of `kPerHead`, or else `kPerLayer`'s or the configuration's */
  readonly k?: number | undefined;
  /** Keys kept by head. @defaultValue the configuration's */
  readonly kPerHead?: readonly number[] | undefined;
  /** `false` turns the remainder off. @defaultValue the configuration's */
  readonly remainder?: RemainderConfig | false | undefined;
  /** Tokens left to the last stage to choose from. @defaultValue as its stages say */
  readonly candidates?: number | undefined;
}

/**
 * Parameters of the HiP mask search (paper §3; defaults of the paper's experiments).
 *
 * All counts are in tokens unless a name says blocks.
 */
export interface HipConfig {
  /** Keys kept by the search per query block, besides sink and window. @defaultValue 512 */
  readonly k: number;
  /** b_q: query rows that share one mask. @defaultValue 64 */
  readonly blockQ: number;
  /** b_k: keys per key block. @defaultValue 2 */
  readonly blockK: number;
  /** b_sq: one query row in `strideQ` is scored, the last of each stride group. @defaultValue 2 */
  readonly strideQ: number;
  /** b_sk: keys `0, strideK, 2·strideK…` of a representative block are scored. @defaultValue 1 */
  readonly strideK: number;
  /**
   * Most recent keys every row always sees (its own position included). Without causality the last ones of the sequence, the same for
   * every row. @defaultValue 256
   */
  readonly window: number;
  /** First keys of the sequence every row always sees. @defaultValue 16 */
  readonly sink: number;
  /** @defaultValue 'center' */
  readonly representative: Representative;
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal: boolean;
  /** One mask for all heads (scores are maxed over heads, votes added) instead of one mask per head. @defaultValue false */
  readonly shareHeads: boolean;
  /** Decode steps between two searches (r_m). @defaultValue 8 */
  readonly refreshInterval: number;
  /** First layers of a model that keep dense attention (l_d). @defaultValue 3 */
  readonly denseLayers: number;
  /**
   * Visible keys up to which a dense layer is dense; with more it takes HiP with `kDense` keys and no remainder, so that nothing is
   * quadratic. Read by `layerConfig`. @defaultValue none: dense at any length
   */
  readonly denseTokens?: number | undefined;
  /** Keys of a dense layer beyond `denseTokens`. @defaultValue 4·k */
  readonly kDense?: number | undefined;
  /**
   * Multi-stage pruning instead of the tree search; the last stage's chunk is `blockK`, its keep is `k`.
   * @defaultValue see DEFAULT_CONFIG; undefined in PAPER_CONFIG (the tree search)
   */
  readonly stages?: readonly SearchStage[] | undefined;
  /** Several tree searches that vote; tree search only. @defaultValue none */
  readonly ensemble?: EnsembleConfig | undefined;
  /**
   * `k` of head 0, 1, … instead of one for all: multiples of `blockK`, 0 for a head that needs no blocks, at most what the stage before
   * the last keeps. `k` then only says what a head has on average. @defaultValue none
   */
  readonly kPerHead?: readonly number[] | undefined;
  /** What stands for the keys that the mask leaves out. `remainder: undefined` turns it off. @defaultValue none */
  readonly remainder?: RemainderConfig | undefined;
  /**
   * What a single row attends to when decoding: the blocks its vote selects, or all the candidates, without a vote (it would have to
   * read them anyway). @defaultValue 'selected'
   */
  readonly decodeKeys: 'selected' | 'candidates';
  /** `k` of layer 0, 1, …; later layers use `k`. Read by `layerConfig`. @defaultValue none */
  readonly kPerLayer?: readonly number[] | undefined;
  /** What layer 0, 1, … does differently: a profile. Wins over `kPerLayer`. Read by `layerConfig`. @defaultValue none */
  readonly layers?: readonly LayerOverride[] | undefined;
  /** Seed of the `random` representative and of ensembles. @defaultValue 0 */
  readonly seed: number;
}

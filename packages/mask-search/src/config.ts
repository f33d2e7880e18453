// The parameters of HiP mask search (hip.md §2), their defaults, and their validation.
import { HipError } from './errors.ts';

/** Which block stands for a half during the tree search; the paper's is the centre. */
export type Representative = 'center' | 'first' | 'last' | 'random' | 'oracle';

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
  /** Most recent keys every row always sees (its own position included). @defaultValue 256 */
  readonly window: number;
  /** First keys of the sequence every row always sees. @defaultValue 16 */
  readonly sink: number;
  /** @defaultValue 'center' */
  readonly representative: Representative;
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal: boolean;
  /** One mask for all heads (scores are maxed over heads) instead of one mask per head. @defaultValue false */
  readonly shareHeads: boolean;
  /** Decode steps between two searches (r_m). @defaultValue 8 */
  readonly refreshInterval: number;
  /** First layers of a model that keep dense attention (l_d). @defaultValue 3 */
  readonly denseLayers: number;
  /** Seed of the `random` representative and of ensembles. @defaultValue 0 */
  readonly seed: number;
}

/** The paper's parameters (hip.md §2). */
export const PAPER_CONFIG: HipConfig = Object.freeze({
  k: 512,
  blockQ: 64,
  blockK: 2,
  strideQ: 2,
  strideK: 1,
  window: 256,
  sink: 16,
  representative: 'center',
  causal: true,
  shareHeads: false,
  refreshInterval: 8,
  denseLayers: 3,
  seed: 0,
});

/** Fills in defaults and checks every value. @throws HipError `invalid-config` naming the field, the value and the fix. */
export function resolveConfig(config: Partial<HipConfig> = {}, defaults: HipConfig = PAPER_CONFIG): HipConfig {
  const merged: HipConfig = { ...defaults, ...config };
  const check = (name: keyof HipConfig, minimum: number): void => {
    const value = merged[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum) {
      throw new HipError('invalid-config', `${name} is ${String(value)}: give an integer >= ${minimum}`, { name, value });
    }
  };
  check('k', 1);
  check('blockQ', 1);
  check('blockK', 1);
  check('strideQ', 1);
  check('strideK', 1);
  check('window', 0);
  check('sink', 0);
  check('refreshInterval', 1);
  check('denseLayers', 0);
  check('seed', 0);
  return merged;
}

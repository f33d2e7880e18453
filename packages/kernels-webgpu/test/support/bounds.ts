// Configurations of bounds and exact scores without a vote.
import { BOUND_CONFIG, boundStages, resolveConfig, type HipConfig } from '@hip/mask-search';

/** `k` keys, with deviations. */
export const boundsOf = (k: number, changes: Partial<HipConfig> = {}): HipConfig =>
  resolveConfig({ ...BOUND_CONFIG, k, stages: boundStages(k), ...changes });

/** Blocks that fill a tile. */
export const BOUNDS: HipConfig = boundsOf(512, { blockQ: 64, stages: boundStages(512, 8) });

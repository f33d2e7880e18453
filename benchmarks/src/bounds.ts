// The search by bounds in blocks of 64 rows: what GPUs ran before rows voted, to compare with.
import { BOUND_CONFIG, boundStages, type HipConfig } from '@hip/mask-search';

/** BOUND_CONFIG with blocks of 64 rows and bounds of the means of 8: half the search's work, and fewer needles found. */
export const WIDE_BOUNDS: HipConfig = Object.freeze({
  ...BOUND_CONFIG,
  blockQ: 64,
  stages: boundStages(BOUND_CONFIG.k, 8),
});

// A configuration of bounds and exact scores without a vote, of blocks that fill a tile.
import { boundStages, resolveConfig, type HipConfig } from '@hip/mask-search';

export const BOUNDS: HipConfig = resolveConfig({
  k: 512,
  blockQ: 64,
  blockK: 16,
  window: 256,
  stages: boundStages(512, 8),
  denseTokens: undefined,
});

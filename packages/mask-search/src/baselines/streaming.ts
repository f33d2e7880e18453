// Sinks and a sliding window, nothing else: the StreamingLLM baseline.
import { emptyMask, type AttentionShape, type BlockMask } from '../block-mask.ts';
import { checkShape, positionsOf } from '../inputs.ts';
import { baselineConfig, type BaselineOptions } from './grid.ts';

/**
 * A mask without blocks whose window is `window + k`: every row reads as many keys as under a HiP mask of the same options, which is
 * how the two are compared.
 *
 * @throws HipError `invalid-shape`, `invalid-config`
 */
export function streamingMask(shape: AttentionShape, options: BaselineOptions = {}): BlockMask {
  checkShape(shape);
  positionsOf(shape, options.positions);
  const config = baselineConfig(options);
  return emptyMask(shape, { ...config, shareHeads: true, window: config.window + config.k }, 1, options.positions);
}

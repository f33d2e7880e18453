// Which attention a forward pass takes, and what stands against one that is not dense.
import type { ModelConfig } from '@hip/checkpoints';
import { SupernetError } from '../../errors.ts';
import { dropoutRate } from '../pass-dropout.ts';
import type { AttentionFunction, ForwardOptions } from '../types.ts';
import { denseAttention } from './dense.ts';

/** @throws SupernetError `invalid-option` (another one than dense attention where the model or its drop-out needs that) */
export function attentionOf(config: ModelConfig, options: ForwardOptions): AttentionFunction {
  const { attention = denseAttention } = options;
  if (attention === denseAttention) return attention;
  if (config.relativeAttention) {
    const message = `a ${config.family} model adds relative positions to its scores: leave attention out, which is dense then`;
    throw new SupernetError('invalid-option', message, { family: config.family });
  }
  const rate = dropoutRate(config, options, 'attention');
  if (rate > 0) {
    const message = "drop-out of attention is dense attention's: leave attention out, or dropout.attention";
    throw new SupernetError('invalid-option', message, { dropout: rate });
  }
  return attention;
}

// What an engine computes: causal decoders that read text. Everything else is refused by name before anything is read.
import type { ModelConfig } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';

/** @throws LlmError `unsupported-model` naming what the model has that is not computed here */
export function requireDecoder(config: ModelConfig): void {
  const reasons = {
    'no language-model head': config.head !== 'causal-lm',
    'attention to later tokens': !config.causal,
    'norms after the residual': config.norm.placement === 'post',
    'token types': config.typeVocabSize > 0,
    'image patches': config.patches !== undefined,
    'a transformed head': config.headDense !== 'none' || config.pooler || config.readoutNorm,
    'positions that skip padding': config.positionsSkipPadding,
    'norms inside attention and FFN': config.subNorm,
    'no attention in any layer': config.layerHeads?.every((heads) => heads === 0) ?? false,
  };
  const found = Object.entries(reasons).flatMap(([reason, applies]) => (applies ? [reason] : []));
  if (found.length === 0) return;
  const message = `a ${config.family} model with ${found.join(', ')} is not a decoder that is computed here: give a causal language model`;
  throw new LlmError('unsupported-model', message, { family: config.family, reasons: found });
}

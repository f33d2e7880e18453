// What an embedder computes: encoders of BERT's kind. Everything else is refused by name before anything is read.
import type { ModelConfig } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';

/** @throws LlmError `unsupported-model` naming what the model has that is not computed here */
export function requireEncoder(config: ModelConfig): void {
  const reasons = {
    'attention to earlier tokens only': config.causal,
    'image patches': config.patches !== undefined,
    'branches for images and texts': config.multiway === true,
    'relative positions': config.relativeAttention !== undefined,
    'rotated queries and keys': config.rope !== undefined,
    'sliding windows': config.slidingWindows?.some((window) => window > 0) === true,
    'norms elsewhere than after the residual': config.norm.placement !== 'post' || config.norm.kind !== 'layer',
    'norms inside attention and FFN': config.subNorm || config.qkNorm,
    'a gated FFN': config.gated,
    'attention or FFN left out of layers': [...(config.layerHeads ?? []), ...(config.layerFfn ?? [])].includes(0),
  };
  const found = Object.entries(reasons).flatMap(([reason, applies]) => (applies ? [reason] : []));
  if (found.length === 0) return;
  const message = `a ${config.family} model with ${found.join(', ')} is no encoder that is computed here: give one of BERT's, RoBERTa's or DistilBERT's kind`;
  throw new LlmError('unsupported-model', message, { family: config.family, reasons: found });
}

/** The encoder alone, whatever head the checkpoint has. */
export function bareEncoder(config: ModelConfig): ModelConfig {
  return {
    ...config,
    head: 'none',
    headDense: 'none',
    pooler: false,
    poolerNorm: false,
    readoutNorm: false,
    labels: 0,
    tiedEmbeddings: false,
    readout: 'tokens',
  };
}

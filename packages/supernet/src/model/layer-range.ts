// Which layers a model is asked to run by themselves, and whether it can.
import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';
import type { LayerRange } from './types.ts';

/** @throws SupernetError `invalid-option` (layers that are not there, none given to start from) */
export function checkRange({ layers }: ModelConfig, { from, to, entering }: LayerRange): void {
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= layers)) {
    throw new SupernetError(
      'invalid-option',
      `layers from ${from} to ${to}: expected integers, 0 to ${layers}, the first not after the second`,
      { from, to, layers },
    );
  }
  if (from > 0 && !entering) {
    throw new SupernetError(
      'invalid-option',
      `layers from ${from} on: entering is missing, the residual stream that layer ${from} gets`,
      { from },
    );
  }
}

/** What enters the first layer, which is as long and as wide as the embeddings. @throws SupernetError `invalid-option` */
export function enteringOf(embedded: tf.Tensor2D, { entering }: LayerRange): tf.Tensor2D {
  if (!entering) return embedded;
  const [given, wanted] = [entering.shape, embedded.shape];
  if (given[0] !== wanted[0] || given[1] !== wanted[1]) {
    throw new SupernetError(
      'invalid-option',
      `entering of shape [${given.join(', ')}]: expected [${wanted.join(', ')}], tokens of these inputs by channels`,
      { given, wanted },
    );
  }
  return entering;
}

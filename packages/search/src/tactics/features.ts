// Genes as numbers a predictor learns from: one column per level, and nothing at all for genes that are not used.
import { thermometerEncoder, type Encoder, type Gene as EncodedGene } from '@instatune/predictors';
import type { Gene } from '../genes.ts';
import type { Space } from '../space.ts';

const encoders = new WeakMap<Space, Encoder>();

function encoded({ kind, ordered, lower, upper }: Gene): EncodedGene {
  if (kind === 'real') return { type: 'real', lower, upper };
  return ordered ? { type: 'integer', lower, upper } : { type: 'categorical', levels: upper + 1 };
}

/** The encoder of a space's genes: thermometer columns for integers, one-hot for categories, one scaled column for reals. */
export function encoderOf(space: Space): Encoder {
  let encoder = encoders.get(space);
  if (!encoder) encoders.set(space, (encoder = thermometerEncoder(space.genes.map(encoded))));
  return encoder;
}

/**
 * Features of a candidate. Integers become thermometer columns (column k is 1 where the value is at least the k-th; the same span as one-hot, but
 * near values look near), categories one-hot columns, reals one scaled column. All columns of an unused gene are 0.
 */
export function featuresOf(space: Space, genes: readonly number[]): Float64Array {
  return encoderOf(space).encode(genes, space.active(genes));
}

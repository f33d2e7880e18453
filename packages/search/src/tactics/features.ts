// Genes as numbers a predictor learns from: one column per level, and nothing at all for genes that are not used.
import { thermometerEncoder, type Encoder, type Gene as EncodedGene } from '@instatune/predictors';
import type { Gene } from '../genes.ts';
import type { Space } from '../space.ts';

/** Longer permutations would be length² columns: they become one column an item, its place, which is in an order. */
const LONGEST_ONE_HOT = 64;

interface Features {
  readonly encoder: Encoder;
  /** First gene and length of each long permutation. */
  readonly long: readonly { readonly start: number; readonly length: number }[];
  /** Whether genes go to their even lines first. */
  readonly even: boolean;
}

const known = new WeakMap<Space, Features>();

function encoded({ kind, ordered, lower, upper, axis }: Gene): EncodedGene {
  if (axis) return { type: axis.whole ? 'integer' : 'real', lower: axis.lower, upper: axis.upper };
  if (kind === 'real') return { type: 'real', lower, upper };
  const places = kind === 'permutation' && upper >= LONGEST_ONE_HOT;
  return ordered || places ? { type: 'integer', lower, upper } : { type: 'categorical', levels: upper + 1 };
}

function featuresFor(space: Space): Features {
  let features = known.get(space);
  if (features) return features;
  const long: { start: number; length: number }[] = [];
  let start = 0;
  for (const variable of space.problem.space) {
    const length = variable.type === 'permutation' ? variable.length : 1;
    if (length > LONGEST_ONE_HOT) long.push({ start, length });
    start += length;
  }
  const even = space.genes.some(({ axis }) => axis !== undefined);
  features = { encoder: thermometerEncoder(space.genes.map(encoded)), long, even };
  known.set(space, features);
  return features;
}

/** The encoder of a space's genes: thermometer columns for integers, one-hot for categories, one scaled column for reals. */
export function encoderOf(space: Space): Encoder {
  return featuresFor(space).encoder;
}

/**
 * Features of a candidate. Integers become thermometer columns (column k is 1 where the value is at least the k-th; the same span as one-hot, but
 * near values look near), ordinals and steps likewise, categories one-hot columns, however many levels they have, reals one scaled column, of their
 * logarithm on a log scale. An integer of more than 64 values is
 * one column. Permutations are one-hot by place; of more than 64 items, one column an item: its place. All columns of an unused gene are 0.
 */
export function featuresOf(space: Space, genes: readonly number[]): Float64Array {
  const { encoder, long, even } = featuresFor(space);
  const placed = long.length === 0 ? genes : withPlaces(genes, long);
  const given = even ? placed.map((gene, index) => space.genes[index]!.axis?.place(gene) ?? gene) : placed;
  return encoder.encode(given, space.active(genes));
}

/** Instead of the item at each place, the place of each item. */
function withPlaces(genes: readonly number[], long: Features['long']): number[] {
  const places = [...genes];
  for (const { start, length } of long)
    for (let place = 0; place < length; place++) places[start + genes[start + place]!] = place;
  return places;
}

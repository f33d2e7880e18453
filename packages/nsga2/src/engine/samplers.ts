// Samplers of the first generation.
import { sampleUniform } from '../layout.ts';
import type { Sampler } from './mating.ts';

/**
 * Latin hypercube: each range is cut into as many strata as there are candidates, and each stratum is used once per
 * variable. Permutations are sampled at random.
 *
 * @returns a sampler for one run; give each run its own
 */
export function latinHypercube(): Sampler {
  let strata: Int32Array[] = [];
  return (layout, genes, random, index, count) => {
    if (index === 0) strata = Array.from({ length: layout.width }, () => random.permutation(count));
    sampleUniform(layout, genes, random);
    let position = 0;
    for (const variable of layout.variables) {
      if (variable.type === 'permutation') {
        position += variable.length;
        continue;
      }
      const low = layout.lower[position]!;
      const high = layout.upper[position]!;
      const share = (strata[position]![index]! + random.next()) / count;
      genes[position] =
        layout.whole[position] === 1
          ? low + Math.floor(share * (high - low + 1))
          : Math.min(high, low + share * (high - low));
      position++;
    }
  };
}

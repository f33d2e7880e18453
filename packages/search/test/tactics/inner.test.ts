import { describe, expect, it } from 'vitest';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { Space } from '../../src/space.ts';
import { innerSearch } from '../../src/tactics/inner.ts';
import type { Surrogate } from '../../src/tactics/surrogate.ts';

const space = new Space(bertSynth());
/** Predicts the number of levels above the lowest. */
const surrogate: Surrogate = {
  values: (batch) => batch.map((genes) => ({ ...space.exact(genes), accuracy: genes.reduce((a, b) => a + b, 0) })),
  deviations: () => undefined,
  info: {},
};

const keys = async (seed: number) => {
  const looked = await innerSearch({
    space,
    surrogate,
    bounds: [],
    evaluations: 60,
    population: 20,
    seed,
    initial: [],
    signal: undefined,
  });
  return looked.map(({ key }) => key);
};

describe('the inner search', () => {
  it('looks at other candidates with another seed, at the same with the same', async () => {
    const [first, again, other] = [await keys(1), await keys(1), await keys(2)];
    expect(first).toHaveLength(60);
    expect(again).toEqual(first);
    // From the first generation on: 7 · 4¹² · 3¹² candidates leave little to chance.
    expect(other.filter((key) => first.includes(key))).toEqual([]);
  });
});

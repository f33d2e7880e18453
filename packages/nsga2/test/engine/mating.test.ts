// Specification §4: in a genome with discrete genes at least one gene mutates.
import { describe, expect, it } from 'vitest';
import {
  boolean,
  categorical,
  integer,
  Nsga2,
  permutation,
  randomReset,
  real,
  repeat,
  type EngineOptions,
  type Variable,
} from '../../src/index.ts';

/** Children of parents that are all alike, so that crossover changes nothing: where they differ, they mutated. */
function childrenOf(variables: readonly Variable[], parent: readonly number[], options: EngineOptions = {}) {
  const engine = new Nsga2(
    { variables, objectives: 1, evaluate: () => [0] },
    {
      ...options,
      populationSize: 10,
      offspring: 300,
      duplicates: 'allow',
      initial: Array.from({ length: 10 }, () => parent),
    },
  );
  engine.tell(engine.ask().map(({ id }) => ({ id, objectives: [0] })));
  return engine.ask().map(({ genes }) => genes.flatMap((gene, index) => (gene === parent[index] ? [] : [index])));
}

describe('mutation', () => {
  it.each<[string, readonly Variable[], readonly number[]]>([
    ['booleans', repeat(boolean(), 12), Array.from({ length: 12 }, () => 0)],
    ['integers', repeat(integer(0, 4), 5), [0, 1, 2, 3, 4]],
    ['one permutation', [permutation(5)], [4, 3, 2, 1, 0]],
    [
      'a mix, reals among it',
      [...repeat(real(0, 1), 6), categorical(3), permutation(3)],
      [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0, 1, 2],
    ],
  ])('changes every child of %s', (_, variables, parent) => {
    const changed = childrenOf(variables, parent);
    expect(changed).toHaveLength(300);
    expect(Math.min(...changed.map(({ length }) => length))).toBeGreaterThan(0);
  });

  it('that is forced changes one gene, any of them', () => {
    const never = { mutation: randomReset({ rate: 0 }) };
    const changed = childrenOf(
      [...repeat(boolean(), 2), ...repeat(integer(0, 9), 3), real(0, 1)],
      [0, 1, 2, 3, 4, 0.5],
      {
        operators: { boolean: never, integer: never, real: never },
      },
    );
    expect(changed.every(({ length }) => length === 1)).toBe(true);
    const counts = [0, 1, 2, 3, 4, 5].map((index) => changed.filter(([gene]) => gene === index).length);
    expect(counts[5]).toBe(0);
    for (const count of counts.slice(0, 5)) expect(count).toBeGreaterThan(30);
  });
});

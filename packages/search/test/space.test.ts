import { Random } from '@instatune/nsga2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SearchProblem } from '../src/problem.ts';
import { bertSynth } from '../src/problems/bert-synth.ts';
import { Space, problemFingerprint } from '../src/space.ts';

const genesOf = (space: Space) =>
  fc
    .integer()
    .map((seed) => Array.from(space.genes, ({ lower, upper }, i) => new Random(seed * 31 + i).integer(lower, upper)));

describe('canonical form', () => {
  const problem = bertSynth();
  const byActive = new Space(problem);
  const byCanonical = new Space({
    ...problem,
    active: undefined as never,
    canonical: (genes) => byActive.canonical(genes),
  });

  it('is idempotent, does not change the objectives, and equal candidates get equal keys', () => {
    fc.assert(
      fc.property(genesOf(byActive), fc.nat(11), fc.nat(3), (genes, layer, head) => {
        const canonical = byActive.canonical(genes);
        expect(byActive.canonical(canonical)).toEqual(canonical);
        expect(byActive.exact(canonical)).toEqual(byActive.exact(genes));
        const other = [...genes];
        other[1 + layer] = head;
        const unused = layer >= 6 + genes[0]!;
        expect(byActive.key(byActive.canonical(other)) === byActive.key(canonical)).toBe(
          unused || other[1 + layer] === genes[1 + layer],
        );
      }),
    );
  });

  it('unused genes are found from the canonical form alone', () => {
    fc.assert(
      fc.property(genesOf(byActive), (genes) => {
        expect(byCanonical.active(genes)).toEqual(byActive.active(genes));
      }),
    );
  });
});

describe('a problem is checked', () => {
  const good: SearchProblem = {
    name: 'p',
    space: [{ type: 'integer', lower: 0, upper: 3 }],
    objectives: [{ name: 'a', kind: 'measured', evaluate: () => 1 }],
  };
  const bad: readonly [string, Partial<SearchProblem>, string][] = [
    ['no space', { space: [] }, 'space is empty'],
    ['no objectives', { objectives: [] }, 'no objectives'],
    ['a name twice', { attributes: [{ name: 'a', evaluate: () => 1 }] }, '"a" is named twice'],
    ['nothing to measure with', { objectives: [{ name: 'a', kind: 'measured' }] }, 'a has no evaluate'],
  ];
  it.each(bad)('%s', (_, change, message) => {
    expect(() => new Space({ ...good, ...change })).toThrow(
      expect.objectContaining({ code: 'invalid-problem', message: expect.stringContaining(message) as string }),
    );
  });
  it.each([[[4]], [[1.5]], [[1, 2]], [[NaN]]])('baseline %j', (baseline) => {
    expect(() => new Space({ ...good, baseline })).toThrow(expect.objectContaining({ code: 'invalid-genes' }));
  });

  it('the fingerprint sees genes, objectives and directions, not how they are computed', () => {
    const same: SearchProblem = { ...good, objectives: [{ name: 'a', kind: 'measured', evaluate: () => 2 }] };
    expect(problemFingerprint(same)).toBe(problemFingerprint(good));
    for (const change of [
      { name: 'q' },
      { space: [{ type: 'integer' as const, lower: 0, upper: 4 }] },
      { objectives: [{ ...good.objectives[0]!, direction: 'maximize' as const }] },
    ]) {
      expect(problemFingerprint({ ...good, ...change } as SearchProblem)).not.toBe(problemFingerprint(good));
    }
  });
});

import { runSearch } from '@instatune/search';
import { expect, it } from 'vitest';
import { frontTable } from '../../src/study/shared.ts';

it.each([Number.NaN, null, Infinity, undefined, 'n/a', true])(
  'a measurement that brings %j beside shows',
  async (peak) => {
    const problem = {
      name: 'extras',
      space: [{ type: 'integer', lower: 0, upper: 9, name: 'g' }],
      measure: ([g]: readonly number[]) => ({ loss: g!, peak }) as Record<string, number>,
      objectives: [
        { name: 'loss', kind: 'measured' },
        { name: 'size', kind: 'exact', evaluate: ([g]: readonly number[]) => 9 - g! },
      ],
    } as const;
    const result = await runSearch(problem, { tactic: 'random', evaluations: 8, population: 8, seed: 1 });
    const [head, ...rows] = frontTable(result, problem).split('\n');
    expect(head).toMatch(/trial +loss +size/);
    expect(rows).toHaveLength(result.front.length);
  },
);

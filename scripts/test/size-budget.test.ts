// A budget fails when an entry outgrows it, and knows every entry.
import { expect, it } from 'vitest';
import { budgetsFor, overBudget } from '../lib/size-budget.mjs';

const rows = [
  { entry: '@hip/attention', gzipBytes: 104_099 },
  { entry: '@instatune/nsga2', gzipBytes: 20_000 },
];

it('leaves an entry room to grow by a twentieth, and no more', () => {
  const budgets = budgetsFor(rows);
  expect(budgets).toEqual({ '@hip/attention': 109_400, '@instatune/nsga2': 21_000 });
  expect(overBudget(rows, budgets)).toEqual([]);
  const [grown] = overBudget([rows[0]!, { entry: '@instatune/nsga2', gzipBytes: 21_001 }], budgets);
  expect(grown).toContain('@instatune/nsga2 is 21001 bytes gzip, budget 21000');
});

it('knows every entry: new ones have no budget, old ones leave none behind', () => {
  const said = overBudget([rows[0]!, { entry: '@hip/new', gzipBytes: 1 }], budgetsFor(rows)).join('\n');
  expect(said).toContain('@hip/new has no budget');
  expect(said).toContain('@instatune/nsga2 has a budget and is no entry any more');
});

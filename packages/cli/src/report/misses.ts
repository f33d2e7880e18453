// What a budget that the last measurement does not keep is called in words.
import type { FinalMiss } from '../budget/final.ts';
import { shown } from './numbers.ts';

/** In a sentence; empty where the budget is kept. */
export function missesText(misses: readonly FinalMiss[]): string {
  if (misses.length === 0) return '';
  const parts = misses.map(
    ({ text, name, relation, bound, value }) =>
      `${text} (${shown(name, value)}, not ${relation} ${shown(name, bound)})`,
  );
  return `The search found it within the budget, the last measurement did not: ${parts.join('; ')}.`;
}

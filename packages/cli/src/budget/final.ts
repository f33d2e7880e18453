// Whether a budget is kept by what is measured at the end: the search chose by other data, and by latencies of another moment.
import { resolveBudget } from './choose.ts';
import { parseBudget } from './grammar.ts';
import { missOf } from './nearest.ts';

/** A bound of the budget that the last measurement does not keep. */
export interface FinalMiss {
  /** As it was written. */
  readonly text: string;
  readonly name: string;
  readonly relation: '<=' | '>=';
  /** What it comes to with the full network's value of the last measurement. */
  readonly bound: number;
  readonly value: number;
}

/** Bounds that do not hold of what was measured at the end, of the full network and of the chosen one. */
export function finalMisses({
  settings,
  full,
  small,
}: {
  readonly settings: { readonly budget: readonly string[] };
  readonly full: Readonly<Record<string, number>>;
  readonly small: Readonly<Record<string, number>>;
}): FinalMiss[] {
  const known = parseBudget(settings.budget).filter(({ name }) => full[name] !== undefined);
  return resolveBudget(known, full).flatMap((each) => {
    const { text, name, relation, bound } = each;
    return missOf(each, small) > 0 ? [{ text, name, relation, bound, value: small[name] ?? Number.NaN }] : [];
  });
}

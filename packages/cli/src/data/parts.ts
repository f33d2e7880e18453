// How many examples search and report get, and which.
import { deriveSeed, SeededRandom, shuffledIndices } from '@instatune/supernet';
import { TuneError } from '../errors.ts';

/** Options of every task's data. */
export interface PartOptions {
  /** Share (< 1) or number of examples that the search looks at. @defaultValue a tenth, at most 1,000 */
  readonly validation?: number | undefined;
  /** Share or number that is kept for the report, where no test set is given. @defaultValue a tenth, at most 2,000 */
  readonly report?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
}

/** @throws TuneError `invalid-option` where nothing would be left of a part */
export function partSizes(
  examples: number,
  { validation, report, reportGiven }: PartOptions & { readonly reportGiven: boolean },
): { readonly validation: number; readonly report: number } {
  const count = (part: number) => (part < 1 ? Math.round(part * examples) : Math.round(part));
  const sizes = {
    validation: Math.max(1, validation === undefined ? Math.min(1000, count(0.1)) : count(validation)),
    report: reportGiven ? 0 : Math.max(1, report === undefined ? Math.min(2000, count(0.1)) : count(report)),
  };
  const left = examples - sizes.validation - sizes.report;
  const isCount = [validation, report].every((part) => part === undefined || (part > 0 && Number.isFinite(part)));
  if (left >= 1 && isCount) return sizes;
  throw new TuneError(
    'invalid-option',
    `of ${examples} examples ${sizes.validation} to search by and ${sizes.report} to report leave ${Math.max(0, left)} to train on: give more data, or smaller parts`,
    { examples, ...sizes },
  );
}

/**
 * Rows in three parts; rows with the same key are in the same one.
 *
 * @throws TuneError `invalid-option` as {@link partSizes}
 */
export function splitRows<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  options: PartOptions & { readonly reportGiven: boolean },
): { readonly train: readonly Row[]; readonly validation: readonly Row[]; readonly report: readonly Row[] } {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  const distinct = [...groups.values()];
  const { validation, report } = partSizes(distinct.length, options);
  const order = shuffledIndices(distinct.length, new SeededRandom(deriveSeed(options.seed ?? 0, 5)));
  const take = (from: number, to: number) =>
    Array.from(order.subarray(from, to).sort(), (index) => distinct[index]!).flat();
  return {
    validation: take(0, validation),
    report: take(validation, validation + report),
    train: take(validation + report, distinct.length),
  };
}

// Rows of an Optuna storage's tables of values and attributes, for its studies and for views of them.
import type { AttributeTexts } from './optuna-constraints.ts';

type TableRow = Readonly<Record<string, unknown>>;

/** A row of `trial_values` as a number; undefined where it is infinite, which Optuna 3 and later say in a column of its own. */
export function finiteValue({ value, value_type: type = 'FINITE' }: TableRow): number | undefined {
  return type === 'FINITE' && Number.isFinite(value) ? Number(value) : undefined;
}

/** Rows by their `trial_id`. */
export function byTrial<R extends TableRow>(rows: readonly R[]): ReadonlyMap<unknown, readonly R[]> {
  const groups = new Map<unknown, R[]>();
  for (const row of rows) {
    const group = groups.get(row['trial_id']);
    if (group) group.push(row);
    else groups.set(row['trial_id'], [row]);
  }
  return groups;
}

/** Selects what {@link attributesByTrial} takes, of the trials in brackets behind it. */
export const CONSTRAINT_ATTRIBUTES =
  "SELECT trial_id, key, value_json FROM trial_system_attributes WHERE key LIKE '%constraints%' AND trial_id IN";

/** Trials' attributes as they are written, by `trial_id`. */
export function attributesByTrial(rows: readonly TableRow[]): ReadonlyMap<unknown, AttributeTexts> {
  return new Map(
    [...byTrial(rows)].map(([trial, own]) => [
      trial,
      Object.fromEntries(own.map(({ key, value_json: text }) => [String(key), String(text)])),
    ]),
  );
}

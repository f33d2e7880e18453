// Rows of an Optuna storage's tables of values, for its studies and for views of them.

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

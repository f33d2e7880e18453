// Measured rows beside stored ones, by case; and all of it as JSON.
import type { CandidateName, Case, Environment, MeasuredRow, StoredRow } from './protocol.ts';

export interface ComparedRow extends MeasuredRow {
  /** How many times as fast HiP was here in the same case. */
  readonly timesHip?: number;
  /** Milliseconds of the stored row of the same case, and the ratio there. */
  readonly storedMs?: number;
  readonly storedTimesHip?: number;
}

const isSame = (a: Case, b: Case): boolean => a.part === b.part && a.device === b.device && a.tokens === b.tokens;

/** Adds ratios, and what is stored of the same case. */
export function compare(rows: readonly MeasuredRow[], stored: readonly StoredRow[]): ComparedRow[] {
  return rows.map((row) => {
    const there = (candidate: CandidateName): number | undefined =>
      stored.find((one) => one.candidate === candidate && isSame(one, row))?.ms;
    const hip = rows.find((one) => one.candidate === 'hip' && isSame(one, row))?.ms;
    const [storedMs, storedHip] = [there(row.candidate), there('hip')];
    return {
      ...row,
      ...(row.ms !== undefined && hip !== undefined && { timesHip: row.ms / hip }),
      ...(storedMs !== undefined && { storedMs }),
      ...(storedMs !== undefined && storedHip !== undefined && { storedTimesHip: storedMs / storedHip }),
    };
  });
}

/** Rows of one case each, in their order. */
export function byCase<Row extends Case>(rows: readonly Row[]): Row[][] {
  const groups: Row[][] = [];
  for (const row of rows) {
    const group = groups.find(([first]) => isSame(first!, row));
    if (group) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

/** What a visitor copies. `ms` are medians: of a call in prefill, of a token in decode. */
export function reportJson(environment: Environment, rows: readonly ComparedRow[]): string {
  return `${JSON.stringify({ name: 'playground-measure', environment, rows }, null, 1)}\n`;
}

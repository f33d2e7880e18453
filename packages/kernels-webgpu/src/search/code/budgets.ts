// How many candidates a stage keeps: one number, or one a head (docs/specification/hip.md §8.2).

/** What a stage keeps of each cell. */
export interface Budget {
  /** Candidates kept, the largest budget's: slots of a cell. */
  readonly keep: number;
  /** Candidates kept by query head. @defaultValue keep for all */
  readonly keepPerHead?: readonly number[] | undefined;
}

/** Declares `keep_of(z)`: candidates that the cell keeps. Expects the geometry's functions. */
export function budgetCode({ keep, keepPerHead }: Budget): string {
  if (!keepPerHead) return `fn keep_of(z: u32) -> u32 { return ${keep}u; }`;
  const list = keepPerHead.map((count) => `${count}u`).join(', ');
  return `const BUDGETS = array<u32, ${keepPerHead.length}>(${list});
fn keep_of(z: u32) -> u32 { return BUDGETS[shape.headOffset + head_of(z)]; }`;
}

/** Candidates that a cell needs at least for its stage to choose. */
export function leastKept({ keep, keepPerHead }: Budget): number {
  return keepPerHead ? Math.min(...keepPerHead) : keep;
}

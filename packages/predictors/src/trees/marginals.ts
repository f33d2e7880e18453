// Functional ANOVA of a tree (Hutter, Hoos and Leyton-Brown 2014, §3): how much of its variance each column causes alone, exactly.
import type { Tree } from './tree.ts';

/** Values of a column, all equally likely: an interval, or a list. */
export type ColumnDomain = { readonly lower: number; readonly upper: number } | { readonly values: readonly number[] };

/** Shares of a column's values up to a cut: of a list, those that are not above it; of an interval, its length. */
type Cumulative = (cut: number) => number;

function cumulativeOf(domain: ColumnDomain): Cumulative {
  if ('values' in domain) {
    const sorted = Float64Array.from(domain.values).toSorted();
    return (cut) => {
      let low = 0;
      let high = sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle]! <= cut) low = middle + 1;
        else high = middle;
      }
      return low / sorted.length;
    };
  }
  const { lower, upper } = domain;
  return (cut) => (upper > lower ? Math.min(1, Math.max(0, (cut - lower) / (upper - lower))) : cut >= lower ? 1 : 0);
}

/** A leaf's part of a column, as shares of it. */
interface Side {
  readonly column: number;
  readonly from: number;
  readonly to: number;
}

interface Leaf {
  readonly value: number;
  readonly volume: number;
  readonly sides: readonly Side[];
}

/** What one tree says: its variance over the whole domain, and of that what each column causes alone. */
export interface TreeVariance {
  readonly total: number;
  readonly alone: Float64Array;
}

/** Leaves·depth steps, and a sort of each column's cuts. Leaves that no candidate reaches count nothing. */
export function treeVariance(tree: Tree, domains: readonly ColumnDomain[]): TreeVariance {
  const leaves = leavesOf(tree, domains.map(cumulativeOf));
  const mean = leaves.reduce((sum, { value, volume }) => sum + value * volume, 0);
  const total = leaves.reduce((sum, { value, volume }) => sum + (value - mean) ** 2 * volume, 0);
  const alone = new Float64Array(domains.length);
  const byColumn = new Map<number, { readonly leaf: Leaf; readonly side: Side }[]>();
  for (const leaf of leaves) {
    for (const side of leaf.sides) {
      const own = byColumn.get(side.column);
      if (own) own.push({ leaf, side });
      else byColumn.set(side.column, [{ leaf, side }]);
    }
  }
  for (const [column, own] of byColumn) alone[column] = varianceAlong(own);
  return { total, alone };
}

/** Variance of the mean over all other columns, as a step function of one: leaves that this column does not cut are the same everywhere. */
function varianceAlong(own: readonly { readonly leaf: Leaf; readonly side: Side }[]): number {
  const changes = new Map<number, number>();
  const change = (at: number, by: number) => changes.set(at, (changes.get(at) ?? 0) + by);
  let covered = 0;
  for (const { leaf, side } of own) {
    const height = (leaf.value * leaf.volume) / (side.to - side.from);
    covered += leaf.value * leaf.volume;
    change(side.from, height);
    change(side.to, -height);
  }
  const cuts = [...changes.keys()].sort((a, b) => a - b);
  // Height above the mean: the leaves elsewhere give `mean - covered` to every place.
  let height = -covered;
  let variance = 0;
  cuts.forEach((cut, index) => {
    height += changes.get(cut)!;
    const end = cuts[index + 1] ?? 1;
    variance += height * height * (end - cut);
  });
  if (cuts[0]! > 0) variance += covered * covered * cuts[0]!;
  return variance;
}

function leavesOf(tree: Tree, cumulative: readonly Cumulative[]): readonly Leaf[] {
  const leaves: Leaf[] = [];
  const walk = (node: number, sides: ReadonlyMap<number, Side>): void => {
    const column = tree.feature[node]!;
    if (column < 0) {
      const list = [...sides.values()];
      const volume = list.reduce((product, { from, to }) => product * (to - from), 1);
      if (volume > 0) leaves.push({ value: tree.value[node]!, volume, sides: list });
      return;
    }
    const { from, to } = sides.get(column) ?? { from: 0, to: 1 };
    const cut = Math.min(to, Math.max(from, cumulative[column]!(tree.threshold[node]!)));
    if (cut > from) walk(tree.left[node]!, new Map(sides).set(column, { column, from, to: cut }));
    if (cut < to) walk(tree.right[node]!, new Map(sides).set(column, { column, from: cut, to }));
  };
  walk(0, new Map());
  return leaves;
}

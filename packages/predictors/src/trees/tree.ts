// One regression tree on binned features: splits that lower the squared error most, leaves that hold (shrunken) means.
import { Random } from '../core/random.ts';
import type { SavedState } from '../core/saved.ts';
import type { Bins } from './bins.ts';

/** Nodes in parallel arrays; node 0 is the root; `feature` −1 is a leaf. Rows with value ≤ threshold go left. */
export interface Tree {
  readonly feature: Int32Array;
  readonly threshold: Float64Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly value: Float64Array;
}

export interface TreeOptions {
  readonly maxDepth: number;
  /** Rows a leaf has at least. */
  readonly minLeaf: number;
  /** Columns looked at in each node, drawn at random. */
  readonly columns: number;
  /** Added to a leaf's row count: shrinks its mean toward 0. */
  readonly shrinkage: number;
}

interface Split {
  readonly feature: number;
  readonly code: number;
  readonly gain: number;
}

/** Gains, and differences between gains, below this share of the node's sum of squares are rounding: of equal splits the first is taken, in any unit. */
const LEAST_GAIN = 1e-12;

/** Grows a tree on the given rows (repeats allowed: a bootstrap). */
export function growTree(
  bins: Bins,
  targets: Float64Array,
  sample: Int32Array,
  options: TreeOptions,
  random: Random,
): Tree {
  const { codes, edges, rows: n, varying } = bins;
  const { maxDepth, minLeaf, shrinkage } = options;
  const order = Int32Array.from(sample);
  const spare = new Int32Array(order.length);
  const features: number[] = [];
  const thresholds: number[] = [];
  const lefts: number[] = [];
  const rights: number[] = [];
  const values: number[] = [];
  const pool = Int32Array.from(varying);
  const tries = Math.min(options.columns, pool.length);
  const sums = new Float64Array(256);
  const counts = new Int32Array(256);
  /** Targets in the order of the node's rows. */
  const ordered = new Float64Array(order.length);

  const bestSplit = (from: number, to: number, total: number, squares: number): Split | undefined => {
    const size = to - from;
    const parent = (total * total) / (size + shrinkage);
    let best: Split | undefined;
    for (let t = 0; t < tries; t++) {
      // The first `tries` of a shuffle that goes on from the last one.
      const other = tries === pool.length ? t : t + random.below(pool.length - t);
      const feature = pool[other]!;
      pool[other] = pool[t]!;
      pool[t] = feature;
      const width = edges[feature]!.length + 1;
      const column = feature * n;
      if (width === 2) {
        // Most columns of encoded genes: the sum of one side is enough.
        let sum = 0;
        let ones = 0;
        for (let i = from; i < to; i++) {
          const code = codes[column + order[i]!]!;
          sum += code * ordered[i]!;
          ones += code;
        }
        sums[0] = total - sum;
        counts[0] = size - ones;
      } else {
        sums.fill(0, 0, width);
        counts.fill(0, 0, width);
        for (let i = from; i < to; i++) {
          const code = codes[column + order[i]!]!;
          sums[code]! += ordered[i]!;
          counts[code]!++;
        }
      }
      let leftSum = 0;
      let leftCount = 0;
      for (let code = 0; code < width - 1; code++) {
        if (counts[code] === 0) continue;
        leftSum += sums[code]!;
        leftCount += counts[code]!;
        if (leftCount < minLeaf) continue;
        if (size - leftCount < minLeaf) break;
        const rightSum = total - leftSum;
        const gain =
          (leftSum * leftSum) / (leftCount + shrinkage) +
          (rightSum * rightSum) / (size - leftCount + shrinkage) -
          parent;
        if (gain > (best?.gain ?? 0) + LEAST_GAIN * squares) best = { feature, code, gain };
      }
    }
    return best;
  };

  const grow = (from: number, to: number, depth: number): number => {
    const node = features.length;
    let total = 0;
    let squares = 0;
    for (let i = from; i < to; i++) {
      const value = targets[order[i]!]!;
      ordered[i] = value;
      total += value;
      squares += value * value;
    }
    features.push(-1);
    thresholds.push(0);
    lefts.push(0);
    rights.push(0);
    values.push(total / (to - from + shrinkage));
    if (depth >= maxDepth || to - from < 2 * minLeaf) return node;
    const split = bestSplit(from, to, total, squares);
    if (!split) return node;
    const column = split.feature * n;
    let low = from;
    let kept = 0;
    for (let i = from; i < to; i++) {
      const row = order[i]!;
      if (codes[column + row]! <= split.code) order[low++] = row;
      else spare[kept++] = row;
    }
    order.set(spare.subarray(0, kept), low);
    features[node] = split.feature;
    thresholds[node] = edges[split.feature]![split.code]!;
    lefts[node] = grow(from, low, depth + 1);
    rights[node] = grow(low, to, depth + 1);
    return node;
  };
  grow(0, order.length, 0);
  return {
    feature: Int32Array.from(features),
    threshold: Float64Array.from(thresholds),
    left: Int32Array.from(lefts),
    right: Int32Array.from(rights),
    value: Float64Array.from(values),
  };
}

/** The leaf value of one row of `data`. */
export function treeValue({ feature, threshold, left, right, value }: Tree, data: Float64Array, from: number): number {
  let node = 0;
  while (feature[node]! >= 0) node = data[from + feature[node]!]! <= threshold[node]! ? left[node]! : right[node]!;
  return value[node]!;
}

export function treeToJSON(tree: Tree): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(tree).map(([name, values]: [string, Int32Array | Float64Array]) => [name, Array.from(values)]),
  );
}

/** @throws PredictorError `invalid-state` unless children come after their parents, which rules out loops */
export function treeFrom(state: SavedState, features: number): Tree {
  const value = state.numbers('value');
  const size = value.length;
  if (size === 0) state.fail('value', 'a list of at least one number');
  const tree = {
    feature: state.indices('feature', features, size, -1),
    threshold: state.numbers('threshold', size),
    left: state.indices('left', size, size),
    right: state.indices('right', size, size),
    value,
  };
  tree.feature.forEach((feature, node) => {
    if (feature >= 0 && (tree.left[node]! <= node || tree.right[node]! <= node)) state.fail('left and right', 'a tree');
  });
  return tree;
}

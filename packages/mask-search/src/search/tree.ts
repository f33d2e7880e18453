// The paper's tree search (hip.md §2): halve every node, keep the M best halves by their representatives, until nodes are single blocks.
import type { HipConfig } from '../config.ts';
import { selectLargest } from './select.ts';

/** A run of key blocks: blocks [first, first + size). */
export interface Node {
  readonly first: number;
  readonly size: number;
}

/** What the tree asks: the score of a half, through whichever representative the configuration names. */
export type HalfScore = (half: Node) => number;

/** Splits `blocks` key blocks into `count` contiguous nodes whose sizes differ by at most one. */
export function initialNodes(blocks: number, count: number): Node[] {
  return Array.from({ length: count }, (_, j) => {
    const first = Math.floor((j * blocks) / count);
    return { first, size: Math.floor(((j + 1) * blocks) / count) - first };
  });
}

/** Left half floor(size / 2), right half the rest. A node of one block has a dead left half. */
export function halves({ first, size }: Node): readonly [Node, Node] {
  const left = Math.floor(size / 2);
  return [
    { first, size: left },
    { first: first + left, size: size - left },
  ];
}

/**
 * Runs the rounds.
 *
 * Cost: ceil(log2(blocks / keep)) rounds of at most 2·keep scores.
 *
 * @param blocks key blocks to search, more than `keep`
 * @returns first block of each survivor, ascending
 */
export function treeSearch(blocks: number, keep: number, score: HalfScore): number[] {
  let nodes = initialNodes(blocks, keep);
  while (nodes.some(({ size }) => size > 1)) {
    const candidates = nodes.flatMap(halves);
    const alive = candidates.map(({ size }) => size > 0);
    const scores = candidates.map((half, i) => (alive[i] ? score(half) : -Infinity));
    nodes = selectLargest(scores, keep, alive).map((i) => candidates[i]!);
  }
  return nodes.map(({ first }) => first).sort((a, b) => a - b);
}

/** Blocks that stand for a half. */
export function representatives(kind: HipConfig['representative'], { first, size }: Node, random: () => number): number[] {
  switch (kind) {
    case 'first':
      return [first];
    case 'last':
      return [first + size - 1];
    case 'random':
      return [first + Math.min(size - 1, Math.floor(random() * size))];
    case 'oracle':
      return Array.from({ length: size }, (_, i) => first + i);
    case 'center':
      return [first + Math.floor(size / 2)];
  }
}

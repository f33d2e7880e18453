// The paper's tree search (docs/specification/hip.md §2): halve every node, keep the M best halves by their representatives, until nodes are single blocks.
import type { HipConfig } from '../config/config.ts';
import type { MemoryMeter } from '../work.ts';
import { selectLargest } from './select.ts';

/** A run of key blocks: blocks [first, first + size). */
export interface Node {
  readonly first: number;
  readonly size: number;
}

/** What the tree asks: the score of a half, through whichever representative the configuration names. */
export type HalfScore = (half: Node) => number;

export interface TreeOptions {
  /** Size of a node's left half in a round. @defaultValue floor(size / 2) */
  readonly leftSize?: ((node: Node, round: number) => number) | undefined;
  readonly meter?: MemoryMeter | undefined;
}

/** Splits `blocks` key blocks into `count` contiguous nodes whose sizes differ by at most one. */
export function initialNodes(blocks: number, count: number): Node[] {
  return Array.from({ length: count }, (_, j) => {
    const first = Math.floor((j * blocks) / count);
    return { first, size: Math.floor(((j + 1) * blocks) / count) - first };
  });
}

/** Rounds until every node is one block: ceil(log2(blocks / keep)), 0 when all fit. */
export function treeRounds(blocks: number, keep: number): number {
  return Math.max(0, Math.ceil(Math.log2(Math.ceil(blocks / keep))));
}

/** Left half floor(size / 2) unless told, right half the rest. A node of one block has a dead left half. */
export function halves({ first, size }: Node, left = Math.floor(size / 2)): readonly [Node, Node] {
  return [
    { first, size: left },
    { first: first + left, size: size - left },
  ];
}

/**
 * Runs the rounds. Cost: ceil(log2(blocks / keep)) rounds of at most 2·keep scores, O(keep) memory.
 *
 * @param blocks key blocks to search, more than `keep`
 * @returns first block of each survivor, ascending
 */
export function treeSearch(
  blocks: number,
  keep: number,
  score: HalfScore,
  { leftSize, meter }: TreeOptions = {},
): number[] {
  let nodes = initialNodes(blocks, keep);
  // Per half: first, size, alive, score; per node: first, size.
  const held = 2 * keep * 4 + keep * 2;
  meter?.hold(held);
  for (let round = 0; nodes.some(({ size }) => size > 1); round++) {
    const candidates = nodes.flatMap((node) => halves(node, leftSize?.(node, round)));
    const alive = candidates.map(({ size }) => size > 0);
    const scores = candidates.map((half, i) => (alive[i] ? score(half) : -Infinity));
    nodes = selectLargest(scores, keep, alive).map((i) => candidates[i]!);
  }
  meter?.release(held);
  return nodes.map(({ first }) => first);
}

/** Blocks that stand for a half. */
export function representatives(
  kind: HipConfig['representative'],
  { first, size }: Node,
  random: () => number,
): number[] {
  switch (kind) {
    case 'first':
      return [first];
    case 'last':
      return [first + size - 1];
    case 'random':
      return [first + Math.floor(random() * size)];
    case 'oracle':
      return Array.from({ length: size }, (_, i) => first + i);
    default:
      return [first + Math.floor(size / 2)];
  }
}

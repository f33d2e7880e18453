// WGSL of a remainder's pseudo-keys as more columns of the softmax: their list, their means, what is added to their logits.
import type { ElementType } from '../device/features.ts';
import { meansBinding } from '../remainder/stored-means.ts';

/** Bindings that a kernel with pseudo-keys adds. */
export function pseudoBindings(type: ElementType): readonly string[] {
  return [meansBinding(type), 'var<storage, read> pseudo: array<vec2<u32>>'];
}

/** Statement: declares `pseudoAt` and `pseudoCount`, the cell's list; expects what `placeRows` declares. */
export const PSEUDO_PLACE = `let pseudoAt = (((batch + params.batchFirst) * params.maskHeads + select(params.headFirst + head, 0u, params.maskHeads == 1u)) * params.queryBlocks + block) * (params.pseudoMost + 1u);
  let pseudoCount = pseudo[pseudoAt].x;
  let meanBase = ((batch + params.batchFirst) * (params.heads / params.group) + head / params.group) * params.meanRows;`;

/**
 * Statements: slot `place` of a tile becomes pseudo-key `index`, its row in `entries` and its logarithm in `biases`. Past the last one
 * that one is repeated, without weight: its numbers are seen by all rows anyway.
 */
export function enterPseudo(place: string, index: string, never: string): string {
  return `{ let known = pseudo[pseudoAt + 1u + min(${index}, max(pseudoCount, 1u) - 1u)]; entries[${place}] = known.x; biases[${place}] = select(${never}, bitcast<f32>(known.y), ${index} < pseudoCount); }`;
}

/** Expression of `vec4<f32>`: group `c` of the mean key or value of row `entry`. Expects `mean_at`. */
export function meanGroup(side: 'k' | 'v', entry: string, c: string, groups: number): string {
  return `mean_at((meanBase + ${entry}) * ${2 * groups}u + ${side === 'v' ? groups : 0}u + ${c})`;
}

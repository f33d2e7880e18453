// Keeps a stage's best candidates of one cell, one workgroup per cell; the last stage writes the block mask.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { geometryCode, type SearchConstants } from './shape.ts';
import { SELECT_LANES, topCode } from './top.ts';

export interface SelectKernel extends CandidateSource {
  readonly constants: SearchConstants;
  readonly keep: number;
  /** Candidates there can be, rounded up: decides how they are selected. */
  readonly most: number;
  /** Scores are copied to workgroup memory first. */
  readonly cached: boolean;
  /** Writes starts and counts of the mask instead of the next stage's. */
  readonly last: boolean;
}

/** Bindings: shape, scores, starts, counts, [previous starts, counts]. Workgroups: 1 × slab blocks × cells of the z axis. */
export function selectCode(kernel: SelectKernel): string {
  const { constants, keep, most, cached, last } = kernel;
  const cell = last
    ? `(batch_of(group.z) * ${constants.shared ? '1u' : 'shape.queryHeads'} + ${constants.shared ? '0u' : 'shape.headOffset + head_of(group.z)'}) * shape.queryBlocks + shape.firstBlock + group.y`
    : 'cell';
  return wgsl(
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> scores: array<u32>',
      `var<storage, read_write> starts: array<${last ? 'i32' : 'u32'}>`,
      'var<storage, read_write> counts: array<u32>',
      ...candidateBindings(kernel),
    ]),
    candidateCode(kernel),
    `var<private> cell: u32;
var<private> target_cell: u32;`,
    cached && `var<workgroup> cache: array<u32, ${most}>;`,
    `fn score_at(i: u32) -> u32 { return ${cached ? 'cache[i]' : 'scores[cell * shape.scoreStride + i]'}; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * ${keep}u + slot] = ${last ? 'i32(SINK + candidate_token(cell, i))' : 'candidate_token(cell, i)'};
}`,
    topCode(most),
    `@compute @workgroup_size(${SELECT_LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = ${cell};
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  if (lane == 0u) { counts[target_cell] = min(count, ${keep}u); }
  if (count <= ${keep}u) {
    for (var i = lane; i < count; i += ${SELECT_LANES}u) { keep_candidate(i, i); }
    ${last ? `for (var i = count + lane; i < ${keep}u; i += ${SELECT_LANES}u) { starts[target_cell * ${keep}u + i] = -1; }` : ''}
    return;
  }
  ${
    cached
      ? `for (var i = lane; i < count; i += ${SELECT_LANES}u) { cache[i] = scores[cell * shape.scoreStride + i]; }
  workgroupBarrier();`
      : ''
  }
  select_top(count, ${keep}u, lane);
}`,
  );
}

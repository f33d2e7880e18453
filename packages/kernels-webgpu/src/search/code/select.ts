// Keeps a stage's best candidates of one cell, one workgroup per cell; the last stage writes the block mask.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { budgetCode, type Budget } from './budgets.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { geometryCode, type SearchConstants } from './shape.ts';
import { laneCode, SELECT_LANES, topCode, topEnables } from './top.ts';

export interface SelectKernel extends CandidateSource, Budget {
  readonly constants: SearchConstants;
  /** Candidates there can be, rounded up: decides how they are selected. */
  readonly most: number;
  /** Scores are copied to workgroup memory first. */
  readonly cached: boolean;
  /** Subgroup operations may be used. */
  readonly subgroups: boolean;
  /** Writes starts and counts of the mask instead of the next stage's. */
  readonly last: boolean;
}

/** Bindings: shape, scores, starts, counts, [previous starts, counts]. Workgroups: 1 × slab blocks × cells of the z axis. */
export function selectCode(kernel: SelectKernel): string {
  const { constants, keep, most, cached, subgroups, last } = kernel;
  const top = { most, subgroups, vectors: cached };
  const lane = laneCode(top);
  const cell = last
    ? `(batch_of(group.z) * ${constants.shared ? '1u' : 'shape.queryHeads'} + ${constants.shared ? '0u' : 'shape.headOffset + head_of(group.z)'}) * shape.queryBlocks + shape.firstBlock + group.y`
    : 'cell';
  return wgsl(
    topEnables(top),
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
    cached && `var<workgroup> cache: array<vec4u, ${most / 4}>;`,
    `fn score_at(i: u32) -> u32 { return ${cached ? 'cache[i / 4u][i % 4u]' : 'scores[cell * shape.scoreStride + i]'}; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * ${keep}u + slot] = ${last ? 'i32(SINK + candidate_token(cell, i))' : 'candidate_token(cell, i)'};
}`,
    topCode(top),
    budgetCode(kernel),
    `@compute @workgroup_size(${SELECT_LANES})
fn main(@builtin(workgroup_id) group: vec3u, ${lane.parameters}) {
  ${lane.statement}
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = ${cell};
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  let keep = keep_of(group.z);
  if (lane == 0u) { counts[target_cell] = min(count, keep); }
  ${last ? `for (var i = min(count, keep) + lane; i < ${keep}u; i += ${SELECT_LANES}u) { starts[target_cell * ${keep}u + i] = -1; }` : ''}
  if (count <= keep) {
    for (var i = lane; i < count; i += ${SELECT_LANES}u) { keep_candidate(i, i); }
    return;
  }
  if (keep == 0u) { return; }
  ${
    cached
      ? `let base = cell * shape.scoreStride;
  // Whole vectors: a store to one component may rewrite the others, which other lanes would be writing.
  for (var i = lane; i < (count + 3u) / 4u; i += ${SELECT_LANES}u) {
    let index = vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u);
    // Read behind the end only where a score stands; the rest ranks below all.
    let at = base + min(index, vec4u(count - 1u));
    cache[i] = select(vec4u(0u), vec4u(scores[at.x], scores[at.y], scores[at.z], scores[at.w]), index < vec4u(count));
  }
  workgroupBarrier();`
      : ''
  }
  select_top(count, keep, lane);
}`,
  );
}

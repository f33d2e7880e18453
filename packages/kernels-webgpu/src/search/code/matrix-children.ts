// Bounds of the chunks inside surviving chunks: gathered to workgroup memory, then multiplied with the split rows of the cell.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import {
  fetchCode,
  heldCode,
  loadLeft,
  MATRIX_PRELUDE,
  multiplyColumns,
  putCode,
  stagedBytes,
  stagedStride,
  TILE,
  type Staging,
} from './matrix.ts';
import { geometryCode, type SearchConstants } from './shape.ts';

/** Candidates per round: 4 subgroups take (2 tiles of 16) × (max half, min half). */
const ROUND = 2 * TILE;

export interface MatrixChildrenKernel extends CandidateSource {
  readonly constants: SearchConstants;
  readonly keep: number;
  /** Split rows per cell, at most 16. */
  readonly groups: number;
  readonly subgroupSize: number;
}

/** Lanes of a workgroup: four subgroups. */
export function childrenLanes(subgroupSize: number): number {
  return 4 * subgroupSize;
}

function staging(headDim: number, subgroupSize: number): Staging {
  return { columns: ROUND, octets: headDim / 4, lanes: childrenLanes(subgroupSize) };
}

/** Workgroup memory in bytes. */
export function childrenBytes(headDim: number, subgroupSize: number): number {
  return stagedBytes(staging(headDim, subgroupSize)) + 4 * TILE * TILE * 4;
}

/** Bindings: shape, split rows, envelope, scores, previous starts, counts. One workgroup per cell (x = 1). */
export function matrixChildrenCode(kernel: MatrixChildrenKernel): string {
  const { constants, keep, groups, subgroupSize, chunk } = kernel;
  const { headDim } = constants;
  const width = headDim / 4;
  const steps = headDim / TILE;
  const stage = staging(headDim, subgroupSize);
  const stride = stagedStride(stage);
  const fetch = (first: string): string =>
    fetchCode(
      stage,
      'envelope',
      `(head_at + candidate_token(cell, min(${first} + n, count - 1u)) / ${chunk}u) * ${width}u`,
    );
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> split: array<vec4u>',
      'var<storage, read> envelope: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
    ]),
    candidateCode(kernel),
    `var<workgroup> staged: array<vec4u, ${ROUND * stride}>;
var<workgroup> tiles: array<f32, ${4 * TILE * TILE}>;
@compute @workgroup_size(${stage.lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= ${keep}u) { return; }
  let head_at = (batch_of(group.z) * shape.kvHeads + head_of(group.z) / ${constants.group}u) * shape.envelopeChunks;
  // Subgroups 0 and 1 take the maxima with q⁺, 2 and 3 the minima with q⁻.
  let side = (subgroup / 2u) * ${headDim / 8}u;
  let tile = subgroup % 2u;
  for (var i = lane; i < ${TILE * width}u; i += ${stage.lanes}u) {
    staged[i / ${width}u * ${stride}u + i % ${width}u] = split[cell * ${groups * width}u + i];
  }
  workgroupBarrier();
  ${loadLeft('a', steps, 'staged', 'side', `${stride}u`)}
  workgroupBarrier();
  ${heldCode(stage)}
  ${fetch('0u')}
  for (var first = 0u; first < count; first += ${ROUND}u) {
    ${putCode(stage)}
    workgroupBarrier();
    if (first + ${ROUND}u < count) {
      ${fetch(`first + ${ROUND}u`)}
    }
    var c = Result();
    let columns_at = tile * ${TILE * stride}u + side;
    ${multiplyColumns('c', { name: 'a', first: 0, count: steps }, 'staged', 'columns_at', `${stride}u`)}
    subgroupMatrixStore<row_major>(&tiles, subgroup * ${TILE * TILE}u, c, ${TILE}u);
    workgroupBarrier();
    if (lane < ${ROUND}u && first + lane < count) {
      let at = (lane / ${TILE}u) * ${TILE * TILE}u + lane % ${TILE}u;
      var best = tiles[at] + tiles[at + ${2 * TILE * TILE}u];
${unroll(groups - 1, (r) => `      best = max(best, tiles[at + ${(r + 1) * TILE}u] + tiles[at + ${2 * TILE * TILE + (r + 1) * TILE}u]);`)}
      scores[cell * shape.scoreStride + first + lane] = ordered(best);
    }
  }
}`,
  );
}

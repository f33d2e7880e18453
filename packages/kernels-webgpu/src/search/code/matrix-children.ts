// Bounds of the chunks inside surviving chunks: gathered to workgroup memory, then multiplied with the split rows of the cell.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { loadLeft, MATRIX_PRELUDE, multiplyColumns, TILE } from './matrix.ts';
import { geometryCode, type SearchConstants } from './shape.ts';

/** Candidates per round: 4 subgroups take (2 tiles of 16) × (max half, min half). */
export const CHILDREN_PER_ROUND = 32;

/** Padding of a gathered row, in f16, against bank conflicts. */
const PAD = 8;

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

/** Workgroup memory in bytes. */
export function childrenBytes(headDim: number): number {
  return CHILDREN_PER_ROUND * (2 * headDim + PAD) * 2 + 4 * TILE * TILE * 4;
}

/** Bindings: shape, split rows, envelope, scores, previous starts, counts. One workgroup per cell (x = 1). */
export function matrixChildrenCode(kernel: MatrixChildrenKernel): string {
  const { constants, keep, groups, subgroupSize, chunk } = kernel;
  const { headDim } = constants;
  const width = 2 * headDim;
  const steps = headDim / TILE;
  const lanes = childrenLanes(subgroupSize);
  const stride = width + PAD;
  const octets = width / 8;
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> split: array<f16>',
      'var<storage, read> envelope: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
    ]),
    candidateCode(kernel),
    `var<workgroup> columns: array<f16, ${CHILDREN_PER_ROUND * stride}>;
var<workgroup> tiles: array<f32, ${4 * TILE * TILE}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= ${keep}u) { return; }
  let head_at = (batch_of(group.z) * shape.kvHeads + head_of(group.z) / ${constants.group}u) * shape.envelopeChunks;
  // Subgroups 0 and 1 take the maxima with q⁺, 2 and 3 the minima with q⁻.
  let side = (subgroup / 2u) * ${headDim}u;
  let tile = subgroup % 2u;
  ${loadLeft('a', steps, 'split', `cell * ${groups * width}u + side`, `${width}u`)}
  for (var first = 0u; first < count; first += ${CHILDREN_PER_ROUND}u) {
    for (var i = lane; i < ${CHILDREN_PER_ROUND * octets}u; i += ${lanes}u) {
      let candidate = min(first + i / ${octets}u, count - 1u);
      let bits = envelope[(head_at + candidate_token(cell, candidate) / ${chunk}u) * ${octets}u + i % ${octets}u];
      let at = (i / ${octets}u) * ${stride}u + (i % ${octets}u) * 8u;
${unroll(4, (j) => `      { let pair = bitcast<vec2<f16>>(bits[${j}]); columns[at + ${2 * j}u] = pair.x; columns[at + ${2 * j + 1}u] = pair.y; }`)}
    }
    workgroupBarrier();
    var c = Result();
    let columns_at = tile * ${TILE * stride}u + side;
    ${multiplyColumns('c', 'a', steps, 'columns', 'columns_at', `${stride}u`)}
    subgroupMatrixStore<row_major>(&tiles, subgroup * ${TILE * TILE}u, c, ${TILE}u);
    workgroupBarrier();
    if (lane < ${CHILDREN_PER_ROUND}u && first + lane < count) {
      let at = (lane / ${TILE}u) * ${TILE * TILE}u + lane % ${TILE}u;
      var best = tiles[at] + tiles[at + ${2 * TILE * TILE}u];
${unroll(groups - 1, (r) => `      best = max(best, tiles[at + ${(r + 1) * TILE}u] + tiles[at + ${2 * TILE * TILE + (r + 1) * TILE}u]);`)}
      scores[cell * shape.scoreStride + first + lane] = ordered(best);
    }
  }
}`,
  );
}

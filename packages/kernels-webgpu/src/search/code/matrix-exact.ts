// The largest q·k of every candidate chunk of a cell: keys travel through workgroup memory, each subgroup scores its own candidate.
import { HALF_FUNCTIONS } from '../../code/finite.ts';
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
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';

export interface MatrixExactKernel extends CandidateSource {
  readonly constants: SearchConstants;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  readonly keep: number;
  /** Scored rows per cell. */
  readonly groups: number;
  readonly subgroupSize: number;
  /** Subgroups of a workgroup: each scores one candidate of a round. */
  readonly subgroups: number;
}

/** Result tiles of one candidate: 16 keys × 16 rows each. */
export function exactTiles(chunk: number, groups: number): number {
  return (chunk / TILE) * Math.ceil(groups / TILE);
}

type Sizes = Pick<MatrixExactKernel, 'chunk' | 'groups' | 'subgroupSize' | 'subgroups'>;

function staging(headDim: number, { chunk, subgroupSize, subgroups }: Sizes): Staging {
  return { columns: subgroups * chunk, octets: headDim / 8, lanes: subgroups * subgroupSize };
}

/** Workgroup memory in bytes. */
export function exactBytes(headDim: number, sizes: Sizes): number {
  const { chunk, groups, subgroups } = sizes;
  const rows = Math.ceil(groups / TILE) * TILE * headDim * 2;
  return rows + stagedBytes(staging(headDim, sizes)) + subgroups * exactTiles(chunk, groups) * TILE * TILE * 4;
}

/**
 * Bindings: shape, q, k, scores, [previous starts, counts], [pages]. One workgroup per cell (x = 1).
 *
 * Every scored row must see every candidate key (window ≥ blockQ + chunk); chunk must be a multiple of 16.
 */
export function matrixExactCode(kernel: MatrixExactKernel): string {
  const { constants, strideQ, rows, keep, groups, subgroupSize, subgroups, chunk } = kernel;
  const { headDim } = constants;
  const steps = headDim / TILE;
  const rowTiles = Math.ceil(groups / TILE);
  const octets = headDim / 8;
  const parts = chunk / TILE;
  /** f32 per candidate. */
  const cells = parts * rowTiles * TILE * TILE;
  const stage = staging(headDim, kernel);
  const stride = stagedStride(stage);
  const fetch = (round: string): string =>
    fetchCode(
      stage,
      'k',
      `key_octet(batch, SINK + candidate_token(cell, min(${round} + n / ${chunk}u, count - 1u)) + n % ${chunk}u, head)`,
    );
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> q: array<vec4u>',
      'var<storage, read> k: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
      ...(constants.pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    candidateCode(kernel),
    rows === 'mean' && HALF_FUNCTIONS,
    `var<workgroup> rows: array<vec4u, ${rowTiles * TILE * octets}>;
var<workgroup> staged: array<vec4u, ${subgroups * chunk * stride}>;
var<workgroup> tiles: array<f32, ${subgroups * cells}>;
@compute @workgroup_size(${stage.lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= ${keep}u) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  ${heldCode(stage)}
  ${fetch('0u')}
  // Absent rows repeat the last: the maximum does not change.
  let last = (block.rows - 1u) / ${strideQ}u;
  for (var i = lane; i < ${rowTiles * TILE * octets}u; i += ${stage.lanes}u) {
    let start = min(i / ${octets}u, last) * ${strideQ}u;
    let end = min(start + ${strideQ}u, block.rows);
${
  rows === 'max'
    ? `    rows[i] = q[query_octet(batch, block.first_row + end - 1u, head) + i % ${octets}u];`
    : `    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var row = start; row < end; row++) {
      let bits = q[query_octet(batch, block.first_row + row, head) + i % ${octets}u];
      lo += vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
      hi += vec4f(unpack2x16float(bits.z), unpack2x16float(bits.w));
    }
    lo /= f32(end - start);
    hi /= f32(end - start);
    rows[i] = vec4u(pack_means(lo.xy), pack_means(lo.zw), pack_means(hi.xy), pack_means(hi.zw));`
}
  }
  workgroupBarrier();
${unroll(rowTiles, (t) => loadLeft(`a${t}_`, steps, 'rows', `${t * TILE * octets}u`, `${octets}u`))}
  let tiles_at = subgroup * ${cells}u;
  let columns_at = subgroup * ${chunk * stride}u;
  for (var round = 0u; round < count; round += ${subgroups}u) {
    ${putCode(stage)}
    workgroupBarrier();
    if (round + ${subgroups}u < count) {
      ${fetch(`round + ${subgroups}u`)}
    }
${unroll(parts, (p) =>
  unroll(
    rowTiles,
    (t) => `    var c${p}_${t} = Result();
    ${multiplyColumns(`c${p}_${t}`, `a${t}_`, steps, 'staged', `columns_at + ${p * TILE * stride}u`, `${stride}u`)}
    subgroupMatrixStore<row_major>(&tiles, tiles_at + ${(p * rowTiles + t) * TILE * TILE}u, c${p}_${t}, ${TILE}u);`,
  ),
)}
    workgroupBarrier();
    var best = ${LOWEST};
${unroll(cells / subgroupSize, (i) => `    best = max(best, tiles[tiles_at + within + ${i * subgroupSize}u]);`)}
    best = subgroupMax(best);
    if (within == 0u && round + subgroup < count) { scores[cell * shape.scoreStride + round + subgroup] = ordered(best); }
  }
}`,
  );
}

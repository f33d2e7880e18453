// The largest q·k of every candidate chunk of a cell: keys stream straight from the key buffer into subgroup matrices.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { loadLeft, MATRIX_PRELUDE, multiplyColumns, TILE } from './matrix.ts';
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';

/** Candidates a subgroup scores between two barriers: two where one result tile holds a candidate's scores. */
function batchOf(tiles: number): number {
  return tiles === 1 ? 2 : 1;
}

/** Result tiles of one candidate: 16 keys × 16 rows each. */
export function exactTiles(chunk: number, groups: number): number {
  return (chunk / TILE) * Math.ceil(groups / TILE);
}

export interface MatrixExactKernel extends CandidateSource {
  readonly constants: SearchConstants;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  readonly keep: number;
  /** Scored rows per cell. */
  readonly groups: number;
  readonly subgroupSize: number;
}

/** Lanes of a workgroup: four subgroups. */
export function exactLanes(subgroupSize: number): number {
  return 4 * subgroupSize;
}

/** Workgroup memory in bytes. */
export function exactBytes(headDim: number, chunk: number, groups: number): number {
  const tiles = exactTiles(chunk, groups);
  return Math.ceil(groups / TILE) * TILE * headDim * 2 + 4 * batchOf(tiles) * tiles * TILE * TILE * 4;
}

/**
 * Bindings: shape, q, k, scores, [previous starts, counts], [pages]. One workgroup per cell (x = 1).
 *
 * Every scored row must see every candidate key (window ≥ blockQ + chunk), chunk and sink must be multiples of 16: then 16 keys
 * of a tile lie in one page and none is masked.
 */
export function matrixExactCode(kernel: MatrixExactKernel): string {
  const { constants, strideQ, rows, keep, groups, subgroupSize, chunk } = kernel;
  const { headDim } = constants;
  const steps = headDim / TILE;
  const rowTiles = Math.ceil(groups / TILE);
  const lanes = exactLanes(subgroupSize);
  const octets = headDim / 8;
  const parts = chunk / TILE;
  const batch = batchOf(parts * rowTiles);
  /** f32 per candidate. */
  const cells = parts * rowTiles * TILE * TILE;
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> q: array<vec4u>',
      'var<storage, read> k: array<f16>',
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
      ...(constants.pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    candidateCode(kernel),
    `var<workgroup> rows: array<f16, ${rowTiles * TILE * headDim}>;
var<workgroup> tiles: array<f32, ${4 * batch * cells}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= ${keep}u) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  // Absent rows repeat the last: the maximum does not change.
  let last = (block.rows - 1u) / ${strideQ}u;
  for (var i = lane; i < ${rowTiles * TILE * octets}u; i += ${lanes}u) {
    let start = min(i / ${octets}u, last) * ${strideQ}u;
    let end = min(start + ${strideQ}u, block.rows);
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var row = ${rows === 'mean' ? 'start' : 'end - 1u'}; row < end; row++) {
      let bits = q[query_octet(batch, block.first_row + row, head) + i % ${octets}u];
      lo += vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
      hi += vec4f(unpack2x16float(bits.z), unpack2x16float(bits.w));
    }
    ${rows === 'mean' ? 'lo /= f32(end - start); hi /= f32(end - start);' : ''}
${unroll(8, (j) => `    rows[i * 8u + ${j}u] = f16(${j < 4 ? 'lo' : 'hi'}[${j % 4}]);`)}
  }
  workgroupBarrier();
${unroll(rowTiles, (t) => loadLeft(`a${t}_`, steps, 'rows', `${t * TILE * headDim}u`, `${headDim}u`))}
  let stride = shape.kvHeads * ${headDim}u;
  let tiles_at = subgroup * ${batch * cells}u;
  for (var round = 0u; round < count; round += ${4 * batch}u) {
    let mine = round + subgroup * ${batch}u;
${unroll(
  batch,
  (b) => `    {
      let key = SINK + candidate_token(cell, min(mine + ${b}u, count - 1u));
${unroll(
  parts,
  (p) => `      let at${p} = key_octet(batch, key + ${p * TILE}u, head) * 8u;
${unroll(
  rowTiles,
  (t) => `      var c${p}_${t} = Result();
      ${multiplyColumns(`c${p}_${t}`, `a${t}_`, steps, 'k', `at${p}`, 'stride')}
      subgroupMatrixStore<row_major>(&tiles, tiles_at + ${b * cells + (p * rowTiles + t) * TILE * TILE}u, c${p}_${t}, ${TILE}u);`,
)}`,
)}
    }`,
)}
    workgroupBarrier();
${unroll(
  batch,
  (b) => `    {
      var best = ${LOWEST};
      for (var i = within; i < ${cells}u; i += ${subgroupSize}u) { best = max(best, tiles[tiles_at + ${b * cells}u + i]); }
      best = subgroupMax(best);
      if (within == 0u && mine + ${b}u < count) { scores[cell * shape.scoreStride + mine + ${b}u] = ordered(best); }
    }`,
)}
    workgroupBarrier();
  }
}`,
  );
}

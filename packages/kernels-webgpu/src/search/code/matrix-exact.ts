// The largest q·k of every candidate chunk of a cell: keys travel through workgroup memory, each subgroup scores its own candidate.
import { HALF_FUNCTIONS } from '../../code/finite.ts';
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import type { MassStage } from '@hip/mask-search';
import { budgetCode, type Budget } from './budgets.ts';
import { channelOctets } from './channels.ts';
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

export interface MatrixExactKernel extends CandidateSource, Budget {
  readonly constants: SearchConstants;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  /** @defaultValue 'all' */
  readonly dims?: MassStage['dims'];
  /** Some scored row may not see some candidate key. @defaultValue false */
  readonly masked?: boolean | undefined;
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

type Sizes = Pick<MatrixExactKernel, 'chunk' | 'groups' | 'subgroupSize' | 'subgroups' | 'dims'>;

function staging(headDim: number, { chunk, subgroupSize, subgroups, dims }: Sizes): Staging {
  const { count: octets, at } = channelOctets(headDim, dims);
  return { columns: subgroups * chunk, octets, lanes: subgroups * subgroupSize, at };
}

/** Workgroup memory in bytes. */
export function exactBytes(headDim: number, sizes: Sizes): number {
  const { chunk, groups, subgroups, dims } = sizes;
  const rows = Math.ceil(groups / TILE) * TILE * channelOctets(headDim, dims).count * 16;
  return rows + stagedBytes(staging(headDim, sizes)) + subgroups * exactTiles(chunk, groups) * TILE * TILE * 4;
}

/**
 * Bindings: shape, q, k, scores, [previous starts, counts], [pages]. One workgroup per cell (x = 1).
 *
 * Every candidate key must be there and below the last row's window (window ≥ chunk); chunk must be a multiple of 16.
 */
export function matrixExactCode(kernel: MatrixExactKernel): string {
  const { constants, strideQ, rows, groups, subgroupSize, subgroups, chunk, dims, masked = false } = kernel;
  const { headDim } = constants;
  const channels = channelOctets(headDim, dims);
  const octets = channels.count;
  const steps = (8 * octets) / TILE;
  const rowTiles = Math.ceil(groups / TILE);
  const parts = chunk / TILE;
  /** f32 per candidate. */
  const cells = parts * rowTiles * TILE * TILE;
  const stage = staging(headDim, kernel);
  const stride = stagedStride(stage);
  const allMaximum = unroll(
    cells / subgroupSize,
    (i) => `    best = max(best, tiles[tiles_at + within + ${i * subgroupSize}u]);`,
  );
  // Rows see their own keys and those before: only a block's last candidates reach beyond its first row.
  const maskedMaximum = `    let mine = candidate_token(cell, min(round + subgroup, count - 1u)) + SINK;
    if (mine + ${chunk}u <= first_sees) {
${allMaximum}
    } else {
      for (var i = within; i < ${cells}u; i += ${subgroupSize}u) {
        let key = mine + i / ${rowTiles * TILE * TILE}u * ${TILE}u + i % ${TILE}u;
        let r = i / ${TILE * TILE}u % ${rowTiles}u * ${TILE}u + i / ${TILE}u % ${TILE}u;
        let sees = i32(block.first_row + min(min(r, last) * ${strideQ}u + ${strideQ}u, block.rows)) + shift;
        best = select(best, max(best, tiles[tiles_at + i]), i32(key) < sees);
      }
    }`;
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
    budgetCode(kernel),
    rows === 'mean' && HALF_FUNCTIONS,
    `var<workgroup> rows: array<vec4u, ${rowTiles * TILE * octets}>;
var<workgroup> staged: array<vec4u, ${subgroups * chunk * stride}>;
var<workgroup> tiles: array<f32, ${subgroups * cells}>;
@compute @workgroup_size(${stage.lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
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
    ? `    rows[i] = q[query_octet(batch, block.first_row + end - 1u, head) + ${channels.at(`i % ${octets}u`)}];`
    : `    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var row = start; row < end; row++) {
      let bits = q[query_octet(batch, block.first_row + row, head) + ${channels.at(`i % ${octets}u`)}];
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
  ${
    masked
      ? `// Keys that a row sees, counted from its number on, and those of the first scored row.
  let shift = i32(shape.keys) - i32(shape.queries);
  let first_sees = u32(max(i32(block.first_row + min(${strideQ}u, block.rows)) + shift, 0));`
      : ''
  }
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
    ${multiplyColumns(`c${p}_${t}`, { name: `a${t}_`, first: 0, count: steps }, 'staged', `columns_at + ${p * TILE * stride}u`, `${stride}u`)}
    subgroupMatrixStore<row_major>(&tiles, tiles_at + ${(p * rowTiles + t) * TILE * TILE}u, c${p}_${t}, ${TILE}u);`,
  ),
)}
    workgroupBarrier();
    var best = ${LOWEST};
${masked ? maskedMaximum : allMaximum}
    best = subgroupMax(best);
    if (within == 0u && round + subgroup < count) { scores[cell * shape.scoreStride + round + subgroup] = ordered(best); }
  }
}`,
  );
}

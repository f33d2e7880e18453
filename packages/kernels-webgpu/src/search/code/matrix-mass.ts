// The vote of one cell (docs/specification/hip.md §8.1) on matrices: each subgroup owns 16 rows, all keys travel through workgroup memory.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { budgetCode } from './budgets.ts';
import { candidateBindings, candidateCode } from './candidates.ts';
import { channelOctets } from './channels.ts';
import { extentCode, logitCode, type VoteKernel } from './mass.ts';
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
import { geometryCode, LOWEST } from './shape.ts';

export interface MatrixMassKernel extends VoteKernel {
  /** Rows per cell; each subgroup takes 16. */
  readonly rows: number;
  readonly subgroupSize: number;
}

/** Keys of a round. */
export const MASS_COLUMNS = 64;
const TILES = MASS_COLUMNS / TILE;
/** Groups of four numbers between two rows of a subgroup's tile: rows start in different banks. */
const STRIDE = MASS_COLUMNS / 4 + 1;

type Sizes = Pick<MatrixMassKernel, 'rows' | 'subgroupSize' | 'dims'>;

/** Subgroups of a workgroup. */
export function massSubgroups(rows: number): number {
  return Math.ceil(rows / TILE);
}

function staging(headDim: number, { rows, subgroupSize, dims }: Sizes): Staging {
  const { count: octets, at } = channelOctets(headDim, dims);
  return { columns: MASS_COLUMNS, octets, lanes: massSubgroups(rows) * subgroupSize, at };
}

/** Workgroup memory in bytes. */
export function massBytes(headDim: number, sizes: Sizes): number {
  const subgroups = massSubgroups(sizes.rows);
  const perSubgroup = TILE * STRIDE * 16 + MASS_COLUMNS * 4 + TILE * 12;
  return rowsBytes(headDim, sizes) + stagedBytes(staging(headDim, sizes)) + subgroups * perSubgroup + MASS_COLUMNS * 8;
}

function rowsBytes(headDim: number, { rows, dims }: Sizes): number {
  return massSubgroups(rows) * TILE * channelOctets(headDim, dims).count * 16;
}

/**
 * Bindings: shape, q, k, scores, [previous starts, counts], [pages]. One workgroup per cell (x = 1).
 *
 * Two passes over the keys: candidates, sinks and window for each row's largest logit and its sum; candidates again for the masses.
 */
export function matrixMassCode(kernel: MatrixMassKernel): string {
  const { constants, chunk, dims, rows, subgroupSize } = kernel;
  const { headDim, sink, pageShift } = constants;
  const channels = channelOctets(headDim, dims);
  const octets = channels.count;
  const steps = (8 * octets) / TILE;
  const subgroups = massSubgroups(rows);
  const stage = staging(headDim, kernel);
  const stride = stagedStride(stage);
  const { lanes } = stage;
  /** Lanes that share a row, and vectors of four keys that each of them takes. */
  const rowLanes = subgroupSize / TILE;
  const vectors = MASS_COLUMNS / 4 / rowLanes;
  const fetch = (parity: string): string =>
    fetchCode(stage, 'k', `key_octet(batch, min(entries[${parity} + n], shape.keys - 1u), head)`);
  const enter = (parity: string, round: string): string =>
    `for (var i = lane; i < ${MASS_COLUMNS}u; i += ${lanes}u) { entries[${parity} + i] = slot_key(cell, ${round} + i, chosen, sinks, recent); }`;
  const each = (statement: (v: number) => string): string => unroll(vectors, statement);
  const score = (end: string): string => `    ${putCode(stage)}
    workgroupBarrier();
    ${enter(`${MASS_COLUMNS}u - parity`, `round + ${MASS_COLUMNS}u`)}
${unroll(
  TILES,
  (t) => `    var c${t} = Result();
    ${multiplyColumns(`c${t}`, { name: 'a', first: 0, count: steps }, 'staged', `${t * TILE * stride}u`, `${stride}u`)}
    subgroupMatrixStore<row_major>(&tiles, tile_at + ${(t * TILE) / 4}u, c${t}, ${STRIDE}u);`,
)}
    workgroupBarrier();
    if (round + ${MASS_COLUMNS}u < ${end}) {
      ${fetch(`${MASS_COLUMNS}u - parity`)}
    }`;
  const begin = `workgroupBarrier();
  ${enter('0u', '0u')}
  workgroupBarrier();
  ${fetch('0u')}`;
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> q: array<vec4u>',
      'var<storage, read> k: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    candidateCode(kernel),
    budgetCode(kernel),
    logitCode(kernel.vote),
    extentCode(constants),
    `var<workgroup> rows: array<vec4u, ${subgroups * TILE * octets}>;
var<workgroup> staged: array<vec4u, ${MASS_COLUMNS * stride}>;
var<workgroup> tiles: array<vec4f, ${subgroups * TILE * STRIDE}>;
// Keys of two rounds.
var<workgroup> entries: array<u32, ${2 * MASS_COLUMNS}>;
var<workgroup> column_sums: array<f32, ${subgroups * MASS_COLUMNS}>;
// Each row's largest logit and one over its sum, and where its window starts.
var<workgroup> totals: array<vec2f, ${subgroups * TILE}>;
var<workgroup> window_starts: array<u32, ${subgroups * TILE}>;
fn slot_key(cell: u32, i: u32, chosen: u32, sinks: u32, recent: u32) -> u32 {
  if (i >= chosen + sinks) { return recent + i - chosen - sinks; }
  if (i >= chosen) { return i - chosen; }
  return SINK + candidate_token(cell, i / ${chunk}u) + i % ${chunk}u;
}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let recent = extent_of(block.first_row).start;
  let newest = extent_of(block.first_row + block.rows - 1u);
  let chosen = count * ${chunk}u;
  let sinks = min(${sink}u, newest.start);
  let total = chosen + sinks + max(newest.end, recent) - recent;
  // Absent rows repeat the last; they do not vote.
  for (var i = lane; i < ${subgroups * TILE * octets}u; i += ${lanes}u) {
    rows[i] = q[query_octet(batch, block.first_row + min(i / ${octets}u, block.rows - 1u), head) + ${channels.at(`i % ${octets}u`)}];
  }
  workgroupBarrier();
  ${loadLeft('a', steps, 'rows', `subgroup * ${TILE * octets}u`, `${octets}u`)}
  ${heldCode(stage)}
  let tile_at = subgroup * ${TILE * STRIDE}u;
  // A lane's row, and which of its keys.
  let r = within % ${TILE}u;
  let part = within / ${TILE}u;
  let row = subgroup * ${TILE}u + r;
  let mine = extent_of(block.first_row + min(row, block.rows - 1u));
  let row_at = tile_at + r * ${STRIDE}u + part * ${vectors}u;
  var m = ${LOWEST};
  var l = 0.0f;
  ${begin}
  for (var round = 0u; round < total; round += ${MASS_COLUMNS}u) {
    let parity = round % ${2 * MASS_COLUMNS}u;
${score('total')}
    // Candidates ascend: before the last of them, and before the first row's window, every row sees all.
    let whole = round + ${MASS_COLUMNS}u <= chosen && entries[parity + ${MASS_COLUMNS - 1}u] < recent;
${each((v) => `    var x${v} = tiles[row_at + ${v}u]; x${v} = vec4f(logit(x${v}.x), logit(x${v}.y), logit(x${v}.z), logit(x${v}.w));`)}
    if (!whole) {
${each(
  (v) => `      {
        let place = part * ${4 * vectors}u + ${4 * v}u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x${v} = select(vec4f(${LOWEST}), x${v}, sees);
      }`,
)}
    }
    var four = x0;
${unroll(vectors - 1, (v) => `    four = max(four, x${v + 1});`)}
    let top = max(m, max(max(four.x, four.y), max(four.z, four.w)));
    l *= exp2(max(m - top, -150.0f));
    if (top > ${LOWEST}) {
      var added = vec4f(0.0);
${each((v) => `      added += select(exp2(x${v} - vec4f(top)), vec4f(0.0), x${v} <= vec4f(${LOWEST}));`)}
      l += added.x + added.y + added.z + added.w;
    }
    m = top;
  }
  workgroupBarrier();
  // The lanes of a row join what they found.
  tiles[tile_at + r * ${STRIDE}u + part] = vec4f(m, l, 0.0, 0.0);
  workgroupBarrier();
  if (part == 0u) {
    var top = ${LOWEST};
    var sum = 0.0f;
    for (var p = 0u; p < ${rowLanes}u; p++) { top = max(top, tiles[tile_at + r * ${STRIDE}u + p].x); }
    for (var p = 0u; p < ${rowLanes}u; p++) { let other = tiles[tile_at + r * ${STRIDE}u + p]; sum += select(0.0f, other.y * exp2(max(other.x - top, -150.0f)), other.y != 0.0f); }
    totals[row] = vec2f(top, select(0.0f, inverse_of(top, sum), row < block.rows));
    window_starts[row] = mine.start;
  }
  ${begin}
  for (var round = 0u; round < chosen; round += ${MASS_COLUMNS}u) {
    let parity = round % ${2 * MASS_COLUMNS}u;
${score('chosen')}
    let whole = entries[parity + min(${MASS_COLUMNS - 1}u, chosen - round - 1u)] < recent;
    for (var column = within; column < ${MASS_COLUMNS}u; column += ${subgroupSize}u) {
      var sum = 0.0f;
      let at = tile_at + column / 4u;
      let key = entries[parity + column];
      for (var i = 0u; i < ${TILE}u; i++) {
        let total_of = totals[subgroup * ${TILE}u + i];
        let p = exp2(logit(tiles[at + i * ${STRIDE}u][column % 4u]) - total_of.x) * total_of.y;
        sum += select(0.0f, p, total_of.y > 0.0f && (whole || key < window_starts[subgroup * ${TILE}u + i]));
      }
      column_sums[subgroup * ${MASS_COLUMNS}u + column] = sum;
    }
    workgroupBarrier();
    for (var i = lane; i < ${MASS_COLUMNS / chunk}u; i += ${lanes}u) {
      let candidate = round / ${chunk}u + i;
      if (candidate < count) {
        var mass = 0.0f;
        for (var key = 0u; key < ${chunk}u; key++) {
${unroll(subgroups, (s) => `          mass += column_sums[${s * MASS_COLUMNS}u + i * ${chunk}u + key];`)}
        }
        scores[cell * shape.scoreStride + candidate] = ordered(mass);
      }
    }
  }
}`,
  );
}

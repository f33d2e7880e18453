// The vote of one cell (docs/specification/hip.md §8.1) without matrices: each candidate block receives the probability mass that the rows give its keys.
import type { MassStage } from '@hip/mask-search';
import { isNaNumber } from '../../code/finite.ts';
import { capFunction } from '../../code/softmax.ts';
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { budgetCode, type Budget } from './budgets.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { channelOctets } from './channels.ts';
import { loadOctet, octetArray } from './octets.ts';
import { overOctets, rowCode, widthOf, type RowTiling } from './rows.ts';
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';

/** Raw dot product → logit, baked into the kernels that vote. */
export interface VoteScale {
  readonly scale: number;
  readonly softcap?: number | undefined;
}

/** What every voting kernel bakes in. */
export interface VoteKernel extends CandidateSource, Budget {
  readonly constants: SearchConstants;
  readonly dims?: MassStage['dims'];
  readonly vote: VoteScale;
}

export interface MassKernel extends VoteKernel {
  /** Rows held at a time. */
  readonly tile: number;
  readonly tiles: number;
  readonly lanes: number;
}

/** Lanes that reduce one row's statistics together. */
const ROW_LANES = 4;

/** Workgroup memory per held row in bytes: the row, each lane's maximum and sum, extent and statistics. */
export function massRowBytes(headDim: number, dims: MassStage['dims'], lanes: number): number {
  return channelOctets(headDim, dims).count * 32 + 8 * lanes + 8 * ROW_LANES + 24;
}

/** A number in WGSL. */
export function float(value: number): string {
  return `${Math.fround(value).toExponential()}f`;
}

/** Declares `logit(dot)`, to base 2. */
export function logitCode({ scale, softcap }: VoteScale): string {
  if (softcap === undefined) return `fn logit(dot: f32) -> f32 { return dot * ${float(scale * Math.LOG2E)}; }`;
  return `${capFunction(float(softcap * Math.LOG2E), '15.0')}
fn logit(dot: f32) -> f32 { return capped(dot * ${float(scale / softcap)}); }`;
}

/**
 * Declares `Extent`, `extent_of(row)` and `inverse_of(top, sum)`: keys [start, end) are a row's window; a row that sees no key, or one
 * that makes its sum no number, does not vote.
 */
export function extentCode({ causal, window }: SearchConstants): string {
  return `struct Extent { start: u32, end: u32 }
fn extent_of(row: u32) -> Extent {
  let end = ${causal ? 'clamp(i32(row + 1u + shape.keys) - i32(shape.queries), 0, i32(shape.keys))' : 'i32(shape.keys)'};
  return Extent(u32(max(end - ${window} - i32(shape.lag), 0)), u32(end));
}
fn inverse_of(top: f32, sum: f32) -> f32 {
  let sound = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u && (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u && !(${isNaNumber('top')});
  return select(0.0f, 1.0f / sum, sound && sum > 0.0f);
}`;
}

/**
 * Bindings: shape, q, k, scores, [previous starts, counts], [pages]. One workgroup per cell (x = 1).
 *
 * Twice over the keys: for each row's largest logit and its sum, then for the masses. A lane owns its candidates, so that masses add up
 * in one order.
 */
export function massCode(kernel: MassKernel): string {
  const { constants, chunk, dims, tile, tiles, lanes } = kernel;
  const { headDim, type, sink, shared, causal, pageShift } = constants;
  const array = octetArray(type);
  const channels = channelOctets(headDim, dims);
  const width = widthOf(channels, headDim);
  const tiling: RowTiling = { strideQ: 1, rows: 'max', tile, tiles, dims };
  const parts = lanes / ROW_LANES;
  const each = (statement: (r: number) => string): string => unroll(tile, statement);
  const first = shared ? 'head == 0u && tile == 0u' : 'tile == 0u';
  const last = shared ? `head + 1u == shape.heads && tile == ${tiles - 1}u` : `tile == ${tiles - 1}u`;
  return wgsl(
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${array}`,
      `var<storage, read> k: ${array}`,
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    candidateCode(kernel),
    budgetCode(kernel),
    logitCode(kernel.vote),
    extentCode(constants),
    rowCode(constants, tiling, lanes, !causal),
    `var<workgroup> lane_sums: array<vec2f, ${tile * lanes}>;
var<workgroup> part_sums: array<vec2f, ${tile * ROW_LANES}>;
var<workgroup> extents: array<vec2u, ${tile}>;
// Largest logit, and one over the sum.
var<workgroup> totals: array<vec2f, ${tile}>;
${each((r) => `var<private> s${r}: f32;`)}
fn products(batch: u32, head: u32, key: u32) {
  let base = key_octet(batch, key, head);
${each((r) => `  s${r} = 0.0f;`)}
  ${overOctets(
    constants,
    tiling,
    (c) => `${loadOctet(type, 'k', `base + ${channels.at(c)}`, 'x')}
${each((r) => `    s${r} += dot(x_lo, rows[${r}u * ${width} + 2u * ${c}]) + dot(x_hi, rows[${r}u * ${width} + 2u * ${c} + 1u]);`)}`,
  )}
}
fn joined(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, select(0.0f, a.y * exp2(max(a.x - top, -150.0f)), a.y != 0.0f) + select(0.0f, b.y * exp2(max(b.x - top, -150.0f)), b.y != 0.0f));
}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let base = cell * shape.scoreStride;
  let recent = extent_of(block.first_row).start;
  let newest = extent_of(block.first_row + block.rows - 1u);
  let chosen = count * ${chunk}u;
  let sinks = min(${sink}u, newest.start);
  let total = chosen + sinks + max(newest.end, recent) - recent;
  ${shared ? 'for (var head = 0u; head < shape.heads; head++) {' : 'let head = head_of(group.z);'}
  for (var tile = 0u; tile < ${tiles}u; tile++) {
    load_rows(batch, head, block, tile, lane);
    for (var r = lane; r < ${tile}u; r += ${lanes}u) {
      let row = tile * ${tile}u + r;
      let extent = extent_of(block.first_row + row);
      extents[r] = select(vec2u(0u), vec2u(extent.start, extent.end), row < block.rows);
    }
    workgroupBarrier();
${each((r) => `    let extent${r} = extents[${r}]; var m${r} = ${LOWEST}; var l${r} = 0.0f;`)}
    for (var i = lane; i < total; i += ${lanes}u) {
      var key = recent + i - chosen - sinks;
      let near = i >= chosen + sinks;
      if (i < chosen) { key = SINK + candidate_token(cell, i / ${chunk}u) + i % ${chunk}u; }
      else if (!near) { key = i - chosen; }
      products(batch, head, min(key, shape.keys - 1u));
${each(
  (r) => `      {
        let sees = (key < extent${r}.y) & ((key >= extent${r}.x) == near);
        let x = select(${LOWEST}, logit(s${r}), sees);
        let top = max(m${r}, x);
        l${r} = l${r} * exp2(max(m${r} - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m${r} = top;
      }`,
)}
    }
${each((r) => `    lane_sums[${r * lanes}u + lane] = vec2f(m${r}, l${r});`)}
    workgroupBarrier();
    for (var i = lane; i < ${tile * ROW_LANES}u; i += ${lanes}u) {
      var sum = lane_sums[i * ${parts}u];
      for (var j = 1u; j < ${parts}u; j++) { sum = joined(sum, lane_sums[i * ${parts}u + j]); }
      part_sums[i] = sum;
    }
    workgroupBarrier();
    for (var r = lane; r < ${tile}u; r += ${lanes}u) {
      var sum = part_sums[r * ${ROW_LANES}u];
${unroll(ROW_LANES - 1, (j) => `      sum = joined(sum, part_sums[r * ${ROW_LANES}u + ${j + 1}u]);`)}
      totals[r] = vec2f(sum.x, inverse_of(sum.x, sum.y));
    }
    workgroupBarrier();
    for (var candidate = lane; candidate < count; candidate += ${lanes}u) {
      let first_key = SINK + candidate_token(cell, candidate);
      var mass = 0.0f;
      for (var key = first_key; key < min(first_key + ${chunk}u, newest.start); key++) {
        products(batch, head, key);
${each((r) => `        { let row = totals[${r}]; mass += select(0.0f, exp2(logit(s${r}) - row.x) * row.y, key < extents[${r}].x && row.y > 0.0f); }`)}
      }
      if (!(${first})) { mass += bitcast<f32>(scores[base + candidate]); }
      scores[base + candidate] = select(bitcast<u32>(mass), ordered(mass), ${last});
    }
    workgroupBarrier();
  }
  ${shared ? '}' : ''}
}`,
  );
}

// The scored query rows of a block, a tile of them in workgroup memory, and the score of one key against all of the tile.
import type { MassStage } from '@hip/mask-search';
import { unroll } from '../../code/wgsl.ts';
import type { ElementType } from '../../device/features.ts';
import { channelOctets, type ChannelOctets } from './channels.ts';
import { loadOctet } from './octets.ts';
import { LOWEST, type SearchConstants } from './shape.ts';

/** How rows are sampled and tiled. */
export interface RowTiling {
  /** Query rows per stride group. */
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  /** Rows of one tile; workgroup memory is tile × headDim × 4 bytes. */
  readonly tile: number;
  readonly tiles: number;
  /** Channels that are held. @defaultValue 'all' */
  readonly dims?: MassStage['dims'];
}

/**
 * `load_rows(batch, head, block, tile, lane)` fills the tile (no barrier of its own). Rows that do not exist get position −1,
 * which sees no key.
 *
 * @param everyKey rows see every key (bounds, and non-causal search)
 */
export function rowCode(
  { type, headDim }: SearchConstants,
  { strideQ, rows, tile, dims }: RowTiling,
  lanes: number,
  everyKey: boolean,
): string {
  const channels = channelOctets(headDim, dims);
  const octets = channels.count;
  const width = widthOf(channels, headDim);
  const { partial } = channels;
  // Large numbers do not overflow on the way to their mean, and a power of two changes no rounding.
  const share = type === 'f32' && rows === 'mean' ? 2 ** -Math.ceil(Math.log2(strideQ)) : 1;
  const shared = share === 1 ? '' : `${share}f * `;
  return `var<workgroup> rows: array<vec4f, ${tile * 2 * octets}>;
var<workgroup> row_position: array<i32, ${tile}>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < ${tile * octets}u; i += ${lanes}u) {
    let r = i / ${octets}u;
    let c = i % ${octets}u;
    let start = (tile * ${tile}u + r) * ${strideQ}u;
    let end = min(start + ${strideQ}u, block.rows);
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    if (start < block.rows) {
      for (var row = ${rows === 'mean' ? 'start' : 'end - 1u'}; row < end; row++) {
        ${loadOctet(type, 'q', `query_octet(batch, block.first_row + row, head) + ${channels.at('c')}`, 'x')}
        lo += ${shared}x_lo;
        hi += ${shared}x_hi;
      }
      ${rows === 'mean' ? `lo /= ${shared}f32(end - start); hi /= ${shared}f32(end - start);` : ''}
    }
    rows[r * ${width} + 2u * c] = ${partial ? `select(vec4f(0.0), lo, ${partial('c', 'lo')})` : 'lo'};
    rows[r * ${width} + 2u * c + 1u] = ${partial ? `select(vec4f(0.0), hi, ${partial('c', 'hi')})` : 'hi'};
    if (c == 0u) {
      row_position[r] = select(-1, ${everyKey ? '0x7fffffff' : 'i32(block.first_row + end + shape.keys) - 1 - i32(shape.queries)'}, start < block.rows);
    }
  }
}`;
}

/** Expression: groups of four numbers of a held row. */
export function widthOf({ count }: ChannelOctets, headDim: number): string {
  return count === headDim / 8 ? 'D4' : `${2 * count}u`;
}

/** A loop over a vector's octets; with few rows several steps stand in the body, so that their loads overlap. */
export function overOctets(
  { headDim }: SearchConstants,
  { tile, dims }: Pick<RowTiling, 'tile' | 'dims'>,
  body: (c: string) => string,
): string {
  const octets = channelOctets(headDim, dims).count;
  const end = octets === headDim / 8 ? 'D8' : `${octets}u`;
  const steps = [4, 2].find((count) => tile * count <= 16 && octets % count === 0) ?? 1;
  return `for (var c = 0u; c < ${end}; c += ${steps}u) {
${unroll(steps, (i) => `{ ${body(i === 0 ? 'c' : `(c + ${i}u)`)} }`)}
  }`;
}

/** `score_key(batch, head, key)`: the largest q·k over the tile's rows that see the key. */
export function keyScoreCode(constants: SearchConstants, tiling: RowTiling): string {
  const { type, headDim } = constants;
  const { tile } = tiling;
  const channels = channelOctets(headDim, tiling.dims);
  const width = widthOf(channels, headDim);
  return `fn score_key(batch: u32, head: u32, key: u32) -> f32 {
  let base = key_octet(batch, key, head);
${unroll(tile, (r) => `  var s${r} = 0.0f;`)}
  ${overOctets(
    constants,
    tiling,
    (c) => `${loadOctet(type, 'k', `base + ${channels.at(c)}`, 'x')}
${unroll(tile, (r) => `    s${r} += dot(x_lo, rows[${r}u * ${width} + 2u * ${c}]) + dot(x_hi, rows[${r}u * ${width} + 2u * ${c} + 1u]);`)}`,
  )}
  var best = ${LOWEST};
${unroll(tile, (r) => `  best = select(best, max(best, s${r}), row_position[${r}] >= i32(key));`)}
  return best;
}`;
}

/** `score_bound(batch, head, chunk)`: Σ max(qᵢ·maxᵢ, qᵢ·minᵢ), the largest over the tile's rows. */
export function boundScoreCode(constants: SearchConstants, tiling: RowTiling): string {
  const { type, group } = constants;
  const { tile } = tiling;
  return `fn score_bound(batch: u32, head: u32, chunk: u32) -> f32 {
  let base = ((batch * shape.kvHeads + head / ${group}u) * shape.envelopeChunks + chunk) * 2u * D8;
${unroll(tile, (r) => `  var s${r} = 0.0f;`)}
  ${overOctets(
    constants,
    tiling,
    (c) => `${loadOctet(type, 'envelope', `base + ${c}`, 'x')}
    ${loadOctet(type, 'envelope', `base + D8 + ${c}`, 'n')}
${unroll(
  tile,
  (r) => `    {
      let lo = rows[${r}u * D4 + 2u * ${c}];
      let hi = rows[${r}u * D4 + 2u * ${c} + 1u];
      s${r} += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }`,
)}`,
  )}
  var best = ${LOWEST};
${unroll(tile, (r) => `  best = select(best, max(best, s${r}), row_position[${r}] >= 0);`)}
  return best;
}`;
}

/** Standard deviations above the mean key's score that a chunk is credited with (docs/specification/hip.md §8.1). */
export const DEVIATIONS = '2.0f';

/**
 * `score_bound(batch, head, chunk)` of means and variances: q·mean + 2·√(Σ q²·variance), the largest over the tile's rows.
 *
 * @param store how the summaries are stored
 */
export function deviationScoreCode(constants: SearchConstants, tiling: RowTiling, store: ElementType): string {
  const { group } = constants;
  const { tile } = tiling;
  return `fn score_bound(batch: u32, head: u32, chunk: u32) -> f32 {
  let base = ((batch * shape.kvHeads + head / ${group}u) * shape.envelopeChunks + chunk) * 2u * D8;
${unroll(tile, (r) => `  var s${r} = 0.0f; var t${r} = 0.0f;`)}
  ${overOctets(
    constants,
    tiling,
    (c) => `${loadOctet(store, 'envelope', `base + ${c}`, 'x')}
    ${loadOctet(store, 'envelope', `base + D8 + ${c}`, 'v')}
${unroll(
  tile,
  (r) => `    {
      let lo = rows[${r}u * D4 + 2u * ${c}];
      let hi = rows[${r}u * D4 + 2u * ${c} + 1u];
      s${r} += dot(lo, x_lo) + dot(hi, x_hi);
      t${r} += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }`,
)}`,
  )}
  var best = ${LOWEST};
${unroll(tile, (r) => `  best = select(best, max(best, s${r} + ${DEVIATIONS} * sqrt(t${r})), row_position[${r}] >= 0);`)}
  return best;
}`;
}

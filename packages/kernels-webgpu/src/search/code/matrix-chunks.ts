// The largest q·k of every 16-key chunk that a stage left: rounds of keys travel through two buffers, one barrier a round, and while one
// round is multiplied the products of the round before are reduced.
import { HALF_FUNCTIONS } from '../../code/finite.ts';
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { budgetCode } from './budgets.ts';
import { channelOctets } from './channels.ts';
import { candidateBindings, heldCandidateCode } from './candidates.ts';
import {
  fetchCode,
  heldCode,
  loadLeft,
  MATRIX_PRELUDE,
  multiplyShared,
  putCode,
  stagedStride,
  TILE,
  type Staging,
} from './matrix.ts';
import type { MatrixExactKernel } from './matrix-exact.ts';
import { queryRowsCode } from './query-rows.ts';
import { geometryCode, LOWEST } from './shape.ts';

/** How a workgroup is cut. Subgroups stand in a grid of rows × keys. */
export interface ChunksTiling {
  readonly subgroups: number;
  /** Tiles of 16 rows a subgroup multiplies with each tile of keys it loads. */
  readonly rowTiles: number;
  /** Tiles of 16 keys, one chunk each, a subgroup takes in a round. */
  readonly keyTiles: number;
  /** 2: keys and products of two rounds are held, one barrier a round. 1: half the memory, two barriers. */
  readonly buffers: 1 | 2;
}

export interface MatrixChunksKernel extends Omit<MatrixExactKernel, 'subgroups'> {
  readonly tiling: ChunksTiling;
  /** Candidates of a cell at most: their scores are held in workgroup memory. */
  readonly most: number;
}

/** Candidates of a cell at most. */
export const MOST_CHUNKS = 1024;

/** Numbers that follow from a tiling. */
interface Cut {
  readonly rowTiles: number;
  readonly rowGroups: number;
  readonly keyGroups: number;
  /** Chunks of a round. */
  readonly chunks: number;
}

/** A tiling for so many rows; the nearest that divides them. */
export function fitChunks(groups: number, { subgroups, rowTiles, ...rest }: ChunksTiling): ChunksTiling {
  const tiles = Math.ceil(groups / TILE);
  const own = [rowTiles, 4, 2, 1].find((count) => count <= rowTiles && tiles % count === 0) ?? 1;
  const rowGroups = tiles / own;
  return { ...rest, rowTiles: own, subgroups: rowGroups * Math.max(1, Math.floor(subgroups / rowGroups)) };
}

function cutOf(groups: number, { subgroups, rowTiles, keyTiles }: ChunksTiling): Cut {
  const tiles = Math.ceil(groups / TILE);
  const rowGroups = tiles / rowTiles;
  const keyGroups = subgroups / rowGroups;
  return { rowTiles: tiles, rowGroups, keyGroups, chunks: keyGroups * keyTiles };
}

type Sizes = Pick<MatrixChunksKernel, 'groups' | 'subgroupSize' | 'dims' | 'tiling'>;

function staging(headDim: number, { groups, subgroupSize, dims, tiling }: Sizes): Staging {
  const { count: octets, at } = channelOctets(headDim, dims);
  const { chunks } = cutOf(groups, tiling);
  return { columns: chunks * TILE, octets, lanes: tiling.subgroups * subgroupSize, at };
}

/** Octets of workgroup memory for keys, and before them for rows. */
function stagedOctets(headDim: number, sizes: Sizes): number {
  const stage = staging(headDim, sizes);
  const { rowTiles } = cutOf(sizes.groups, sizes.tiling);
  return Math.max(sizes.tiling.buffers * stage.columns * stagedStride(stage), rowTiles * TILE * stage.octets);
}

/** Workgroup memory in bytes. */
export function chunksBytes(headDim: number, sizes: Sizes, most: number, survivors: number): number {
  const { subgroups, rowTiles, keyTiles, buffers } = sizes.tiling;
  const tiles = buffers * subgroups * rowTiles * keyTiles * TILE * TILE * 4;
  return stagedOctets(headDim, sizes) * 16 + tiles + 4 * most + 4 * survivors;
}

/**
 * Bindings: shape, q, k, scores, previous starts, counts, [pages]. One workgroup per cell (x = 1).
 *
 * Every candidate key must be there and below the last row's window (window ≥ 16); chunks are of 16 keys.
 */
export function matrixChunksCode(kernel: MatrixChunksKernel): string {
  const { constants, strideQ, rows, groups, subgroupSize, masked = false, tiling, most } = kernel;
  const { headDim } = constants;
  const { rowTiles: own, keyTiles, buffers, subgroups } = tiling;
  const { rowTiles, rowGroups, chunks } = cutOf(groups, tiling);
  const stage = staging(headDim, kernel);
  const { octets, lanes } = stage;
  const stride = stagedStride(stage);
  const steps = (8 * octets) / TILE;
  /** Vectors of four numbers of one chunk's products, and the lanes that reduce them together. */
  const vectors = (own * TILE * TILE) / 4;
  const team = subgroupSize / keyTiles;
  const shuffles = Array.from({ length: Math.log2(team) }, (_, i) => 2 ** i);
  const round = chunks;
  const buffer = (index: string, octetsEach: number): string =>
    buffers === 1 ? '0u' : `(${index}) % 2u * ${octetsEach}u`;
  const half = stage.columns * stride;
  const productHalf = subgroups * keyTiles * vectors;
  const fetch = (first: string): string =>
    fetchCode(
      stage,
      'k',
      `key_octet(batch, SINK + candidate_token(cell, min(${first} + n / ${TILE}u, count - 1u)) + n % ${TILE}u, head)`,
    );
  const multiply = unroll(
    keyTiles,
    (p) => `${unroll(own, (t) => `    var c${p}_${t} = Result();`)}
${unroll(
  steps,
  (step) =>
    `    ${multiplyShared(
      `b${p}_${step}`,
      'staged',
      `columns + ${p * TILE * stride + 2 * step}u`,
      `${stride}u`,
      Array.from({ length: own }, (_, t) => ({ acc: `c${p}_${t}`, left: `a${t}_${step}` })),
    )}`,
)}
${unroll(own, (t) => `    subgroupMatrixStore<row_major>(&tiles, products + ${p * vectors + t * TILE * 4}u, c${p}_${t}, 4u);`)}`,
  );
  const reduce = (index: string): string => `{
      let chunk = (${index}) * ${round}u + key_group * ${keyTiles}u + within / ${team}u;
      let from_at = ${buffer(index, productHalf)} + subgroup * ${keyTiles * vectors}u + within / ${team}u * ${vectors}u;
      let mine = within % ${team}u;
      var four = vec4f(${LOWEST});
      ${masked ? `let token = candidate_token(cell, min(chunk, count - 1u));\n      if (token + ${TILE}u <= first_sees) {` : ''}
${unroll(vectors / team, (i) => `      four = max(four, tiles[from_at + mine + ${i * team}u]);`)}
      ${
        masked
          ? `} else {
        for (var i = mine; i < ${vectors}u; i += ${team}u) {
          let r = row_group * ${own * TILE}u + i / 4u;
          let sees = i32(block.first_row + min(min(r, last) * ${strideQ}u + ${strideQ}u, block.rows)) + shift;
          let keys = vec4i(i32(token + i % 4u * 4u)) + vec4i(0, 1, 2, 3);
          four = select(four, max(four, tiles[from_at + i]), keys < vec4i(sees));
        }
      }`
          : ''
      }
      var best = max(max(four.x, four.y), max(four.z, four.w));
${shuffles.map((step) => `      best = max(best, subgroupShuffleXor(best, ${step}u));`).join('\n')}
      if (mine == 0u && chunk < count) { atomicMax(&best_of[chunk], ordered(best)); }
    }`;
  const pipelined = `    if (index + 1u < rounds) { ${putCode(stage, buffer('index + 1u', half))} }
    if (index + 2u < rounds) { ${fetch(`(index + 2u) * ${round}u`)} }
${multiply}
    if (index > 0u) ${reduce('index - 1u')}
    workgroupBarrier();`;
  const plain = `    ${putCode(stage)}
    workgroupBarrier();
    if (index + 1u < rounds) { ${fetch(`(index + 1u) * ${round}u`)} }
${multiply}
    workgroupBarrier();
    ${reduce('index')}`;
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
    heldCandidateCode(kernel, lanes),
    budgetCode(kernel),
    rows === 'mean' && HALF_FUNCTIONS,
    `// Rows at first, then rounds of keys.
var<workgroup> staged: array<vec4u, ${stagedOctets(headDim, kernel)}>;
var<workgroup> tiles: array<vec4f, ${buffers * productHalf}>;
var<workgroup> best_of: array<atomic<u32>, ${most}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  hold_candidates(cell, lane);
  ${queryRowsCode({ target: 'staged', count: rowTiles * TILE, octets, at: stage.at!, strideQ, rows, lanes })}
  workgroupBarrier();
  let row_group = subgroup % ${rowGroups}u;
  let key_group = subgroup / ${rowGroups}u;
${unroll(own, (t) => loadLeft(`a${t}_`, steps, 'staged', `(row_group * ${own}u + ${t}u) * ${TILE * octets}u`, `${octets}u`))}
  workgroupBarrier();
  ${
    masked
      ? `// Keys that a row sees, counted from its number on, and those of the first scored row.
  let shift = i32(shape.keys) - i32(shape.queries) - i32(SINK);
  let first_sees = u32(max(i32(block.first_row + min(${strideQ}u, block.rows)) + shift, 0));`
      : ''
  }
  let rounds = (count + ${round - 1}u) / ${round}u;
  ${heldCode(stage)}
  ${fetch('0u')}
  ${buffers === 2 ? `${putCode(stage)}\n  if (rounds > 1u) { ${fetch(`${round}u`)} }\n  workgroupBarrier();` : ''}
  for (var index = 0u; index < rounds; index++) {
    let columns = ${buffer('index', half)} + key_group * ${keyTiles * TILE * stride}u;
    let products = ${buffer('index', productHalf)} + subgroup * ${keyTiles * vectors}u;
${buffers === 2 ? pipelined : plain}
  }
  ${buffers === 2 ? reduce('rounds - 1u') : ''}
  workgroupBarrier();
  for (var i = lane; i < count; i += ${lanes}u) { scores[cell * shape.scoreStride + i] = atomicLoad(&best_of[i]); }
}`,
  );
}

// Bounds of all chunks, or means and deviations, against the split rows of all query blocks: a matrix product whose 16×16 results shrink to one score per block.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
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
import type { SummaryScore } from './envelope.ts';
import { DEVIATIONS } from './rows.ts';
import { geometryCode, type SearchConstants } from './shape.ts';

/** Columns of one workgroup: more amortise the rows it keeps in registers, fewer fill the GPU. */
export const BOUND_COLUMNS = 256;

export interface MatrixBoundKernel {
  readonly constants: SearchConstants;
  readonly chunk: number;
  readonly keep: number;
  /** Split rows per cell; a power of two up to 16. */
  readonly groups: number;
  readonly subgroupSize: number;
  readonly lanes: number;
  /** Columns staged at a time; a multiple of 16. */
  readonly round: number;
  /** @defaultValue 'bound' */
  readonly score?: SummaryScore | undefined;
}

/** Rows of split q that one workgroup takes: 16 per subgroup. */
export function boundRows({ lanes, subgroupSize }: Pick<MatrixBoundKernel, 'lanes' | 'subgroupSize'>): number {
  return (lanes / subgroupSize) * TILE;
}

/** Matrix products of a column: with the whole row, or with each of its halves. */
function productsOf(score: SummaryScore = 'bound'): 1 | 2 {
  return score === 'bound' ? 1 : 2;
}

function staging(headDim: number, lanes: number, round: number): Staging {
  return { columns: round, octets: headDim / 4, lanes };
}

/** Workgroup memory in bytes. */
export function boundBytes(
  headDim: number,
  { lanes, subgroupSize, round, score }: Pick<MatrixBoundKernel, 'lanes' | 'subgroupSize' | 'round' | 'score'>,
): number {
  const rows = boundRows({ lanes, subgroupSize });
  return (
    stagedBytes({ ...staging(headDim, lanes, round), columns: Math.max(round, rows) }) +
    rows * round * 4 * productsOf(score)
  );
}

/** Bindings: shape, split rows, envelope, scores. Workgroups: columns × rows × z. */
export function matrixBoundCode(kernel: MatrixBoundKernel): string {
  const { constants, chunk, keep, groups, subgroupSize, lanes, round, score } = kernel;
  const products = productsOf(score);
  const parts = round / TILE;
  const width = constants.headDim / 4;
  const steps = constants.headDim / 8;
  const blocksPerTile = TILE / groups;
  const subgroups = lanes / subgroupSize;
  const cells = parts * blocksPerTile * TILE;
  /** The first product's numbers, and the second's behind them. */
  const half = subgroups * round * TILE;
  /** Expression: the score at a place of the tiles. */
  const scoreAt = (at: string): string =>
    products === 1 ? `tiles[${at}]` : `(tiles[${at}] + ${DEVIATIONS} * sqrt(max(tiles[${at} + ${half}u], 0.0f)))`;
  const stage = staging(constants.headDim, lanes, round);
  const stride = `${stagedStride(stage)}u`;
  const fetch = (column: string): string =>
    fetchCode(stage, 'envelope', `(columns_at + min(${column} + n, shape.envelopeChunks - 1u)) * ${width}u`);
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> split: array<vec4u>',
      'var<storage, read> envelope: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
    ]),
    `// First the workgroup's rows, then chunks.
var<workgroup> staged: array<vec4u, ${Math.max(round, subgroups * TILE) * stagedStride(stage)}>;
var<workgroup> tiles: array<f32, ${products * half}>;
fn count_of(local_block: u32) -> u32 { return (block_at(shape.firstBlock + local_block).searchable + ${chunk - 1}u) / ${chunk}u; }
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let begin = group.x * ${BOUND_COLUMNS}u;
  let first_row = group.y * ${subgroups * TILE}u;
  let last_block = min((first_row + ${subgroups * TILE - 1}u) / ${groups}u, shape.slabBlocks - 1u);
  let most = count_of(last_block);
  if (most <= ${keep}u || begin >= most) { return; }
  let end = min(begin + ${BOUND_COLUMNS}u, most);
  let row = first_row + subgroup * ${TILE}u;
  let rows_at = (group.z * shape.slabBlocks * ${groups}u + first_row) * ${width}u;
  for (var i = lane; i < ${subgroups * TILE * width}u; i += ${lanes}u) {
    staged[i / ${width}u * ${stride} + i % ${width}u] = split[rows_at + i];
  }
  workgroupBarrier();
  ${loadLeft('a', steps, 'staged', `subgroup * ${TILE}u * ${stride}`, stride)}
  workgroupBarrier();
  let columns_at = (batch_of(group.z) * shape.kvHeads + head_of(group.z) / ${constants.group}u) * shape.envelopeChunks;
  let tile_at = subgroup * ${round * TILE}u;
  ${heldCode(stage)}
  ${fetch('begin')}
  for (var column = begin; column < end; column += ${round}u) {
    ${putCode(stage)}
    workgroupBarrier();
    if (column + ${round}u < end) {
      ${fetch(`column + ${round}u`)}
    }
${unroll(parts, (t) =>
  unroll(products, (n) => {
    const c = products === 1 ? `c${t}` : `c${t}_${n}`;
    const left = { name: 'a', first: (n * steps) / products, count: steps / products };
    return `    var ${c} = Result();
    ${multiplyColumns(c, left, 'staged', `${t * TILE * stagedStride(stage)}u`, stride)}
    subgroupMatrixStore<row_major>(&tiles, tile_at + ${n * half + t * TILE * TILE}u, ${c}, ${TILE}u);`;
  }),
)}
    workgroupBarrier();
    for (var i = within; i < ${cells}u; i += ${subgroupSize}u) {
      let t = i / ${blocksPerTile * TILE}u;
      let b = (i / ${TILE}u) % ${blocksPerTile}u;
      let n = i % ${TILE}u;
      let at = tile_at + t * ${TILE * TILE}u + b * ${groups * TILE}u + n;
      var best = ${scoreAt('at')};
${unroll(groups - 1, (r) => `      best = max(best, ${scoreAt(`at + ${(r + 1) * TILE}u`)});`)}
      let local_block = row / ${groups}u + b;
      let chunk = column + t * ${TILE}u + n;
      if (local_block < shape.slabBlocks && chunk < most) {
        scores[(group.z * shape.slabBlocks + local_block) * shape.scoreStride + chunk] = ordered(best);
      }
    }
  }
}`,
  );
}

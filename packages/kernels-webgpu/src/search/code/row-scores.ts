// One row alone, as when decoding: its exact scores and its vote in one pass over the keys. A single row's masses have one normaliser,
// so the logarithm of a block's sum ranks as its mass does, and sinks and window need not be read.
import type { MassStage } from '@hip/mask-search';
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { channelOctets } from './channels.ts';
import { extentCode, logitCode, type VoteScale } from './mass.ts';
import { loadOctet, octetArray } from './octets.ts';
import { overOctets, rowCode, type RowTiling } from './rows.ts';
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';

/** Lanes of a workgroup, and blocks of its tile. */
export const ROW_SCORE_LANES = 64;

export interface RowScoresKernel extends CandidateSource {
  readonly constants: SearchConstants;
  readonly dims?: MassStage['dims'];
  readonly vote: VoteScale;
  /** Keys of a block that is voted on; divides the chunk. */
  readonly block: number;
  /** Blocks for which a cell has room. */
  readonly blocks: number;
}

/** Workgroup memory in bytes. */
export function rowScoresBytes(headDim: number, dims: MassStage['dims']): number {
  return channelOctets(headDim, dims).count * 32 + 4 + 4 * ROW_SCORE_LANES;
}

/** Chunks of a workgroup. */
export function rowScoresTile({ chunk, block }: Pick<RowScoresKernel, 'chunk' | 'block'>): number {
  return Math.floor(ROW_SCORE_LANES / (chunk / block));
}

/**
 * Bindings: shape, q, k, scores, block sums, previous starts, counts, [pages]. Workgroups: tiles of chunks × 1 × cells of the z axis.
 *
 * Both results are ordered words; what a row may not see, or what is no number, stands below every number.
 */
export function rowScoresCode(kernel: RowScoresKernel): string {
  const { constants, dims, vote, chunk, block, blocks } = kernel;
  const { type, headDim, pageShift } = constants;
  const array = octetArray(type);
  const ratio = chunk / block;
  const tile = rowScoresTile(kernel);
  const channels = channelOctets(headDim, dims);
  const tiling: RowTiling = { strideQ: 1, rows: 'max', tile: 1, tiles: 1, dims };
  // Two keys of a block at a time, so that their loads overlap.
  const step = block % 2 === 0 ? 2 : 1;
  const each = (statement: (j: number) => string): string => unroll(step, statement);
  return wgsl(
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${array}`,
      `var<storage, read> k: ${array}`,
      'var<storage, read_write> scores: array<u32>',
      'var<storage, read_write> sums: array<u32>',
      ...candidateBindings(kernel),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    candidateCode(kernel),
    logitCode(vote),
    extentCode(constants),
    rowCode(constants, tiling, ROW_SCORE_LANES, false),
    `var<workgroup> best: array<atomic<u32>, ${tile}>;
@compute @workgroup_size(${ROW_SCORE_LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = block_at(shape.firstBlock);
  let cell = group.z;
  let count = candidate_count(cell, at.searchable);
  let first = group.x * ${tile}u;
  if (first >= count) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  for (var i = lane; i < ${tile}u; i += ${ROW_SCORE_LANES}u) { atomicStore(&best[i], 0u); }
  load_rows(batch, head, at, 0u, lane);
  workgroupBarrier();
  let extent = extent_of(at.first_row);
  let chunk = first + lane / ${ratio}u;
  if (lane < ${tile * ratio}u && chunk < count) {
    let token = candidate_token(cell, chunk) + lane % ${ratio}u * ${block}u;
    var highest = ordered(${LOWEST});
    var m = ${LOWEST};
    var l = 0.0f;
    for (var i = 0u; i < ${block}u; i += ${step}u) {
${each(
  (j) => `      let key${j} = SINK + token + i + ${j}u;
      let base${j} = key_octet(batch, min(key${j}, shape.keys - 1u), head);
      var s${j} = 0.0f;`,
)}
      ${overOctets(constants, tiling, (c) =>
        each(
          (j) => `${loadOctet(type, 'k', `base${j} + ${channels.at(c)}`, `x${j}`)}
      s${j} += dot(x${j}_lo, rows[2u * ${c}]) + dot(x${j}_hi, rows[2u * ${c} + 1u]);`,
        ),
      )}
${each(
  (j) => `      if (key${j} < extent.end) { highest = max(highest, ordered(s${j})); }
      if (key${j} < extent.start) {
        let x = logit(s${j});
        let top = max(m, x);
        l = l * exp2(max(m - top, -150.0f)) + exp2(x - top);
        m = top;
      }`,
)}
    }
    atomicMax(&best[lane / ${ratio}u], highest);
    sums[cell * ${blocks}u + chunk * ${ratio}u + lane % ${ratio}u] = ordered(select(${LOWEST}, m + log2(l), l > 0.0f));
  }
  workgroupBarrier();
  for (var i = lane; i < min(${tile}u, count - first); i += ${ROW_SCORE_LANES}u) {
    scores[cell * shape.scoreStride + first + i] = atomicLoad(&best[i]);
  }
}`,
  );
}

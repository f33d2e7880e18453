// Scores a stage's candidates of one cell (batch, mask head, query block), a tile of candidates per workgroup.
import { bindings, wgsl } from '../../code/wgsl.ts';
import type { ElementType } from '../../device/features.ts';
import { budgetCode, type Budget } from './budgets.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { octetArray } from './octets.ts';
import { boundScoreCode, deviationScoreCode, keyScoreCode, rowCode, type RowTiling } from './rows.ts';
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';

export interface ScoreKernel extends CandidateSource, Budget {
  readonly constants: SearchConstants;
  readonly score: 'binary' | 'bound' | 'deviation' | 'exact';
  /** How summaries are stored. @defaultValue as the queries */
  readonly store?: ElementType | undefined;
  readonly rows: RowTiling;
  readonly lanes: number;
  /** The larger of this and the score that is there: other keys, or other heads of a shared mask, came before. */
  readonly accumulate: boolean;
}

/** Candidates per workgroup. */
export function candidateTile({ score, chunk, lanes }: Pick<ScoreKernel, 'score' | 'chunk' | 'lanes'>): number {
  return score === 'exact' ? Math.max(1, Math.floor(lanes / chunk)) : lanes;
}

/** One loop over the heads of a shared mask and the tiles of rows around `body`; barriers on both sides. */
function overRows({ constants: { shared }, rows: { tiles } }: ScoreKernel, body: string): string {
  const tile = `load_rows(batch, head, block, tile, lane);
workgroupBarrier();
${body}
workgroupBarrier();`;
  const inTiles =
    tiles === 1
      ? tile.replace('tile, lane', '0u, lane')
      : `for (var tile = 0u; tile < ${tiles}u; tile++) {\n${tile}\n}`;
  return shared ? `for (var head = 0u; head < shape.heads; head++) {\n${inTiles}\n}` : inTiles;
}

function exactBody(kernel: ScoreKernel, tile: number): string {
  const { chunk, lanes } = kernel;
  return `for (var i = lane; i < TILE; i += ${lanes}u) { atomicStore(&best[i], 0u); }
workgroupBarrier();
${overRows(
  kernel,
  `for (var i = lane; i < ${tile * chunk}u; i += ${lanes}u) {
  let candidate = first + i / ${chunk}u;
  if (candidate < count) {
    let key = SINK + candidate_token(cell, candidate) + i % ${chunk}u;
    if (key >= shape.keyFirst && key < shape.keyEnd) { atomicMax(&best[i / ${chunk}u], ordered(score_key(batch, head, key))); }
  }
}`,
)}
for (var i = lane; i < TILE; i += ${lanes}u) {
  if (first + i < count) { store_score(cell, first + i, atomicLoad(&best[i])); }
}`;
}

function boundBody(kernel: ScoreKernel): string {
  return `let candidate = first + lane;
var best_score = ${LOWEST};
${overRows(kernel, `if (candidate < count) { best_score = max(best_score, score_bound(batch, head, candidate_token(cell, candidate) / ${kernel.chunk}u)); }`)}
if (candidate < count) { store_score(cell, candidate, ordered(best_score)); }`;
}

/** The local binary search: two reads a level, the better half survives; the score is the largest read. */
function binaryBody(kernel: ScoreKernel): string {
  const levels = Math.max(1, Math.ceil(Math.log2(kernel.chunk)));
  return `let candidate = first + lane;
var start = 0u;
var size = 0u;
if (candidate < count) {
  start = candidate_token(cell, candidate);
  size = min(start + ${kernel.chunk}u, block.searchable) - start;
  start += SINK;
}
var best_score = ${LOWEST};
for (var level = 0u; level < ${levels}u; level++) {
  let left = size / 2u;
  let right = size - left;
  let left_key = start + left / 2u;
  let right_key = start + left + right / 2u;
  let alive = size > 1u || (level == 0u && size == 1u);
  var left_score = ${LOWEST};
  var right_score = ${LOWEST};
  ${overRows(
    kernel,
    `if (alive) {
  left_score = max(left_score, score_key(batch, head, left_key));
  right_score = max(right_score, score_key(batch, head, right_key));
}`,
  )}
  if (alive) {
    best_score = max(best_score, max(left_score, right_score));
    let go_right = right_score > left_score;
    start += select(0u, left, go_right);
    size = select(left, right, go_right);
  }
}
if (candidate < count) { store_score(cell, candidate, ordered(best_score)); }`;
}

/** Bindings: shape, q, k or envelope, scores, [previous starts, counts], [pages]. */
export function scoreCode(kernel: ScoreKernel): string {
  const { constants, score, rows, lanes, accumulate, store = constants.type } = kernel;
  const tile = candidateTile(kernel);
  const array = octetArray(constants.type);
  const keyed = score === 'exact' || score === 'binary';
  return wgsl(
    geometryCode(keyed ? constants : { ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${array}`,
      `var<storage, read> ${keyed ? 'k' : 'envelope'}: ${keyed ? array : octetArray(store)}`,
      'var<storage, read_write> scores: array<u32>',
      ...candidateBindings(kernel),
      ...(keyed && constants.pageShift !== undefined ? ['var<storage, read> pages: array<u32>'] : []),
    ]),
    `const TILE = ${tile}u;`,
    candidateCode(kernel),
    rowCode(constants, rows, lanes, !keyed || !constants.causal),
    keyed
      ? keyScoreCode(constants, rows)
      : score === 'deviation'
        ? deviationScoreCode(constants, rows, store)
        : boundScoreCode(constants, rows),
    budgetCode(kernel),
    score === 'exact' && `var<workgroup> best: array<atomic<u32>, ${tile}>;`,
    `fn store_score(cell: u32, candidate: u32, value: u32) {
  let at = cell * shape.scoreStride + candidate;
  scores[at] = ${accumulate ? 'max(scores[at], value)' : 'value'};
}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  let first = group.x * TILE;
  if (count <= keep_of(group.z) || first >= count) { return; }
  let batch = batch_of(group.z);
  ${constants.shared ? '' : 'let head = head_of(group.z);'}
  ${score === 'exact' ? exactBody(kernel, tile) : keyed ? binaryBody(kernel) : boundBody(kernel)}
}`,
  );
}

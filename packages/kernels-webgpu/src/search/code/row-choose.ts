// One row's last two selections in one workgroup: the chunks with the highest scores, then the blocks of those with the largest sums.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { budgetCode, type Budget } from './budgets.ts';
import { candidateBindings, candidateCode, type CandidateSource } from './candidates.ts';
import { geometryCode, type SearchConstants } from './shape.ts';
import { COUNTING_LIMIT, laneCode, SELECT_LANES, topBytes, topCode, topEnables } from './top.ts';

export interface RowChooseKernel extends CandidateSource, Budget {
  readonly constants: SearchConstants;
  /** Chunks that go on to be cut into blocks, and how many there can be. */
  readonly chunks: number;
  readonly mostChunks: number;
  /** Keys of a block; divides the chunk. */
  readonly block: number;
  /** Blocks for which a cell has room. */
  readonly blocks: number;
  readonly subgroups: boolean;
}

/** Blocks among which the second selection chooses at most, in whole vectors. */
function mostBlocks({ chunks, chunk, block }: Pick<RowChooseKernel, 'chunks' | 'chunk' | 'block'>): number {
  return 4 * Math.ceil((chunks * chunk) / block / 4);
}

/** Workgroup memory in bytes. */
export function rowChooseBytes(
  kernel: Omit<RowChooseKernel, 'constants' | keyof Budget>,
  lanes = SELECT_LANES,
): number {
  const blocks = mostBlocks(kernel);
  return 4 * COUNTING_LIMIT + topBytes(COUNTING_LIMIT) + 4 * kernel.chunks + 4 * blocks + topBytes(blocks, lanes) + 16;
}

/** Whether the first selection is one of few. */
export function choosesFew({ mostChunks }: Pick<RowChooseKernel, 'mostChunks'>): boolean {
  return mostChunks <= COUNTING_LIMIT;
}

const NAMES = /\b(select_top|score_at|keep_candidate|cache|kept)\b/gu;

/** Pieces of a kernel in which a workgroup chooses a row's blocks. */
export interface ChooseParts {
  /** `enable` directives. */
  readonly enables: string;
  /** Expect the geometry, the candidates, the budgets, and `scores` and `block_sums`. */
  readonly declarations: string;
  /** Parameters of `main`: `lane` is numbered subgroup by subgroup where those are used. */
  readonly parameters: string;
  /** The first statement of `main`. */
  readonly statement: string;
  /** Statements; declare `chosen_count`. Expect `group` and `lane`. Barriers in the middle, none at the end. */
  readonly choose: string;
}

/** @param store statement that receives block `token`, beyond the sink, for `slot`; expects the private `target_cell` */
export function chooseParts(kernel: RowChooseKernel, lanes: number, store: string): ChooseParts {
  const { chunks, chunk, block, blocks, subgroups } = kernel;
  const ratio = chunk / block;
  const most = mostBlocks(kernel);
  const second = { most, subgroups, vectors: true, lanes };
  const { parameters, statement } = laneCode(second);
  const fill = (cache: string, count: string, source: (index: string) => string): string =>
    `for (var i = lane; i < (${count} + 3u) / 4u; i += ${lanes}u) {
      let index = vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u);
      let from_index = min(index, vec4u(${count} - 1u));
      ${cache}[i] = select(vec4u(0u), vec4u(${['x', 'y', 'z', 'w'].map((part) => source(`from_index.${part}`)).join(', ')}), index < vec4u(${count}));
    }
    workgroupBarrier();`;
  return {
    enables: topEnables(second),
    parameters,
    statement,
    declarations: `var<private> target_cell: u32;
var<workgroup> few_cache: array<vec4u, ${COUNTING_LIMIT / 4}>;
var<workgroup> cache: array<vec4u, ${most / 4}>;
// Chunks that go on, in order, and how many blocks they make.
var<workgroup> picked: array<u32, ${chunks}>;
var<workgroup> picked_blocks: u32;
fn few_score_at(i: u32) -> u32 { return few_cache[i / 4u][i % 4u]; }
fn few_keep_candidate(i: u32, slot: u32) { picked[slot] = i; }
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
var<private> cell: u32;
fn keep_candidate(i: u32, slot: u32) {
  let token = candidate_token(cell, picked[i / ${ratio}u]) + i % ${ratio}u * ${block}u;
  ${store}
}
${topCode({ most: COUNTING_LIMIT, subgroups, vectors: true, lanes }).replace(NAMES, 'few_$1')}
${topCode(second)}`,
    choose: `let at = block_at(shape.firstBlock);
  cell = group.z;
  target_cell = (batch_of(group.z) * shape.queryHeads + shape.headOffset + head_of(group.z)) * shape.queryBlocks;
  let all_chunks = candidate_count(group.z, at.searchable);
  let going = min(all_chunks, ${chunks}u);
  if (all_chunks > ${chunks}u) {
    ${fill('few_cache', 'all_chunks', (index) => `scores[group.z * shape.scoreStride + ${index}]`)}
    few_select_top(all_chunks, ${chunks}u, lane);
  } else {
    for (var i = lane; i < all_chunks; i += ${lanes}u) { picked[i] = i; }
  }
  workgroupBarrier();
  if (lane == 0u && going > 0u) {
    // Only the last chunk can be cut short.
    let left = at.searchable - candidate_token(cell, picked[going - 1u]);
    picked_blocks = (going - 1u) * ${ratio}u + (min(${chunk}u, left) + ${block - 1}u) / ${block}u;
  }
  let count_blocks = workgroupUniformLoad(&picked_blocks);
  let budget = keep_of(group.z);
  let chosen_count = min(count_blocks, budget);
  if (count_blocks <= budget) {
    for (var i = lane; i < count_blocks; i += ${lanes}u) { keep_candidate(i, i); }
  } else if (budget > 0u) {
    ${fill('cache', 'count_blocks', (index) => `block_sums[group.z * ${blocks}u + picked[${index} / ${ratio}u] * ${ratio}u + ${index} % ${ratio}u]`)}
    select_top(count_blocks, budget, lane);
  }`,
  };
}

/** Statements that write the number of blocks, and `-1` behind the last. */
export function closeMaskCode({ keep }: Pick<Budget, 'keep'>, lanes: number): string {
  return `if (lane == 0u) { counts[target_cell] = chosen_count; }
  for (var i = chosen_count + lane; i < ${keep}u; i += ${lanes}u) { starts[target_cell * ${keep}u + i] = -1; }`;
}

/** Bindings: shape, scores, block sums, mask starts, counts, previous starts, counts. One workgroup per cell of the z axis. */
export function rowChooseCode(kernel: RowChooseKernel): string {
  const { constants, keep } = kernel;
  const parts = chooseParts(kernel, SELECT_LANES, `starts[target_cell * ${keep}u + slot] = i32(SINK + token);`);
  return wgsl(
    parts.enables,
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> scores: array<u32>',
      'var<storage, read> block_sums: array<u32>',
      'var<storage, read_write> starts: array<i32>',
      'var<storage, read_write> counts: array<u32>',
      ...candidateBindings(kernel),
    ]),
    candidateCode(kernel),
    budgetCode(kernel),
    parts.declarations,
    `@compute @workgroup_size(${SELECT_LANES})
fn main(@builtin(workgroup_id) group: vec3u, ${parts.parameters}) {
  ${parts.statement}
  ${parts.choose}
  ${closeMaskCode(kernel, SELECT_LANES)}
}`,
  );
}

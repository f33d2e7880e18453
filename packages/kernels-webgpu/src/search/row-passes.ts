// The passes of a single row's last two stages, exact scores and a vote, as when decoding: one over the keys, one that selects twice.
import type { MassStage, ScoredStage, SearchStage } from '@hip/mask-search';
import { memoCode } from './code/memo.ts';
import { choosesFew, rowChooseBytes, rowChooseCode, type RowChooseKernel } from './code/row-choose.ts';
import { ROW_SCORE_LANES, rowScoresBytes, rowScoresCode, rowScoresTile } from './code/row-scores.ts';
import type { SearchConstants } from './code/shape.ts';
import type { SearchPass, SearchRequest } from './plan.ts';
import { requireOneWindow, type Slab } from './slabs.ts';
import { lastBudget, mostOf } from './stage-kernel.ts';

/** Two stages that run as one: the exact one, and the vote after it. */
export interface RowStages {
  readonly exact: ScoredStage;
  readonly mass: MassStage;
}

/** The last two stages, if `index` is the first of them and one row may run them together. */
export function rowStages(index: number, request: SearchRequest): RowStages | undefined {
  const { config, shape, limits } = request;
  const [before, exact, mass, ...more] = (config.stages ?? []).slice(index - 1) as (SearchStage | undefined)[];
  if (index === 0 || !before || !exact || !mass || more.length > 0) return undefined;
  if (shape.queries !== 1 || config.shareHeads || exact.score !== 'exact' || mass.score !== 'mass') return undefined;
  const { refreshInterval } = config;
  const { dims = 'all', refresh = refreshInterval } = exact;
  if (dims !== (mass.dims ?? 'all') || refresh !== (mass.refresh ?? refreshInterval)) return undefined;
  if (exact.chunk % mass.chunk !== 0 || exact.chunk / mass.chunk > ROW_SCORE_LANES) return undefined;
  const mostChunks = mostOf(exact, index, request);
  const choice = chosen({ exact, mass }, mostChunks);
  const memory = limits.maxComputeWorkgroupStorageSize;
  const fits =
    rowChooseBytes({ ...choice, subgroups: false }) <= memory && rowScoresBytes(shape.headDim, dims) <= memory;
  return choosesFew({ mostChunks }) && fits ? { exact, mass } : undefined;
}

/** Sizes of the second pass. */
function chosen(
  { exact, mass }: RowStages,
  mostChunks: number,
): {
  readonly chunk: number;
  readonly block: number;
  readonly chunks: number;
  readonly mostChunks: number;
  readonly blocks: number;
} {
  const ratio = exact.chunk / mass.chunk;
  const { chunk, keep } = exact;
  return { chunk, block: mass.chunk, chunks: keep / chunk, mostChunks, blocks: mostChunks * ratio };
}

/** How a row's blocks are chosen. */
export function rowChooseKernel(
  stages: RowStages,
  index: number,
  request: SearchRequest,
  constants: SearchConstants,
): RowChooseKernel {
  const { config, profile } = request;
  const before = config.stages![index - 1]!;
  const previous = { chunk: before.chunk, capacity: before.keep / before.chunk };
  const choice = chosen(stages, mostOf(stages.exact, index, request));
  return { ...choice, previous, constants, ...lastBudget(request), subgroups: profile.tier !== 'basic' };
}

/** The passes, and bytes of the blocks' sums. */
export function rowPasses(
  { exact, mass }: RowStages,
  index: number,
  request: SearchRequest,
  constants: SearchConstants,
  slab: Slab,
  z: number,
): { readonly passes: readonly SearchPass[]; readonly bytes: number } {
  const { shape, config, pageShift, score = {} } = request;
  requireOneWindow('mass', slab);
  const before = config.stages![index - 1]!;
  const previous = { chunk: before.chunk, capacity: before.keep / before.chunk };
  const mostChunks = mostOf(exact, index, request);
  const choice = chosen({ exact, mass }, mostChunks);
  const { scale = 1 / Math.sqrt(shape.headDim), softcap } = score;
  const { chunk, block, blocks } = choice;
  const links = [`starts/${index - 1}`, `counts/${index - 1}`];
  const scores = { chunk, previous, constants, dims: exact.dims, vote: { scale, softcap }, block, blocks };
  const choose = rowChooseKernel({ exact, mass }, index, request, constants);
  return {
    bytes: 4 * z * blocks,
    passes: [
      {
        label: `search/${index}-exact-mass`,
        stage: index,
        code: memoCode(rowScoresCode, scores),
        buffers: ['shape', 'q', 'k', 'scores', 'sums', ...links, ...(pageShift === undefined ? [] : ['pages'])],
        workgroups: [Math.ceil(mostChunks / rowScoresTile(scores)), 1, z],
        window: 0,
      },
      {
        label: `search/${index + 1}-choose`,
        stage: index + 1,
        code: memoCode(rowChooseCode, choose),
        buffers: ['shape', 'scores', 'sums', 'mask/starts', 'mask/counts', ...links],
        workgroups: [1, 1, z],
      },
    ],
  };
}

// The passes of one slab of a multi-stage search: per stage a scoring pass (matrix or vector kernel) and a selecting pass.
import type { KernelStage } from '@hip/mask-search';
import { bytesOf } from '../device/features.ts';
import { childrenBytes, childrenLanes, matrixChildrenCode } from './code/matrix-children.ts';
import { BOUND_COLUMNS, boundBytes, boundRows, matrixBoundCode } from './code/matrix-bound.ts';
import { exactBytes, exactTiles, matrixExactCode } from './code/matrix-exact.ts';
import { SPLIT_LANES, splitRowsCode } from './code/matrix-rows.ts';
import { TILE } from './code/matrix.ts';
import type { CandidateSource } from './code/candidates.ts';
import { candidateTile, scoreCode, type ScoreKernel } from './code/score.ts';
import { memoCode } from './code/memo.ts';
import { selectCode } from './code/select.ts';
import type { SearchConstants } from './code/shape.ts';
import { topBytes } from './code/top.ts';
import { DEFAULT_TUNING, searchableOf, type SearchPass, type SearchRequest } from './plan.ts';
import { rowTiling } from './row-tiling.ts';
import { requireOneWindow, type Slab } from './slabs.ts';

/** Lanes of the vector scoring kernels. */
const SCORE_LANES = 128;
/** Sizes of the kernel that bounds all chunks. */
function boundSizes({ profile: { subgroupMaxSize: subgroupSize }, tuning = DEFAULT_TUNING }: SearchRequest): {
  readonly subgroupSize: number;
  readonly lanes: number;
  readonly round: number;
} {
  return { subgroupSize, lanes: tuning.boundSubgroups * subgroupSize, round: tuning.boundRound };
}
/** Scores of a cell are cached in workgroup memory up to here. */
const CACHED_SCORES = 2048;

interface Passes {
  readonly passes: SearchPass[];
  /** Scratch bytes by role. */
  readonly bytes: Record<string, number>;
}

/** Sizes of the kernel that scores keys. */
function exactSizes({ profile: { subgroupMaxSize: subgroupSize }, tuning = DEFAULT_TUNING }: SearchRequest): {
  readonly subgroupSize: number;
  readonly subgroups: number;
} {
  return { subgroupSize, subgroups: tuning.exactSubgroups };
}

/** Which kernel scores a stage. */
export type StageKernel = 'vector' | 'matrix-bound' | 'matrix-children' | 'matrix-exact';

/** Scored rows of one head and query block. */
export function groupsOf(stage: Pick<KernelStage, 'strideQ'>, { shape, config }: SearchRequest): number {
  return Math.ceil(Math.min(config.blockQ, shape.queries) / stage.strideQ);
}

/** Chooses the kernel of a stage from the tier, the shapes and the limits. */
export function stageKernel(stage: KernelStage, index: number, request: SearchRequest, windows: number): StageKernel {
  const { shape, config, type, profile, limits } = request;
  const groups = groupsOf(stage, request);
  const memory = limits.maxComputeWorkgroupStorageSize;
  if (profile.tier !== 'subgroup-matrix' || type !== 'f16' || config.shareHeads || shape.headDim % TILE !== 0)
    return 'vector';
  // More numbers of a row than a subgroup's registers hold.
  if (shape.headDim > 256) return 'vector';
  if (windows > 1 || groups < 4 || (request.tuning ?? DEFAULT_TUNING).vectorStages?.includes(index)) return 'vector';
  if (stage.score === 'bound') {
    if (!(groups === 4 || groups === 8 || groups === 16)) return 'vector';
    if (index === 0) return boundBytes(shape.headDim, boundSizes(request)) <= memory ? 'matrix-bound' : 'vector';
    return childrenBytes(shape.headDim, profile.subgroupMaxSize) <= memory &&
      childrenLanes(profile.subgroupMaxSize) <= limits.maxComputeInvocationsPerWorkgroup
      ? 'matrix-children'
      : 'vector';
  }
  // Then no scored row misses a key of a candidate, and keys need no mask.
  const unmasked = stage.chunk % TILE === 0 && config.window >= config.blockQ + stage.chunk;
  const fits =
    exactBytes(shape.headDim, { chunk: stage.chunk, groups, ...exactSizes(request) }) <= memory &&
    exactTiles(stage.chunk, groups) <= 4;
  return stage.score === 'exact' && unmasked && fits ? 'matrix-exact' : 'vector';
}

/** Plans the passes of a slab. */
export function stagePasses(
  request: SearchRequest,
  constants: SearchConstants,
  slab: Slab,
  stages: readonly KernelStage[],
): Passes {
  const { shape, config, limits, profile, type, pageShift } = request;
  const z = slab.batches * (config.shareHeads ? 1 : shape.heads);
  const cells = z * slab.blocks;
  const searchable = searchableOf(slab.firstBlock + slab.blocks - 1, shape, config);
  const passes: SearchPass[] = [];
  const bytes: Record<string, number> = { scores: 4 * cells * slab.scoreStride };
  let split = '';
  let most = searchable;
  stages.forEach((stage, index) => {
    const { chunk, strideQ, rows, score } = stage;
    const before = stages[index - 1];
    const source: CandidateSource = {
      chunk,
      ...(before ? { previous: { chunk: before.chunk, capacity: before.keep / before.chunk } } : {}),
    };
    const links = before ? [`starts/${index - 1}`, `counts/${index - 1}`] : [];
    const keep = stage.keep / chunk;
    const candidates = Math.ceil(Math.min(most, searchable) / chunk);
    const pages = pageShift === undefined ? [] : ['pages'];
    const last = index === stages.length - 1;
    if (candidates > keep) {
      const kernel = stageKernel(stage, index, request, slab.windows.length);
      const groups = groupsOf(stage, request);
      const label = `search/${index}-${score}`;
      if (kernel === 'matrix-bound' || kernel === 'matrix-children') {
        const needed = `${strideQ}/${rows}`;
        if (split !== needed) {
          split = needed;
          const perCell = groups * (shape.headDim / 8);
          // 16 rows are read at a time, past the last cell too.
          bytes['split'] = Math.max(
            bytes['split'] ?? 0,
            (cells * groups + boundRows(boundSizes(request))) * 2 * shape.headDim * bytesOf(type),
          );
          passes.push({
            label: `search/${index}-rows`,
            stage: index,
            code: memoCode(splitRowsCode, { constants, strideQ, rows, groups }),
            buffers: ['shape', 'q', 'split'],
            workgroups: [Math.ceil(perCell / SPLIT_LANES), slab.blocks, z],
          });
        }
      }
      switch (kernel) {
        case 'matrix-bound': {
          const spec = { constants, chunk, keep, groups, ...boundSizes(request) };
          passes.push({
            label,
            stage: index,
            code: memoCode(matrixBoundCode, spec),
            buffers: ['shape', 'split', `envelope/${chunk}`, 'scores'],
            workgroups: [Math.ceil(candidates / BOUND_COLUMNS), Math.ceil((slab.blocks * groups) / boundRows(spec)), z],
          });
          break;
        }
        case 'matrix-children':
          passes.push({
            label,
            stage: index,
            code: memoCode(matrixChildrenCode, {
              ...source,
              constants,
              keep,
              groups,
              subgroupSize: profile.subgroupMaxSize,
            }),
            buffers: ['shape', 'split', `envelope/${chunk}`, 'scores', ...links],
            workgroups: [1, slab.blocks, z],
          });
          break;
        case 'matrix-exact':
          passes.push({
            label,
            stage: index,
            code: memoCode(matrixExactCode, {
              ...source,
              constants,
              strideQ,
              rows,
              keep,
              groups,
              ...exactSizes(request),
            }),
            buffers: ['shape', 'q', 'k', 'scores', ...links, ...pages],
            workgroups: [1, slab.blocks, z],
            window: 0,
          });
          break;
        case 'vector': {
          const tile = { score, chunk, lanes: SCORE_LANES };
          const workgroups = [Math.ceil(candidates / candidateTile(tile)), slab.blocks, z] as const;
          const spec: ScoreKernel = {
            ...source,
            constants,
            score,
            keep,
            rows: rowTiling(groups, strideQ, rows, request),
            lanes: SCORE_LANES,
            accumulate: false,
          };
          if (score === 'bound') {
            passes.push({
              label,
              stage: index,
              code: memoCode(scoreCode, spec),
              buffers: ['shape', 'q', `envelope/${chunk}`, 'scores', ...links],
              workgroups,
            });
            break;
          }
          requireOneWindow(score, slab);
          slab.windows.forEach((_, window) => {
            passes.push({
              label,
              stage: index,
              code: memoCode(scoreCode, { ...spec, accumulate: window > 0 }),
              buffers: ['shape', 'q', 'k', 'scores', ...links, ...pages],
              workgroups,
              window,
            });
          });
        }
      }
    }
    const bound = roundUp(candidates);
    const cached = bound <= CACHED_SCORES && topBytes(bound) + 4 * bound <= limits.maxComputeWorkgroupStorageSize;
    const [starts, counts] = last ? ['mask/starts', 'mask/counts'] : [`starts/${index}`, `counts/${index}`];
    if (!last) {
      bytes[starts] = 4 * cells * keep;
      bytes[counts] = 4 * cells;
    }
    passes.push({
      label: `search/${index}-select`,
      stage: index,
      code: memoCode(selectCode, {
        ...source,
        constants,
        keep,
        most: bound,
        cached,
        subgroups: profile.tier !== 'basic',
        last,
      }),
      buffers: ['shape', 'scores', starts, counts, ...links],
      workgroups: [1, slab.blocks, z],
    });
    most = stage.keep;
  });
  return { passes, bytes };
}

/** Few distinct sizes, so that few pipelines are compiled. */
function roundUp(candidates: number): number {
  return Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(1, candidates))));
}

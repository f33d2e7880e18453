// The passes of one slab of a multi-stage search: per stage a scoring pass (matrix or vector kernel) and a selecting pass.
import type { ScoredStage, SearchStage } from '@hip/mask-search';
import { bytesOf } from '../device/features.ts';
import { leastKept } from './code/budgets.ts';
import type { CandidateSource } from './code/candidates.ts';
import { BOUND_COLUMNS, boundRows, matrixBoundCode } from './code/matrix-bound.ts';
import { matrixChildrenCode } from './code/matrix-children.ts';
import { matrixChunksCode } from './code/matrix-chunks.ts';
import { matrixExactCode } from './code/matrix-exact.ts';
import { SPLIT_LANES, splitRowsCode } from './code/matrix-rows.ts';
import { memoCode } from './code/memo.ts';
import { candidateTile, scoreCode, type ScoreKernel } from './code/score.ts';
import { selectCode } from './code/select.ts';
import type { SearchConstants } from './code/shape.ts';
import { topBytes } from './code/top.ts';
import { DEFAULT_TUNING, roleOf, searchableOf, storeOf, type SearchPass, type SearchRequest } from './plan.ts';
import { rowTiling } from './row-tiling.ts';
import { rowPasses, rowStages } from './row-passes.ts';
import { requireOneWindow, type Slab } from './slabs.ts';
import type { StagePlan } from './stage-plan.ts';
import { massPass, votePass } from './vote-passes.ts';
import {
  boundSizes,
  chunksTiling,
  exactSizes,
  groupsOf,
  lastBudget,
  mostOf,
  someHidden,
  stageKernel,
} from './stage-kernel.ts';

/** Lanes of the vector scoring kernels. */
const SCORE_LANES = 128;
/** Scores of a cell are cached in workgroup memory up to here. */
const CACHED_SCORES = 2048;

interface Passes {
  readonly passes: SearchPass[];
  /** Scratch bytes by role. */
  readonly bytes: Record<string, number>;
}

/** Plans the passes of a slab. */
export function stagePasses(
  request: SearchRequest,
  constants: SearchConstants,
  slab: Slab,
  stages: readonly SearchStage[],
): Passes {
  const { shape, config, limits, profile } = request;
  const z = slab.batches * (config.shareHeads ? 1 : shape.heads);
  const cells = z * slab.blocks;
  const searchable = searchableOf(slab.firstBlock + slab.blocks - 1, shape, config);
  const passes: SearchPass[] = [];
  const bytes: Record<string, number> = { scores: 4 * cells * slab.scoreStride };
  let split = '';
  let most = searchable;
  let together: number | undefined;
  stages.forEach((stage, index) => {
    const { chunk } = stage;
    const row = rowStages(index, request);
    if (row && together === undefined && most > 0) {
      together = index;
      const found = rowPasses(row, index, request, constants, slab, z);
      bytes['sums'] = found.bytes;
      passes.push(...found.passes);
    }
    if (together !== undefined) return;
    const before = stages[index - 1];
    const source: CandidateSource = {
      chunk,
      ...(before ? { previous: { chunk: before.chunk, capacity: before.keep / before.chunk } } : {}),
    };
    const links = before ? [`starts/${index - 1}`, `counts/${index - 1}`] : [];
    const last = index === stages.length - 1;
    const budget = last ? lastBudget(request) : { keep: stage.keep / chunk };
    const candidates = Math.ceil(Math.min(most, searchable) / chunk);
    if (candidates > leastKept(budget)) {
      const common = { request, constants, slab, index, source, budget, candidates, cells, z, links };
      if (stage.score === 'mass') {
        const vote = votePass({ ...common, stage });
        if (vote) bytes['kept'] = Math.max(bytes['kept'] ?? 0, vote.bytes);
        passes.push(vote?.pass ?? massPass({ ...common, stage }));
      } else {
        const plan = { ...common, stage };
        const rows = splitRows(plan);
        if (rows && rows.needed !== split) {
          split = rows.needed;
          bytes['split'] = Math.max(bytes['split'] ?? 0, rows.bytes);
          passes.push(rows.pass);
        }
        passes.push(...scorePasses(plan));
      }
    }
    const bound = roundUp(candidates);
    const cached = bound <= CACHED_SCORES && topBytes(bound) + 4 * bound <= limits.maxComputeWorkgroupStorageSize;
    const [starts, counts] = last ? ['mask/starts', 'mask/counts'] : [`starts/${index}`, `counts/${index}`];
    if (!last) {
      bytes[starts] = 4 * cells * budget.keep;
      bytes[counts] = 4 * cells;
    }
    passes.push({
      label: `search/${index}-select`,
      stage: index,
      code: memoCode(selectCode, {
        ...source,
        constants,
        ...budget,
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

/** The pass that the matrix kernels of summaries need before them, and which rows it makes. */
function splitRows({
  request,
  constants,
  slab,
  stage,
  index,
  cells,
  z,
}: StagePlan<ScoredStage>): { readonly needed: string; readonly bytes: number; readonly pass: SearchPass } | undefined {
  const kernel = stageKernel(stage, index, request, slab.windows.length);
  if (kernel !== 'matrix-bound' && kernel !== 'matrix-children') return undefined;
  const { shape, profile, type, tuning = DEFAULT_TUNING } = request;
  const { strideQ, rows, score } = stage;
  const groups = groupsOf(stage, request);
  const form = score === 'deviation' ? 'squares' : 'signs';
  // 16 rows are read at a time, past the last cell too.
  const spare = boundRows({
    subgroupSize: profile.subgroupMaxSize,
    lanes: tuning.boundSubgroups * profile.subgroupMaxSize,
  });
  return {
    needed: `${strideQ}/${rows}/${form}`,
    bytes: (cells * groups + spare) * 2 * shape.headDim * bytesOf(type),
    pass: {
      label: `search/${index}-rows`,
      stage: index,
      code: memoCode(splitRowsCode, { constants, strideQ, rows, groups, form }),
      buffers: ['shape', 'q', 'split'],
      workgroups: [Math.ceil((groups * (shape.headDim / 8)) / SPLIT_LANES), slab.blocks, z],
    },
  };
}

/** The passes that score a stage's candidates. */
function scorePasses(plan: StagePlan<ScoredStage>): SearchPass[] {
  const { request, constants, slab, stage, index, source, budget, candidates, z, links } = plan;
  const { profile, pageShift } = request;
  const { chunk, strideQ, rows, score, dims } = stage;
  const groups = groupsOf(stage, request);
  const label = `search/${index}-${score}`;
  const cellGroups = [1, slab.blocks, z] as const;
  const pages = pageShift === undefined ? [] : ['pages'];
  const summary = score === 'bound' || score === 'deviation' ? { score, chunk } : undefined;
  const summaryRole = summary ? roleOf(summary) : '';
  switch (stageKernel(stage, index, request, slab.windows.length)) {
    case 'matrix-bound': {
      const spec = { constants, chunk, ...budget, groups, ...boundSizes(summary!.score, request)! };
      return [
        {
          label,
          stage: index,
          code: memoCode(matrixBoundCode, spec),
          buffers: ['shape', 'split', summaryRole, 'scores'],
          workgroups: [Math.ceil(candidates / BOUND_COLUMNS), Math.ceil((slab.blocks * groups) / boundRows(spec)), z],
        },
      ];
    }
    case 'matrix-children': {
      const spec = { ...source, constants, ...budget, groups, subgroupSize: profile.subgroupMaxSize };
      return [
        {
          label,
          stage: index,
          code: memoCode(matrixChildrenCode, spec),
          buffers: ['shape', 'split', summaryRole, 'scores', ...links],
          workgroups: cellGroups,
        },
      ];
    }
    case 'matrix-chunks': {
      const tiling = chunksTiling(stage, index, request)!;
      const spec = {
        ...source,
        constants,
        strideQ,
        rows,
        ...budget,
        groups,
        dims,
        masked: someHidden(stage, request),
        subgroupSize: profile.subgroupMaxSize,
        tiling,
        most: mostOf(stage, index, request),
      };
      return [
        {
          label,
          stage: index,
          code: memoCode(matrixChunksCode, spec),
          buffers: ['shape', 'q', 'k', 'scores', ...links, ...pages],
          workgroups: cellGroups,
          window: 0,
        },
      ];
    }
    case 'matrix-exact': {
      const masked = someHidden(stage, request);
      const spec = { ...source, constants, strideQ, rows, ...budget, groups, dims, masked, ...exactSizes(request) };
      return [
        {
          label,
          stage: index,
          code: memoCode(matrixExactCode, spec),
          buffers: ['shape', 'q', 'k', 'scores', ...links, ...pages],
          workgroups: cellGroups,
          window: 0,
        },
      ];
    }
    default: {
      const tile = { score, chunk, lanes: SCORE_LANES };
      const workgroups = [Math.ceil(candidates / candidateTile(tile)), slab.blocks, z] as const;
      const spec: ScoreKernel = {
        ...source,
        constants,
        score,
        ...(summary && { store: storeOf(summary.score, request) }),
        ...budget,
        rows: rowTiling(groups, strideQ, rows, request, dims),
        lanes: SCORE_LANES,
        accumulate: false,
      };
      if (summary) {
        const buffers = ['shape', 'q', summaryRole, 'scores', ...links];
        return [{ label, stage: index, code: memoCode(scoreCode, spec), buffers, workgroups }];
      }
      requireOneWindow(score, slab);
      return slab.windows.map((_, window) => ({
        label,
        stage: index,
        code: memoCode(scoreCode, { ...spec, accumulate: window > 0 }),
        buffers: ['shape', 'q', 'k', 'scores', ...links, ...pages],
        workgroups,
        window,
      }));
    }
  }
}

/** Few distinct sizes, so that few pipelines are compiled. */
function roundUp(candidates: number): number {
  return Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(1, candidates))));
}

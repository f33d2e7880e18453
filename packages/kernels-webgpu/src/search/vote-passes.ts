// The passes in which rows vote: every product once where votes are on pairs and matrices serve, two rounds over the keys elsewhere.
import type { MassStage } from '@hip/mask-search';
import { massCode, massRowBytes } from './code/mass.ts';
import { matrixMassCode } from './code/matrix-mass.ts';
import { matrixVoteCode } from './code/matrix-vote.ts';
import { memoCode } from './code/memo.ts';
import { keptBytes } from './code/vote-tiling.ts';
import type { SearchPass } from './plan.ts';
import { tilesOf } from './row-tiling.ts';
import { requireOneWindow } from './slabs.ts';
import { groupsOf, mostOf, stageKernel, voteTiling } from './stage-kernel.ts';
import type { StagePlan } from './stage-plan.ts';

/** Lanes of the kernel without matrices. */
const MASS_LANES = 64;

/** The pass in which rows vote. */
export function massPass(plan: StagePlan<MassStage>): SearchPass {
  const { request, constants, slab, stage, index, source, budget, z, links } = plan;
  const { shape, profile, limits, pageShift, score = {} } = request;
  const { dims } = stage;
  requireOneWindow('mass', slab);
  const rows = groupsOf(stage, request);
  const { scale = 1 / Math.sqrt(shape.headDim), softcap } = score;
  const vote = { ...source, constants, ...budget, dims, vote: { scale, softcap } };
  const matrix = stageKernel(stage, index, request, slab.windows.length) === 'matrix-mass';
  const room = limits.maxComputeWorkgroupStorageSize - 256;
  const code = matrix
    ? memoCode(matrixMassCode, { ...vote, rows, subgroupSize: profile.subgroupMaxSize })
    : memoCode(massCode, {
        ...vote,
        ...tilesOf(rows, room, massRowBytes(shape.headDim, dims, MASS_LANES), shape.headDim),
        lanes: MASS_LANES,
      });
  return {
    label: `search/${index}-mass`,
    stage: index,
    code,
    buffers: ['shape', 'q', 'k', 'scores', ...links, ...(pageShift === undefined ? [] : ['pages'])],
    workgroups: [1, slab.blocks, z],
    window: 0,
  };
}

/** The same with every product computed once; undefined where that kernel does not serve. */
export function votePass(
  plan: StagePlan<MassStage>,
): { readonly pass: SearchPass; readonly bytes: number } | undefined {
  const { request, constants, slab, stage, index, source, budget, cells, z, links } = plan;
  const { shape, profile, limits, pageShift, score = {} } = request;
  if (stageKernel(stage, index, request, slab.windows.length) !== 'matrix-vote') return undefined;
  const { scale = 1 / Math.sqrt(shape.headDim), softcap } = score;
  const tiling = voteTiling(stage, index, request)!;
  const sizes = {
    rows: groupsOf(stage, request),
    subgroupSize: profile.subgroupMaxSize,
    dims: stage.dims,
    tiling,
    most: mostOf(stage, index, request),
  };
  const room = Math.floor(limits.maxStorageBufferBindingSize / keptBytes(sizes, 1));
  const workgroups = Math.min(tiling.workgroups, cells, room, limits.maxComputeWorkgroupsPerDimension);
  const spec = { ...source, constants, ...budget, ...sizes, vote: { scale, softcap }, z };
  const buffers = ['shape', 'q', 'k', 'scores', 'kept', ...links, ...(pageShift === undefined ? [] : ['pages'])];
  return {
    pass: {
      label: `search/${index}-mass`,
      stage: index,
      code: memoCode(matrixVoteCode, spec),
      buffers,
      workgroups: [workgroups, 1, 1],
      window: 0,
    },
    bytes: keptBytes(sizes, workgroups),
  };
}

// Which kernel scores a stage, and with which sizes: from the tier, the shapes and the limits.
import type { SearchStage } from '@hip/mask-search';
import type { Budget } from './code/budgets.ts';
import { boundBytes } from './code/matrix-bound.ts';
import { childrenBytes, childrenLanes } from './code/matrix-children.ts';
import { chunksBytes, fitChunks, MOST_CHUNKS, type ChunksTiling } from './code/matrix-chunks.ts';
import { exactBytes, exactTiles } from './code/matrix-exact.ts';
import { MASS_COLUMNS, massBytes, massSubgroups } from './code/matrix-mass.ts';
import { keptBytes, voteBytes, type VoteTiling } from './code/vote-tiling.ts';
import { TILE } from './code/matrix.ts';
import { DEFAULT_TUNING, type SearchRequest } from './plan.ts';

/** Which kernel scores a stage. */
export type StageKernel =
  | 'vector'
  | 'matrix-bound'
  | 'matrix-children'
  | 'matrix-exact'
  | 'matrix-chunks'
  | 'matrix-mass'
  | 'matrix-vote';

/** Sizes of the kernel that bounds all chunks. */
export interface BoundSizes {
  readonly subgroupSize: number;
  readonly lanes: number;
  readonly round: number;
  readonly score: 'bound' | 'deviation';
}

/** Scored rows of one head and query block. */
export function groupsOf({ strideQ = 1 }: Pick<SearchStage, 'strideQ'>, { shape, config }: SearchRequest): number {
  return Math.ceil(Math.min(config.blockQ, shape.queries) / strideQ);
}

/** What the last stage keeps. */
export function lastBudget({ config: { k, blockK, kPerHead } }: SearchRequest): Budget {
  if (!kPerHead) return { keep: k / blockK };
  const keepPerHead = kPerHead.map((keys) => keys / blockK);
  return { keep: Math.max(1, ...keepPerHead), keepPerHead };
}

/** Sizes of the kernel that scores summaries of all chunks; undefined where they do not fit. Two products need more room. */
export function boundSizes(score: 'bound' | 'deviation', request: SearchRequest): BoundSizes | undefined {
  const { profile, tuning = DEFAULT_TUNING, shape, limits } = request;
  const { subgroupMaxSize: subgroupSize } = profile;
  const fits = (sizes: BoundSizes): boolean =>
    boundBytes(shape.headDim, sizes) <= limits.maxComputeWorkgroupStorageSize;
  const sizes = { subgroupSize, lanes: tuning.boundSubgroups * subgroupSize, round: tuning.boundRound, score };
  return [sizes, { ...sizes, round: TILE }].find(fits);
}

/** Sizes of the kernel that scores keys. */
export function exactSizes({ profile: { subgroupMaxSize: subgroupSize }, tuning = DEFAULT_TUNING }: SearchRequest): {
  readonly subgroupSize: number;
  readonly subgroups: number;
} {
  return { subgroupSize, subgroups: tuning.exactSubgroups };
}

/** Candidates of a cell at most, in few distinct sizes: what the stage before keeps, or all there are. */
export function mostOf({ chunk }: Pick<SearchStage, 'chunk'>, index: number, { config, shape }: SearchRequest): number {
  const kept = config.stages?.[index - 1]?.keep ?? Infinity;
  return Math.min(Math.ceil(kept / chunk), 64 * Math.ceil(shape.keys / chunk / 64));
}

/** Survivors of the stage before, for which a cell has room. */
function survivorsOf(index: number, { config }: SearchRequest): number {
  const before = config.stages?.[index - 1];
  return before ? before.keep / before.chunk : 0;
}

/** The tiling of the kernel that scores chunks of 16; undefined where it does not serve. */
export function chunksTiling(
  { chunk, dims, ...stage }: SearchStage,
  index: number,
  request: SearchRequest,
): ChunksTiling | undefined {
  const { tuning = DEFAULT_TUNING, shape, limits, profile } = request;
  const most = mostOf({ chunk }, index, request);
  if (!tuning.chunks || chunk !== TILE || index === 0 || most > MOST_CHUNKS) return undefined;
  const groups = groupsOf(stage, request);
  const { subgroupMaxSize: subgroupSize } = profile;
  return [tuning.chunks, SMALL_CHUNKS, { ...SMALL_CHUNKS, buffers: 1 } as const]
    .map((tiling) => fitChunks(groups, tiling))
    .find(
      (tiling) =>
        tiling.subgroups * subgroupSize <=
          Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
        subgroupSize / tiling.keyTiles >= 8 &&
        chunksBytes(shape.headDim, { groups, subgroupSize, dims, tiling }, most, survivorsOf(index, request)) <=
          limits.maxComputeWorkgroupStorageSize,
    );
}

const SMALL_CHUNKS: ChunksTiling = Object.freeze({ subgroups: 2, rowTiles: 2, keyTiles: 1, buffers: 2 });

/** The tiling of the kernel of votes on pairs; undefined where it does not serve. */
export function voteTiling(
  { chunk, dims, ...stage }: SearchStage,
  index: number,
  request: SearchRequest,
): VoteTiling | undefined {
  const { tuning = DEFAULT_TUNING, shape, limits, profile } = request;
  if (!tuning.vote || chunk !== 2) return undefined;
  const rows = groupsOf(stage, request);
  const most = mostOf({ chunk }, index, request);
  const { subgroupMaxSize: subgroupSize } = profile;
  const { vote } = tuning;
  return [vote, { ...vote, buffers: 1 } as const, { ...vote, keyTiles: 2, buffers: 1 } as const].find((tiling) => {
    const sizes = { rows, subgroupSize, dims, tiling, most };
    return (
      // A lane keeps whole octets.
      (4 * tiling.keyTiles * TILE) % (4 * subgroupSize) === 0 &&
      voteBytes(shape.headDim, sizes, survivorsOf(index, request)) <= limits.maxComputeWorkgroupStorageSize &&
      keptBytes(sizes, 1) <= limits.maxStorageBufferBindingSize
    );
  });
}

/** Some scored row may not see some key of a candidate. */
export function someHidden({ chunk }: Pick<SearchStage, 'chunk'>, { config }: Pick<SearchRequest, 'config'>): boolean {
  return config.causal && config.window < config.blockQ + chunk;
}

/** Chooses the kernel of a stage. @param windows pieces that the keys are bound in */
export function stageKernel(stage: SearchStage, index: number, request: SearchRequest, windows: number): StageKernel {
  const { shape, config, type, profile, limits } = request;
  const { subgroupMaxSize } = profile;
  const groups = groupsOf(stage, request);
  const memory = limits.maxComputeWorkgroupStorageSize;
  if (profile.tier !== 'subgroup-matrix' || type !== 'f16' || config.shareHeads || shape.headDim % TILE !== 0)
    return 'vector';
  // More numbers of a row than a subgroup's registers hold.
  if (shape.headDim > 256) return 'vector';
  const { dims = 'all' } = stage;
  if (dims === 'slow-half' && shape.headDim % (2 * TILE) !== 0) return 'vector';
  if (windows > 1 || groups < 4 || (request.tuning ?? DEFAULT_TUNING).vectorStages?.includes(index)) return 'vector';
  const last = index === (config.stages ?? []).length - 1;
  switch (stage.score) {
    case 'bound':
    case 'deviation': {
      if (!(groups === 4 || groups === 8 || groups === 16) || (last && config.kPerHead)) return 'vector';
      if (index === 0) return boundSizes(stage.score, request) ? 'matrix-bound' : 'vector';
      const children =
        stage.score === 'bound' &&
        childrenBytes(shape.headDim, subgroupMaxSize) <= memory &&
        childrenLanes(subgroupMaxSize) <= limits.maxComputeInvocationsPerWorkgroup;
      return children ? 'matrix-children' : 'vector';
    }
    case 'exact': {
      // Then every candidate's keys are there.
      const stored = stage.chunk % TILE === 0 && config.window >= stage.chunk;
      if (stored && chunksTiling(stage, index, request)) return 'matrix-chunks';
      const fits =
        exactBytes(shape.headDim, { chunk: stage.chunk, groups, dims, ...exactSizes(request) }) <= memory &&
        exactTiles(stage.chunk, groups) <= 4;
      return stored && fits ? 'matrix-exact' : 'vector';
    }
    case 'mass': {
      const lanes = massSubgroups(groups) * subgroupMaxSize;
      const fits =
        lanes <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
        massBytes(shape.headDim, { rows: groups, subgroupSize: subgroupMaxSize, dims }) <= memory;
      const lanesFit = lanes <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
      if (lanesFit && subgroupMaxSize % TILE === 0 && voteTiling(stage, index, request)) return 'matrix-vote';
      return fits && MASS_COLUMNS % stage.chunk === 0 && subgroupMaxSize % TILE === 0 ? 'matrix-mass' : 'vector';
    }
    default:
      return 'vector';
  }
}

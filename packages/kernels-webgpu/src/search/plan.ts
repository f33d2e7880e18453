// What a mask search does on the GPU, as plain data: slabs of query blocks, passes, scratch. Pure: no device.
import {
  checkScore,
  checkSearch,
  checkShape,
  maskCapacity,
  type AttentionShape,
  type HipConfig,
  type ScoreOptions,
  type SearchStage,
} from '@hip/mask-search';
import { bytesOf, type DeviceProfile, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { limitError, HipError } from '../errors/gpu-errors.ts';
import type { SummaryScore } from './code/envelope.ts';
import type { ChunksTiling } from './code/matrix-chunks.ts';
import type { VoteTiling } from './code/vote-tiling.ts';
import type { Summary } from './envelopes.ts';
import { planSlabs, type Slab } from './slabs.ts';
import { stagePasses } from './stage-passes.ts';
import { treePasses } from './tree-passes.ts';
import type { SearchConstants } from './code/shape.ts';

/** What is searched, and on what. */
export interface SearchRequest {
  /** `heads` and `kvHeads` of this search; `keys` is the largest Tk that the plan must serve. */
  readonly shape: AttentionShape;
  readonly config: HipConfig;
  readonly type: ElementType;
  readonly profile: Pick<DeviceProfile, 'tier' | 'subgroupMaxSize'>;
  readonly limits: DeviceLimits;
  /** Rows of one batch in the key buffer. @defaultValue shape.keys */
  readonly keyRows?: number | undefined;
  /** Heads of one query row in memory. @defaultValue shape.heads */
  readonly queryHeads?: number | undefined;
  /** log2 of the tokens per page; keys lie behind one another when absent. */
  readonly pageShift?: number | undefined;
  /** Chunks for which each head of a given envelope has room, by chunk size. @defaultValue as many as keys need */
  readonly envelopeChunks?: number | undefined;
  /** Of the attention, for stages that vote. */
  readonly score?: ScoreOptions | undefined;
  /** Bytes of scores to hold at once; more means larger slabs. @defaultValue 256 MiB, at most one binding */
  readonly scratchBytes?: number | undefined;
  /** Sizes of the matrix kernels. @defaultValue {@link DEFAULT_TUNING} */
  readonly tuning?: SearchTuning | undefined;
}

/** Sizes that only speed depends on. */
export interface SearchTuning {
  /** Subgroups of a workgroup that scores keys; each takes a candidate at a time. */
  readonly exactSubgroups: number;
  /** Subgroups of a workgroup that bounds all chunks; each keeps 16 split rows. */
  readonly boundSubgroups: number;
  /** Chunks that it stages at a time. */
  readonly boundRound: number;
  /** How the kernel that scores chunks of 16 keys is cut; without it {@link exactSubgroups} counts. @defaultValue none */
  readonly chunks?: ChunksTiling | undefined;
  /** How the kernel of votes on pairs of keys is cut; without it rows go over the keys twice. @defaultValue none */
  readonly vote?: VoteTiling | undefined;
  /** Stages that are scored without matrices. @defaultValue none */
  readonly vectorStages?: readonly number[] | undefined;
}

export const DEFAULT_TUNING: SearchTuning = Object.freeze({
  exactSubgroups: 4,
  boundSubgroups: 4,
  boundRound: 32,
  chunks: { subgroups: 4, rowTiles: 2, keyTiles: 1, buffers: 1 },
  vote: { keyTiles: 4, buffers: 1, workgroups: 528 },
} as const);

/**
 * A buffer of the plan by role; `envelope/16` is the envelope of 16-key chunks, `moments/64` means and variances of 64-key chunks,
 * `starts/0` what stage 0 keeps.
 */
export type BufferRole = 'shape' | 'q' | 'k' | 'pages' | 'mask/starts' | 'mask/counts' | (string & {});

/** One dispatch of a slab. */
export interface SearchPass {
  readonly label: string;
  /** Index of the stage it belongs to; 0 for the tree. */
  readonly stage: number;
  readonly code: string;
  readonly buffers: readonly BufferRole[];
  readonly workgroups: readonly [number, number, number];
  /** Index into the slab's key windows: which part of k is bound. */
  readonly window?: number | undefined;
}

/** A plan; {@link encodeSearch} runs it. */
export interface SearchPlan {
  readonly request: SearchRequest;
  readonly constants: SearchConstants;
  readonly slabs: readonly (Slab & { readonly passes: readonly SearchPass[] })[];
  /** Bytes per scratch role. */
  readonly scratch: Readonly<Record<string, number>>;
  /** Summaries of chunks that the passes read. */
  readonly envelopes: readonly Summary[];
}

/** M: blocks kept per query block, of the head with most. */
export function capacityOf({ k, blockK, kPerHead }: Pick<HipConfig, 'k' | 'blockK' | 'kPerHead'>): number {
  return maskCapacity({ k, blockK, kPerHead, ensemble: undefined });
}

/** The role of a summary's buffer. */
export function roleOf({ score, chunk }: Pick<Summary, 'score' | 'chunk'>): BufferRole {
  return `${score === 'bound' ? 'envelope' : 'moments'}/${chunk}`;
}

/** How a summary is stored: envelopes as the keys; means and variances in f32, but in f16 where matrices take them. */
export function storeOf(score: SummaryScore, { type, profile }: Pick<SearchRequest, 'type' | 'profile'>): ElementType {
  return score === 'bound' || (type === 'f16' && profile.tier === 'subgroup-matrix') ? type : 'f32';
}

/** Tokens that the last row of query block `n` searches. */
export function searchableOf(
  n: number,
  { queries, keys }: AttentionShape,
  { blockQ, causal, window, sink }: HipConfig,
): number {
  const end = Math.min((n + 1) * blockQ, queries);
  const visible = causal ? Math.max(0, Math.min(keys, end + keys - queries)) : keys;
  return Math.max(0, visible - window - sink);
}

/** Chunks that cover the keys beyond the sink. */
export function envelopeRows(keys: number, sink: number, chunk: number): number {
  return Math.max(0, Math.ceil((keys - sink) / chunk));
}

/** Bytes of an envelope buffer. */
export function envelopeBytes(
  { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
  chunks: number,
  type: ElementType,
): number {
  return Math.max(1, batch * kvHeads * chunks) * 2 * headDim * bytesOf(type);
}

/** The constants that kernels bake in. */
export function constantsOf({ shape, config, type, pageShift }: SearchRequest): SearchConstants {
  return {
    headDim: shape.headDim,
    group: shape.heads / shape.kvHeads,
    type,
    blockQ: config.blockQ,
    sink: config.sink,
    window: config.window,
    causal: config.causal,
    shared: config.shareHeads,
    pageShift,
  };
}

/**
 * Plans a search: the tree of docs/specification/hip.md §2, or the stages of §3.
 *
 * @throws HipError `unsupported` where a buffer does not fit a binding and cannot be cut, `invalid-shape` for a head dimension that is
 * no multiple of 8
 */
export function planSearch(request: SearchRequest): SearchPlan {
  const { shape, config, limits } = request;
  checkShape(shape);
  checkScore(request.score ?? {});
  checkSearch(config, { heads: request.queryHeads ?? shape.heads });
  if (shape.headDim % 8 !== 0)
    throw new HipError('invalid-shape', `headDim is ${shape.headDim}: GPU kernels need a multiple of 8`, {
      headDim: shape.headDim,
    });
  if (config.ensemble)
    throw new HipError(
      'unsupported',
      'ensembles are not searched on the GPU: leave config.ensemble undefined, or search on the CPU',
      { ensemble: config.ensemble },
    );
  if (config.kPerHead && !config.stages) {
    const message = 'the GPU takes budgets by head with stages: leave config.kPerHead undefined, or give config.stages';
    throw new HipError('unsupported', message, { kPerHead: config.kPerHead });
  }
  const constants = constantsOf(request);
  const capacity = capacityOf(config);
  const maskHeads = config.shareHeads ? 1 : (request.queryHeads ?? shape.heads);
  const blocks = Math.ceil(shape.queries / config.blockQ);
  const maskBytes = 4 * shape.batch * maskHeads * blocks * capacity;
  if (maskBytes > limits.maxStorageBufferBindingSize)
    throw limitError(
      'maxStorageBufferBindingSize',
      maskBytes,
      limits.maxStorageBufferBindingSize,
      'search fewer queries at a time, or use a larger blockQ or blockK',
    );
  const slabs = planSlabs(request);
  const scratch: Record<string, number> = {};
  const planned = slabs.map((slab) => {
    const { passes, bytes } = config.stages
      ? stagePasses(request, constants, slab, config.stages)
      : treePasses(request, constants, slab);
    for (const [role, size] of Object.entries(bytes)) scratch[role] = Math.max(scratch[role] ?? 0, size);
    return { ...slab, passes };
  });
  const envelopes = summariesOf(config.stages ?? [], request).filter((summary) =>
    planned.some(({ passes }) => passes.some(({ buffers }) => buffers.includes(roleOf(summary)))),
  );
  for (const [role, size] of Object.entries(scratch))
    if (size > limits.maxStorageBufferBindingSize)
      throw limitError(
        'maxStorageBufferBindingSize',
        size,
        limits.maxStorageBufferBindingSize,
        `search fewer queries at a time: ${role} does not fit`,
      );
  return { request, constants, slabs: planned, scratch, envelopes };
}

/** One for each kind and chunk. */
function summariesOf(stages: readonly SearchStage[], request: SearchRequest): Summary[] {
  const found = new Map<string, Summary>();
  for (const { score, chunk } of stages) {
    if (score !== 'bound' && score !== 'deviation') continue;
    const summary = { score, chunk, store: storeOf(score, request) };
    found.set(roleOf(summary), summary);
  }
  return [...found.values()];
}

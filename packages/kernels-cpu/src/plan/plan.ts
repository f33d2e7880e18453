// Pure numbers: how much memory a call takes and how its work is split. Property-tested without running anything.
import type { AttentionShape, HipConfig } from '@hip/mask-search';
import { alignBytes } from '../runtime/arena.ts';

/** Keys of a packed panel. */
export const PANEL = 8;
/** Query rows of an attention tile. */
export const ROWS = 64;
const FLOAT = 4;

/** What a call will use, in bytes, before anything is allocated. */
export interface MemoryPlan {
  /** Copies of q, k, v and the output inside WebAssembly memory. */
  readonly tensors: number;
  /** Packed keys and values. */
  readonly panels: number;
  /** The block mask. */
  readonly mask: number;
  /** Chunk summaries of the search. */
  readonly envelopes: number;
  /** Scratch of all threads. */
  readonly scratch: number;
  readonly total: number;
  /** What a materialised score matrix would take: B·H·Tq·Tk floats. */
  readonly materialized: number;
}

export interface PlanInput {
  readonly shape: AttentionShape;
  /** undefined: dense attention. */
  readonly config?: HipConfig | undefined;
  readonly threads: number;
}

/** Panels of keys per (batch, kv head). */
export function panelsOf(count: number): number {
  return Math.ceil(count / PANEL);
}

/** Chunks and panels of one stage's envelope per (batch, kv head). */
export function envelopePanels(keys: number, sink: number, chunk: number): number {
  return panelsOf(Math.max(0, Math.ceil((keys - sink) / chunk)));
}

/** Most candidates any stage holds, with the headroom of its expansion. */
export function maxCandidates(shape: AttentionShape, config: HipConfig): number {
  const { stages } = config;
  if (!stages) return 2 * Math.ceil(config.k / config.blockK);
  let most = 1;
  let chunkBefore = shape.keys;
  let have = 1;
  for (const { chunk, keep } of stages) {
    const expanded = have * Math.ceil(chunkBefore / chunk);
    most = Math.max(most, expanded);
    have = Math.max(1, Math.min(expanded, keep / chunk));
    chunkBefore = chunk;
  }
  // A stage that has no more candidates than it keeps passes all of them on.
  return Math.max(most, 1);
}

/** Scratch bytes of one thread. */
export function scratchBytes({ shape, config }: Omit<PlanInput, 'threads'>): number {
  const d = shape.headDim;
  const attention = (2 * ROWS * d + ROWS * ROWS + 2 * ROWS) * FLOAT + 8 * 32 + 8 * 2 * PANEL * d * FLOAT;
  if (!config) return alignBytes(attention);
  const rows = (config.blockQ + 3) & ~3;
  const vectors = (config.shareHeads ? shape.heads : 1) * rows * d * FLOAT;
  const candidates = maxCandidates(shape, config);
  const search = 3 * vectors + rows * 64 + 128 + PANEL * d * FLOAT + 5 * candidates * FLOAT + 256;
  return alignBytes(Math.max(attention, search));
}

/** Plans a call. Nothing is allocated. */
export function planMemory({ shape, config, threads }: PlanInput): MemoryPlan {
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const q = alignBytes(batch * queries * heads * d * FLOAT);
  const k = alignBytes(batch * keys * kvHeads * d * FLOAT);
  const tensors = 2 * q + 2 * k;
  const panels = 2 * alignBytes(batch * kvHeads * panelsOf(keys) * PANEL * d * FLOAT);
  let mask = 0;
  let envelopes = 0;
  if (config) {
    const cells = batch * (config.shareHeads ? 1 : heads) * Math.ceil(queries / config.blockQ);
    mask = alignBytes(cells * Math.ceil(config.k / config.blockK) * 4) + alignBytes(cells * 4);
    for (const chunk of new Set((config.stages ?? []).filter(({ score }) => score === 'bound').map((stage) => stage.chunk))) {
      envelopes += alignBytes(batch * kvHeads * envelopePanels(keys, config.sink, chunk) * 2 * PANEL * d * FLOAT);
    }
  }
  const scratch = threads * scratchBytes({ shape, config });
  return { tensors, panels, mask, envelopes, scratch, total: tensors + panels + mask + envelopes + scratch, materialized: batch * heads * queries * keys * FLOAT };
}

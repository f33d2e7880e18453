// The attention methods the quality benchmark compares, each with its number of keys and dense layers.
import { denseModelAttention, hipModelAttention, maskedAttention } from '@hip/attention';
import {
  BOUND_CONFIG,
  boundStages,
  infiniteHipStages,
  PAPER_CONFIG,
  randomBlockMask,
  streamingMask,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  splitStages,
  type ScoredStage,
  type SearchStage,
} from '@hip/mask-search';
import { WIDE_BOUNDS } from '../bounds.ts';
import type { AttentionFunction } from '@instatune/supernet';

/** Plain data: it travels to worker threads and names a result. */
export interface Method {
  readonly name: 'dense' | 'hip' | 'streaming' | 'random';
  /** What distinguishes it in the table. */
  readonly label: string;
  /** Keys the search keeps; a query attends to `window + sink` more. */
  readonly k: number;
  readonly denseLayers: number;
  /** Of `hip`: the tree search instead of stages. A flag, because a process boundary drops `stages: undefined`. */
  readonly tree?: boolean;
  /** Of `hip`: what differs from DEFAULT_CONFIG beside k and denseLayers. */
  readonly config?: Partial<HipConfig>;
}

/** Of the methods that the table compares at equal keys. */
const { window, sink } = BOUND_CONFIG;

const hip = (k: number, denseLayers: number, label = 'HiP (default)', config?: Partial<HipConfig>): Method => ({
  name: 'hip',
  label,
  k,
  denseLayers,
  ...(config && { config }),
});

const tree = (label: string, changes: Partial<HipConfig>): Method => ({
  ...hip(512, 2, label, treeOf(changes)),
  tree: true,
});

/** InfiniteHiP's stages scaled to `k` final keys, so that 32K tokens are pruned by each of them. */
function multiStage(k: number): Partial<HipConfig> {
  const stages = infiniteHipStages(k).map((stage, i) => ({ ...stage, keep: [16 * k, 4 * k, k][i]! }));
  return { stages, blockK: 8, window, sink };
}

/** WIDE_BOUNDS's stages, with changes by stage and changes of all. */
function changed(changes: readonly Partial<ScoredStage>[], all: Partial<ScoredStage> = {}): ScoredStage[] {
  return splitStages(WIDE_BOUNDS.stages!).scored.map((stage, i) => ({ ...stage, ...all, ...changes[i] }));
}

/** WIDE_BOUNDS's stages that score last rows instead of means, with changes by stage. */
function rowsMax(changes: readonly Partial<ScoredStage>[] = []): ScoredStage[] {
  return changed(changes, { rows: 'max' });
}

/** Bounds of means of so many rows; the last stage scores every second row. */
function everySecondRow(rows: number): readonly SearchStage[] {
  const stages = boundStages(512, rows);
  return stages.with(-1, { ...stages.at(-1)!, strideQ: 2 });
}

/** The search by bounds that was the default before rows voted. */
const bounds = (k: number, denseLayers: number, label = 'HiP, bounds'): Method =>
  hip(k, denseLayers, label, { ...BOUND_CONFIG, stages: boundStages(k) });

/** WIDE_BOUNDS with changes. */
const staged = (label: string, changes: Partial<HipConfig> = {}): Method =>
  hip(512, 2, label, { ...WIDE_BOUNDS, ...changes });

/** Reads everything: what the later stages would find if nothing were pruned before. */
const ORACLE: SearchStage = { chunk: 16, keep: 512, strideQ: 1, rows: 'max', score: 'exact' };

/** The table of the README: every method at the same number of keys. */
export const METHODS: readonly Method[] = [
  { name: 'dense', label: 'dense', k: 0, denseLayers: 0 },
  hip(320, 2),
  hip(320, 1),
  hip(320, 0),
  bounds(512, 2),
  staged('HiP, bounds of 64 rows'),
  { name: 'streaming', label: 'sink + window (StreamingLLM)', k: 512, denseLayers: 0 },
  { name: 'streaming', label: 'sink + window (StreamingLLM)', k: 512, denseLayers: 2 },
  { name: 'random', label: 'random blocks (BigBird)', k: 512, denseLayers: 0 },
  { name: 'random', label: 'random blocks (BigBird)', k: 512, denseLayers: 2 },
  tree('HiP, tree search as in the paper', {}),
  hip(512, 2, 'HiP, multi-stage (InfiniteHiP, scaled to k)', multiStage(512)),
  ...[256, 1024, 128].flatMap((k) => [2, 1, 0].map((layers) => hip(k, layers))),
  ...[256, 1024].map((k) => bounds(k, 2)),
];

/** What a search by bounds is made of: one change at a time, k = 512, two dense layers. */
export const ABLATIONS: readonly Method[] = [
  tree('tree: b_k 2, centre (paper)', {}),
  tree('tree: first key represents', { representative: 'first' }),
  tree('tree: last key represents', { representative: 'last' }),
  tree('tree: random key represents', { representative: 'random' }),
  tree('tree: b_k 16, b_sk 4', { blockK: 16, strideK: 4 }),
  tree('tree: b_k 16, b_sk 1', { blockK: 16, strideK: 1 }),
  hip(512, 2, 'stages: binary, 256 / 32 / 8 (InfiniteHiP)', multiStage(512)),
  staged('stages: envelope 64 → 4096, then 16 exact', {
    stages: [
      { chunk: 64, keep: 4096, strideQ: 8, rows: 'mean', score: 'bound' },
      { chunk: 16, keep: 512, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  }),
  staged('stages: envelope 64 and 16, rows max', { stages: rowsMax() }),
  staged('stages: rows max, every 4th row', { stages: rowsMax([{ strideQ: 4 }, { strideQ: 4 }]) }),
  staged('stages: rows max, 16 → 2048 tokens', { stages: rowsMax([{}, { keep: 2048 }]) }),
  staged('stages: rows max, last one scores every 2nd row', { stages: rowsMax([{}, {}, { strideQ: 2 }]) }),
  staged('stages: rows max, last chunk 8', { blockK: 8, stages: rowsMax([{}, {}, { chunk: 8 }]) }),
  staged('stages: rows max, every 4th row, no 16', {
    stages: rowsMax([{ strideQ: 4 }]).filter((_, i) => i !== 1),
  }),
  staged('stages: rows max, blocks of 32 rows', {
    blockQ: 32,
    stages: rowsMax([{ strideQ: 4 }, { strideQ: 4 }, { strideQ: 2 }]),
  }),
  ...[8, 4].map((chunk) =>
    staged(`stages: fast, last chunk ${chunk}`, {
      blockK: chunk,
      stages: changed([{}, {}, { chunk }]),
    }),
  ),
  staged('stages: fast, 16 → 1024 tokens', { stages: changed([{}, { keep: 1024 }]) }),
  staged('stages: fast, last one scores every 8th row', { stages: changed([{}, {}, { strideQ: 8 }]) }),
  staged('stages: fast, window 128', { window: 128 }),
  staged('stages: fast'),
  staged('every key of every row', { stages: [ORACLE] }),
  ...[32, 16].map((blockQ) => staged(`every key of every row, blocks of ${blockQ} rows`, { blockQ, stages: [ORACLE] })),
  ...[4, 2].map((rows) => staged(`stages: means of ${rows} rows`, { stages: boundStages(512, rows) })),
  ...[4, 2].map((rows) =>
    staged(`stages: means of ${rows} rows, last one scores every 2nd row`, { stages: everySecondRow(rows) }),
  ),
  staged('stages: means of 8 rows, blocks of 32 rows', { blockQ: 32 }),
  bounds(512, 2, 'stages: means of 4 rows, blocks of 32 rows (BOUND_CONFIG)'),
  staged('stages: means of 4 rows, blocks of 16 rows, last one scores every 2nd row', {
    blockQ: 16,
    stages: everySecondRow(4),
  }),
];

/** Whose share of the attention mass is taken; the literal tree is what the default replaces. */
export const RECALLED: readonly Method[] = [
  hip(320, 2, 'HiP (default)'),
  bounds(512, 2),
  tree('HiP, tree search as in the paper', {}),
  hip(512, 2, 'HiP, multi-stage (InfiniteHiP, scaled to k)', multiStage(512)),
  ...METHODS.filter(({ name, denseLayers }) => name === 'streaming' && denseLayers === 0),
];

function treeOf(changes: Partial<HipConfig>): Partial<HipConfig> {
  const { blockQ, blockK, strideQ, strideK, representative } = PAPER_CONFIG;
  return { blockQ, blockK, strideQ, strideK, representative, window, sink, ...changes };
}

/** The search of a `hip` method. */
export function configOf({ k, denseLayers, tree, config }: Method): Partial<HipConfig> {
  return { ...config, ...(tree && { stages: undefined }), k, denseLayers };
}

/** The mask of a baseline, with exactly as many keys as HiP keeps: k + window + sink. */
export function baselineMask({ name, k }: Method, shape: AttentionShape): BlockMask {
  return name === 'streaming'
    ? streamingMask(shape, { window: window + k, sink, shareHeads: true })
    : randomBlockMask(shape, { k, blockK: 16, window, sink, seed: 1 });
}

/** Layers the method leaves dense. */
export function denseLayersOf({ name, denseLayers }: Method): number {
  return name === 'dense' ? Infinity : denseLayers;
}

/** The method as a model's attention; one instance serves one sequence. */
export function attentionOf(method: Method): AttentionFunction {
  const { name, denseLayers } = method;
  if (name === 'dense') return denseModelAttention();
  if (name === 'hip') return hipModelAttention({ config: configOf(method), dense: 'never' });
  const dense = denseModelAttention();
  return (q, keys, v, context) => {
    if (context.layer < denseLayers) return dense(q, keys, v, context);
    const [batch, queries, heads, headDim] = q.shape;
    const shape = { batch, queries, keys: keys.shape[1], heads, kvHeads: keys.shape[2], headDim };
    return maskedAttention(q, keys, v, baselineMask(method, shape), { scale: context.scale });
  };
}

// searchBlockMask: the blocked HiP mask search, one mask per (batch, head or shared, query block).
import { rotateToPositions } from '../attention/block-sparse.ts';
import { rotaryEmbedding, type RotaryTables } from '../attention/rotary.ts';
import { logitOf, type ScoreOptions } from '../attention/score.ts';
import { emptyMask, setBlocks, type AttentionShape, type BlockMask } from '../block-mask.ts';
import type { HipConfig } from '../config/config.ts';
import { resolveConfig } from '../config/resolve.ts';
import { suitableConfig, type HeadForm } from '../config/suitable.ts';
import { HipError } from '../errors.ts';
import { checkInputs, positionsOf, type FloatArray } from '../inputs.ts';
import { MemoryMeter, newWorkCount, throwIfAborted, type RunOptions, type WorkCount } from '../work.ts';
import { maskCapacity, searchBlock, type SearchContext } from './block-search.ts';
import { queryBlock } from './geometry.ts';

/**
 * RoPE inside the search, for q and k that come unrotated (docs/specification/hip.md §3).
 *
 * `absolute`: every vector at its own position. `relative`: every candidate is scored as if it stood right before the window,
 * `window` tokens back, so that no score depends on a distance the model was not trained on; tables need window + 1 positions. Votes
 * take sinks and window there too.
 */
export interface SearchRopeOptions {
  readonly tables: RotaryTables;
  readonly mode: 'absolute' | 'relative';
}

/** Configuration of the search, and how the call runs; `scale` and `softcap` as the attention has them, for stages that vote. */
export interface SearchOptions extends Partial<HipConfig>, ScoreOptions, RunOptions {
  /** [queries] absolute positions, not decreasing, shared by the batch. @defaultValue row + keys − queries */
  readonly positions?: ArrayLike<number> | undefined;
  /** @defaultValue none: q and k are used as they are */
  readonly rope?: SearchRopeOptions | undefined;
}

/**
 * Finds, for each block of `blockQ` queries, the key blocks that matter (docs/specification/hip.md §2, or §3 when `stages` are given).
 * A block that sees no more than k keys beyond sink and window keeps them all: its attention is exact.
 *
 * Scale and soft-cap do not change the order of scores: only a stage that votes (`mass`) reads them.
 * Cost (tree) O(T·log T) dot products and O(T) memory for fixed k; see {@link WorkCount} and the package's complexity tests.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d]
 * @param work counts what the search does, if given
 * @throws HipError `invalid-config`, `invalid-shape`, `non-finite`, `aborted`
 * @example
 * ```ts
 * import { searchBlockMask } from '@hip/mask-search';
 * const shape = { batch: 1, queries: 2048, keys: 2048, heads: 1, kvHeads: 1, headDim: 8 };
 * const wave = Float32Array.from({ length: 2048 * 8 }, (_, i) => Math.sin(i * i));
 * const mask = searchBlockMask(wave, wave, shape, { k: 128, window: 64 });
 * console.log(mask.counts[31]); // => 64
 * ```
 */
export function searchBlockMask(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  options: SearchOptions = {},
  work: WorkCount = options.work ?? newWorkCount(),
): BlockMask {
  const { positions, rope, signal, onProgress, scale, softcap, work: _, ...partial } = options;
  checkInputs(shape, { q, k });
  const config = searchedConfig(partial, shape, rope);
  checkSearch(config, shape);
  const logit = logitOf(shape.headDim, { scale, softcap });
  const position = positionsOf(shape, positions);
  const rotated = rope ? rotateForSearch(q, k, shape, config, rope, positions) : { q, k };
  const inputs = { ...rotated, shape, causal: config.causal, position, work, logit };
  return searchCells(
    { ...inputs, meter: new MemoryMeter(work), config, summaries: new Map() },
    { positions, signal, onProgress },
  );
}

/** What a configuration asks of a model. @throws HipError `invalid-config` */
export function checkSearch({ kPerHead }: HipConfig, shape: Pick<AttentionShape, 'heads'>): void {
  if (kPerHead && kPerHead.length !== shape.heads) {
    const message = `kPerHead holds ${kPerHead.length} numbers: give one for each of the ${shape.heads} query heads`;
    throw new HipError('invalid-config', message, { name: 'kPerHead', value: kPerHead });
  }
}

/**
 * A whole configuration for a search with RoPE. The default's remainder, where the caller does not name it, goes where distances are not
 * the model's own: a pseudo-key stands for keys at many distances. @throws HipError `invalid-config`
 */
export function searchedConfig(
  config: Partial<HipConfig> = {},
  shape: Pick<AttentionShape, 'headDim'>,
  rope: { readonly tables: RotaryTables; readonly mode: string } | undefined,
): HipConfig {
  const isRelative = rope !== undefined && rope.mode !== 'absolute' && !('remainder' in config);
  const resolved = resolveConfig(isRelative ? { ...config, remainder: undefined } : config);
  return suitableConfig(resolved, formOf(shape, rope?.tables));
}

/** What tables tell of the heads that they turn; without tables heads turn as a whole. */
function formOf({ headDim }: Pick<AttentionShape, 'headDim'>, tables?: RotaryTables): HeadForm {
  const isWhole = !tables || (!tables.interleaved && tables.rotaryDim === headDim);
  return { headDim, rotation: isWhole ? 'half-split' : 'other' };
}

/** Searches every cell of a call whose inputs are known to be good. */
export function searchCells(
  context: SearchContext,
  { positions, signal, onProgress }: Pick<SearchOptions, 'positions' | 'signal' | 'onProgress'> = {},
): BlockMask {
  const { shape, config, meter, position } = context;
  const mask = emptyMask(shape, config, maskCapacity(config), positions);
  meter.hold(mask.starts.length + mask.counts.length);
  const cells = shape.batch * mask.maskHeads * mask.queryBlocks;
  let done = 0;
  for (let batch = 0; batch < shape.batch; batch++) {
    for (let maskHead = 0; maskHead < mask.maskHeads; maskHead++) {
      const heads = headsOf(shape, config, maskHead);
      for (let n = 0; n < mask.queryBlocks; n++) {
        throwIfAborted(signal);
        const block = queryBlock(n, shape, config, position);
        setBlocks(mask, batch, maskHead, n, searchBlock(context, { batch, heads, block }));
        onProgress?.(++done / cells);
      }
    }
  }
  return mask;
}

/** Query heads that share a head of the mask. */
export function headsOf({ heads }: AttentionShape, { shareHeads }: HipConfig, maskHead: number): number[] {
  return shareHeads ? Array.from({ length: heads }, (_, head) => head) : [maskHead];
}

/** q and k as the search scores them: see {@link SearchRopeOptions}. */
export function rotateForSearch(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  config: HipConfig,
  { tables, mode }: SearchRopeOptions,
  positions?: ArrayLike<number>,
): { readonly q: FloatArray; readonly k: FloatArray } {
  if (mode === 'absolute') return rotateToPositions(q, k, shape, tables, positions);
  const { batch, queries: rows, heads, headDim } = shape;
  // Logits depend on distances only: keys at 0, queries `window` further on.
  return { q: rotaryEmbedding(q, { batch, rows, heads, headDim }, tables, () => config.window), k };
}

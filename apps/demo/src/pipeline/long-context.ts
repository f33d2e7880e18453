// The long document, at growing lengths: a prefill with dense attention and one with HiP each, then the sub-network's folder goes on from it.
import { hipModelCache, type BlockMask, type ModelCache, type PreparedAttention } from '@hip/attention';
import { maskToSvg, type HipConfig } from '@hip/mask-search';
import { loadLanguageModel } from '@hip/llm';
import type { ElasticModel, TextTokenizer } from '@instatune/supernet';
import { DemoError } from './errors.ts';
import { writeWhole } from './files.ts';
import type { DemoOptions } from './options.ts';
import { measurePrefill } from './prefill.ts';
import type { Generation, LongContextRow } from './result.ts';
import type { Facts, Pass, RunState } from './state.ts';

/** Tokens of context shown with what was generated. */
const SHOWN_TOKENS = 48;

export interface LongContextProgress {
  readonly kind: 'dense' | 'hip';
  /** Tokens done of this prefill. */
  readonly tokens: number;
  readonly length: number;
}

export interface LongContextInputs {
  /** The chosen sub-network, loaded on its own. */
  readonly model: ElasticModel;
  /** Where it lies. */
  readonly folder: string;
  /** The GPU that tfjs computes on; undefined on a processor. */
  readonly device: GPUDevice | undefined;
  readonly tokenizer: TextTokenizer;
  readonly options: DemoOptions;
  readonly state: RunState;
  readonly prepared: PreparedAttention;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: LongContextProgress) => void;
  readonly onRow: (row: LongContextRow) => void;
  readonly onToken: (done: number, total: number) => void;
}

/** The lengths that fit the document and the model. @throws DemoError `text-too-short` */
export function usableLengths(wanted: readonly number[], documentTokens: number, maxPositions: number): number[] {
  const usable = wanted.filter((length) => length <= Math.min(documentTokens, maxPositions));
  if (usable.length > 0) return usable;
  const shortest = Math.min(...wanted);
  throw shortest > maxPositions
    ? new DemoError(
        'invalid-option',
        `--lengths starts at ${shortest}, and the model has ${maxPositions} positions: give shorter --lengths`,
      )
    : new DemoError(
        'text-too-short',
        `the document has ${documentTokens} tokens, the long-context run needs at least ${shortest}: give a longer file with --document`,
      );
}

function searchConfig({ longContext }: DemoOptions): Partial<HipConfig> {
  return { k: longContext.k, denseLayers: longContext.denseLayers };
}

/** Measures what is not measured yet, then generates. Every finished prefill is recorded, so an interrupted run repeats at most one. */
export async function runLongContext(inputs: LongContextInputs): Promise<void> {
  const { state, options, model, onRow } = inputs;
  const ids = state.tokens('document');
  const lengths = usableLengths(options.longContext.lengths, ids.length, model.config.maxPositions);
  let cache: ModelCache | undefined;
  try {
    for (const length of lengths) {
      for (const kind of ['dense', 'hip'] as const) {
        if (state.facts.passes[length]?.[kind]) continue;
        cache?.dispose();
        const masks = new Map<number, BlockMask>();
        cache = cacheOf(inputs, kind, masks);
        state.recordPass(length, kind, await onePass(inputs, ids, { length, kind, cache, masks }));
        if (kind === 'dense') {
          cache.dispose();
          cache = undefined;
        }
      }
      onRow(rowOf(state.facts, length, model)!);
    }
    if (!state.facts.generation) state.record({ generation: await continueDocument(inputs, ids, lengths.at(-1)!) });
  } finally {
    cache?.dispose();
  }
}

/** A cache that its attention reads in place; `masks` get the newest of each layer. */
function cacheOf(
  { model, options, state }: LongContextInputs,
  kind: 'dense' | 'hip',
  masks: Map<number, BlockMask>,
): ModelCache {
  if (kind === 'dense') return hipModelCache({ dense: 'always' });
  let isDrawn = false;
  return hipModelCache({
    config: searchConfig(options),
    dense: 'never',
    onMask: (mask, layer) => {
      masks.set(layer, mask);
      // The first chunk of the last layer: queries and keys are the same tokens.
      if (isDrawn || layer !== model.config.layers - 1) return;
      isDrawn = true;
      writeWhole(state.path('mask.svg'), maskToSvg(mask));
    },
  });
}

interface PassInputs {
  readonly length: number;
  readonly kind: 'dense' | 'hip';
  readonly cache: ModelCache;
  readonly masks: ReadonlyMap<number, BlockMask>;
}

async function onePass(
  inputs: LongContextInputs,
  ids: Int32Array,
  { length, kind, cache, masks }: PassInputs,
): Promise<Pass> {
  const { model, options, prepared, signal, onProgress } = inputs;
  return measurePrefill({
    model,
    ids: ids.subarray(0, length + 1),
    tokens: length,
    attend: cache.attention,
    ...(kind === 'hip' && { config: searchConfig(options) }),
    masks,
    prepared,
    cache,
    signal,
    onProgress: (tokens) => onProgress({ kind, tokens, length }),
  });
}

/** A row of the result from what was recorded, or undefined while a pass is missing. */
export function rowOf(
  { passes }: Facts,
  tokens: number,
  { config }: Pick<ElasticModel, 'config'>,
): LongContextRow | undefined {
  const { dense, hip } = passes[tokens] ?? {};
  if (!dense || !hip) return undefined;
  return {
    tokens,
    denseMs: dense.ms,
    hipMs: hip.ms,
    ...(dense.attentionMs !== undefined && { denseAttentionMs: dense.attentionMs }),
    ...(hip.attentionMs !== undefined && { hipAttentionMs: hip.attentionMs }),
    denseTokensPerSecond: tokens / (dense.ms / 1000),
    hipTokensPerSecond: tokens / (hip.ms / 1000),
    densePpl: dense.perplexity,
    hipPpl: hip.perplexity,
    massRecall: hip.recall ?? 1,
    denseBytes: dense.bytes,
    hipBytes: hip.bytes,
    materializedBytes: 4 * config.heads * tokens * tokens,
  };
}

/** Continues the document as a program would that was handed the sub-network's folder: with `@hip/llm`, HiP attention at any length. */
async function continueDocument(
  { folder, device, model, tokenizer, options, signal, onToken }: LongContextInputs,
  ids: Int32Array,
  length: number,
): Promise<Generation> {
  const total = options.longContext.generate;
  const { maxPositions } = model.config;
  // What is written needs positions, too: where the document fills them all, its last tokens are left out.
  const context = ids.subarray(0, Math.max(1, Math.min(length + 1, maxPositions - total)));
  const times: number[] = [];
  using chosen = await loadLanguageModel(folder, {
    ...(device ? { device } : { backend: 'wasm' as const }),
    attention: { config: searchConfig(options), denseBelow: 0 },
    contextTokens: Math.min(maxPositions, context.length + total),
    signal,
  });
  const generated = await chosen.generate(context, {
    maxTokens: total,
    temperature: 0.8,
    topK: 40,
    seed: options.seed,
    stopIds: [],
    signal,
    onToken: () => {
      times.push(performance.now());
      onToken(times.length, total);
    },
  });
  return {
    prompt: tokenizer.decode([...context.subarray(Math.max(0, context.length - SHOWN_TOKENS))]),
    text: tokenizer.decode(generated),
    tokens: generated.length,
    contextTokens: context.length,
    msPerToken: times.length > 1 ? (times.at(-1)! - times[0]!) / (times.length - 1) : 0,
  };
}

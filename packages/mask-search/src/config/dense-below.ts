// How far a layer attends to all keys before it searches: one rule for every engine, so that the same text is read the same way.
import { HipError } from '../errors.ts';
import type { HipConfig } from './config.ts';
import { layerConfig } from './layer.ts';

/** Keys up to which rows attend to all of them, by what the rows are. */
export interface DenseBelow {
  /** Rows of a text. */
  readonly rows: number;
  /** The last {@link QUESTION_ROWS} rows of a call at most. */
  readonly question: number;
  /** A single row: one token after others. */
  readonly step: number;
}

/**
 * Rows at the end of a call that are its question. What a search leaves out rows of a text hardly miss; a question that asks for it does
 * (docs/guide/language-models.md).
 */
export const QUESTION_ROWS = 64;

/**
 * Keys up to which dense attention is at least as fast, for rows and steps; and those up to which a question is dense, whatever it takes.
 * `native`: rows on onnxruntime-node's own kernels, which are faster than WebAssembly's, so it pays longer. `webgpu`: no more for a
 * question than for other rows, since 64 rows occupy a small part of a GPU, and what longer ones cost is not measured.
 */
export const DENSE_BELOW = Object.freeze({
  wasm: Object.freeze({ rows: 1024, question: 16_384, step: 5632 }),
  native: Object.freeze({ rows: 2048, question: 16_384, step: 5632 }),
  webgpu: Object.freeze({ rows: 8192, question: 8192, step: 8192 }),
}) satisfies Readonly<Record<string, DenseBelow>>;

/** One layer's rule. */
export interface LayerRule {
  /** What a search runs; undefined: the layer never searches. */
  readonly config: HipConfig | undefined;
  /** Keys that rows of a layer with a sliding window see; 0: none. */
  readonly window: number;
  /** With the lengths at which there is nothing to search for worked in. */
  readonly denseBelow: DenseBelow;
}

/** A number stands for rows, questions and steps alike. @throws HipError `invalid-config` for what is no number >= 0 */
export function resolveDenseBelow(given: DenseBelow | number): DenseBelow {
  const { rows, question, step } =
    typeof given === 'object' && given !== null ? given : { rows: given, question: given, step: given };
  for (const [name, value] of Object.entries({ rows, question, step })) {
    if (typeof value === 'number' && value >= 0) continue;
    const at = typeof given === 'number' ? 'denseBelow' : `denseBelow.${name}`;
    throw new HipError('invalid-config', `${at} is ${String(value)}: give a number >= 0`, {
      name: 'denseBelow',
      value,
    });
  }
  return { rows, question, step };
}

/**
 * How a layer attends: by HiP, beyond the keys that `denseBelow` says, those that HiP would keep anyway, and the `denseTokens` of a layer
 * that the configuration leaves dense; to all keys; or to its window. `denseBelow: 0` searches from the first key on.
 *
 * @param config - a model's, profile and dense layers among it; `'dense'`: no layer searches
 * @throws HipError `invalid-config`
 * @example
 * ```ts
 * import { attends, DEFAULT_CONFIG, DENSE_BELOW, layerRule } from '@hip/mask-search';
 * const rule = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow: DENSE_BELOW.wasm });
 * const kinds = [1000, 64, 1].map((rows) => attends(rule, 8192, rows));
 * console.log(kinds.join()); // => hip,dense,hip
 * ```
 */
export function layerRule(
  config: Partial<HipConfig> | 'dense',
  {
    layer,
    window = 0,
    denseBelow,
  }: { readonly layer: number; readonly window?: number | undefined; readonly denseBelow: DenseBelow | number },
): LayerRule {
  const below = resolveDenseBelow(denseBelow);
  const own = config === 'dense' || window > 0 ? 'dense' : layerConfig(config, layer, Infinity);
  if (config === 'dense' || own === 'dense') return { config: undefined, window, denseBelow: below };
  const isDense = layerConfig(config, layer) === 'dense';
  const exact = isDense ? (own.denseTokens ?? Infinity) : 0;
  const kept = own.k + own.window + own.sink;
  const least = (keys: number): number => Math.max(keys, exact, keys > 0 ? kept : 0);
  return {
    config: own,
    window,
    denseBelow: { rows: least(below.rows), question: least(below.question), step: least(below.step) },
  };
}

/** What rows attend to: their window, all keys, or what HiP selects. */
export type Attends = 'window' | 'dense' | 'hip';

/** Keys up to which a call of `rows` rows attends to all of them. */
export function denseKeys({ rows: text, question, step }: DenseBelow, rows: number): number {
  return rows === 1 ? step : rows <= QUESTION_ROWS ? question : text;
}

/** What a call of `rows` rows attends to, the last of which sees `keys` keys; of a longer call than a question the rows before it. */
export function attends({ config, window, denseBelow }: LayerRule, keys: number, rows: number): Attends {
  if (window > 0 && window < keys) return 'window';
  return config && keys > denseKeys(denseBelow, rows) ? 'hip' : 'dense';
}

/** Rows of a call that are computed together. */
export interface CallRows {
  readonly rows: number;
  /** That the last of them sees. */
  readonly keys: number;
  /** Rows of the whole call. @defaultValue `rows` */
  readonly call?: number | undefined;
  /** Rows of the call that follow. @defaultValue 0 */
  readonly after?: number | undefined;
}

/** Rows that attend alike. */
export interface RowsPart {
  readonly rows: number;
  readonly kind: Attends;
}

/**
 * What rows attend to, from the first to the last: a longer call than a question ends with one, and its rows may be dense where those
 * before are searched. However a call is divided, its rows are told the same.
 *
 * @example
 * ```ts
 * import { attentionParts, DEFAULT_CONFIG, DENSE_BELOW, layerRule } from '@hip/mask-search';
 * const rule = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow: DENSE_BELOW.wasm });
 * const parts = (keys: number) => attentionParts(rule, { rows: 800, keys }).map(({ rows, kind }) => `${rows} ${kind}`);
 * console.log(parts(800).join(), parts(8192).join(), parts(32_768).join()); // => 800 dense 736 hip,64 dense 800 hip
 * ```
 */
export function attentionParts(rule: LayerRule, { rows, keys, call = rows, after = 0 }: CallRows): readonly RowsPart[] {
  const asked = call <= QUESTION_ROWS ? rows : Math.min(rows, Math.max(0, QUESTION_ROWS - after));
  const question: RowsPart = { rows: asked, kind: attends(rule, keys, Math.min(call, QUESTION_ROWS)) };
  if (asked === rows) return [question];
  const text: RowsPart = { rows: rows - asked, kind: attends(rule, keys - asked, call) };
  if (asked === 0) return [text];
  return text.kind === question.kind ? [{ rows, kind: text.kind }] : [text, question];
}

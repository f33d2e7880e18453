// Language-model data: windows of a token sequence, and splits that keep training, search and report apart.
import { integerOption, positiveInteger } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed, shuffledIndices } from '../random.ts';
import type { TextTokenizer } from '@hip/checkpoints';
import type { Dataset } from './dataset.ts';

/** Options of {@link textWindows}. */
export interface WindowOptions {
  /** Tokens of a window. @defaultValue 128 */
  readonly length?: number | undefined;
  /** Tokens from one window's start to the next's; less than `length` overlaps. @defaultValue length */
  readonly stride?: number | undefined;
}

/**
 * Next-token windows: inputs are tokens s … s + length − 1, labels the tokens one further on.
 *
 * @throws SupernetError `invalid-data` when the text has fewer than length + 1 tokens or one that is no id; `invalid-option`
 *
 * @example
 * ```ts
 * const windows = textWindows(tokenizer.encode(text), { length: 64, stride: 32 });
 * const { labels } = await windows.batch([0, 1]);
 * console.log(labels.length); // => 128
 * ```
 */
export function textWindows(tokens: Int32Array | readonly number[], options: WindowOptions = {}): Dataset {
  const { length = 128, stride = length } = options;
  positiveInteger('length', length);
  positiveInteger('stride', stride);
  const all = tokenIds(tokens);
  const count = Math.floor((all.length - 1 - length) / stride) + 1;
  if (count < 1) {
    throw new SupernetError('invalid-data', `${all.length} tokens are too few for one window: need ${length + 1}`, {
      tokens: all.length,
      length,
    });
  }
  return windowsAt(
    all,
    Array.from({ length: count }, (_, i) => i * stride),
    length,
  );
}

/** Three datasets that share no token. */
export interface TextSplits {
  readonly train: Dataset;
  /** What a search may look at. */
  readonly validation: Dataset;
  /** What is reported at the end, and nothing else looks at. */
  readonly report: Dataset;
}

/** Options of {@link splitText}. */
export interface SplitTextOptions extends WindowOptions {
  /** Share of the blocks for validation. @defaultValue 0.1 */
  readonly validation?: number | undefined;
  /** Share of the blocks for the report. @defaultValue 0.1 */
  readonly report?: number | undefined;
  /** Windows of contiguous text that stay together, so that the splits do not lie token by token beside each other. @defaultValue 8 */
  readonly blockWindows?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
}

/**
 * Cuts a token sequence into blocks and deals them out, seeded: no token (label included) is in two splits.
 *
 * @throws SupernetError `invalid-data` when a split would be empty or a token is no id; `invalid-option`
 *
 * @example
 * ```ts
 * const { train, validation } = splitText(tokenizer.encode(text), { length: 128, seed: 1 });
 * ```
 */
export function splitText(tokens: Int32Array | readonly number[], options: SplitTextOptions = {}): TextSplits {
  const { length = 128, validation = 0.1, report = 0.1, seed = 0 } = options;
  const stride = options.stride ?? length;
  positiveInteger('length', length);
  positiveInteger('stride', stride);
  positiveInteger('blockWindows', options.blockWindows ?? 8);
  integerOption('seed', seed);
  if (!(validation >= 0 && report >= 0 && validation + report < 1)) {
    throw new SupernetError(
      'invalid-option',
      `validation ${validation} and report ${report}: expected shares ≥ 0 with sum < 1`,
      {
        validation,
        report,
      },
    );
  }
  const all = tokenIds(tokens);
  // A short text takes smaller blocks, so that every split still gets one.
  const splits = 1 + Number(validation > 0) + Number(report > 0);
  const windows = Math.floor((all.length - 1) / (length + 1));
  const blockWindows = Math.max(1, Math.min(options.blockWindows ?? 8, Math.floor(windows / (4 * splits))));
  const blockTokens = blockWindows * length + 1;
  const blocks = Math.floor(all.length / blockTokens);
  const share = (part: number) => (part === 0 ? 0 : Math.max(1, Math.round(part * blocks)));
  const counts = { validation: share(validation), report: share(report) };
  if (blocks - counts.validation - counts.report < 1) {
    throw new SupernetError('invalid-data', `${all.length} tokens are too few to split into windows of ${length}`, {
      tokens: all.length,
      length,
      needed: splits * blockTokens,
    });
  }
  const order = shuffledIndices(blocks, new SeededRandom(deriveSeed(seed, 3)));
  const take = (from: number, to: number): Dataset => {
    const starts: number[] = [];
    for (const block of order.slice(from, to).sort()) {
      const first = block * blockTokens;
      for (let start = first; start + length + 1 <= first + blockTokens; start += stride) starts.push(start);
    }
    return windowsAt(all, starts, length);
  };
  return {
    validation: take(0, counts.validation),
    report: take(counts.validation, counts.validation + counts.report),
    train: take(counts.validation + counts.report, blocks),
  };
}

/**
 * Token ids of several texts in one sequence, each closed by `separator` (the tokenizer's end-of-sequence token of your model) where
 * one is given.
 */
export function encodeTexts(tokenizer: TextTokenizer, texts: Iterable<string>, separator?: number): Int32Array {
  const ids: number[] = [];
  for (const text of texts) {
    for (const id of tokenizer.encode(text, { addSpecialTokens: false })) ids.push(id);
    if (separator !== undefined) ids.push(separator);
  }
  return Int32Array.from(ids);
}

/** Whether they are tokens of the model is known when they meet it; what no model has is named here. */
function tokenIds(tokens: Int32Array | readonly number[]): Int32Array {
  for (let at = 0; at < tokens.length; at++) {
    const id = tokens[at] as number;
    if (id >= 0 && Number.isInteger(id)) continue;
    throw new SupernetError('invalid-data', `tokens[${at}] = ${id}: a token id is an integer ≥ 0`, { id, at: [at] });
  }
  return tokens instanceof Int32Array ? tokens : Int32Array.from(tokens);
}

function windowsAt(tokens: Int32Array, starts: readonly number[], length: number): Dataset {
  return {
    length: starts.length,
    batch: (indices) => {
      const ids = new Int32Array(indices.length * length);
      const labels = new Int32Array(indices.length * length);
      for (const [row, index] of indices.entries()) {
        const start = starts[index];
        if (start === undefined) {
          throw new SupernetError('invalid-data', `window ${index} of ${starts.length}`, { index });
        }
        ids.set(tokens.subarray(start, start + length), row * length);
        labels.set(tokens.subarray(start + 1, start + 1 + length), row * length);
      }
      return { size: indices.length, inputIds: { shape: [indices.length, length], data: ids }, labels };
    },
  };
}

// The options of measureFidelity, checked, and the chunks that a text is read in.
import { HipError } from '@hip/mask-search';
import type { RunOptions } from './model.ts';

export interface FidelityOptions {
  /** What is compared to dense attention, by name. */
  readonly runs: Readonly<Record<string, RunOptions>>;
  /** First token whose next-token distribution counts: early rows see so few keys that every attention is dense. @defaultValue the half */
  readonly from?: number | undefined;
  /** Tokens from here on are fed one at a time, as a decoder meets them. @defaultValue none are */
  readonly decodeFrom?: number | undefined;
  /** Tokens that run through the layers at once. A multiple of `blockQ` gives the masks of one whole prefill. @defaultValue 1024 */
  readonly chunkTokens?: number | undefined;
  /** Rows of logits that exist at once, for each of two models. @defaultValue 64 MiB of them */
  readonly logitRows?: number | undefined;
  /** Measures every layer and head, too: one more attention a layer, chunk and run. @defaultValue true */
  readonly layers?: boolean | undefined;
  /** Rows of the text whose probability mass is summed, in each layer and head. @defaultValue 32 */
  readonly massRows?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly tokens: number; readonly total: number }) => void) | undefined;
}

/** Numbers of logits that exist at once. */
const LOGITS = 1 << 24;

/** Tokens that run through the layers at once. */
export interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly isDecoded: boolean;
}

/** {@link FidelityOptions} with their defaults, for one text. */
export interface Settings {
  readonly tokens: number;
  readonly from: number;
  readonly layers: boolean;
  readonly chunks: readonly Chunk[];
  logitRows: number;
  /** Rows of a chunk whose mass is summed. */
  sampled(start: number, end: number): number[];
  /** Takes the size of the vocabulary, of which the first row's logits tell. */
  learn(vocabulary: number): void;
}

/** @throws HipError `invalid-config` */
export function resolveFidelityOptions(ids: readonly number[] | Int32Array, options: FidelityOptions): Settings {
  const tokens = ids.length;
  const integer = (name: string, value: number, least: number, most = Infinity): number => {
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Infinity ? `an integer >= ${least}` : `an integer from ${least} to ${most}`;
    throw new HipError('invalid-config', `${name} is ${value}: give ${range}`, { name, value });
  };
  integer('ids.length', tokens, 2);
  if (Object.keys(options.runs ?? {}).length === 0)
    throw new HipError('invalid-config', 'runs is empty: name at least one attention to compare', { name: 'runs' });
  const from = integer('from', options.from ?? tokens >> 1, 0, tokens - 2);
  const decodeFrom = integer('decodeFrom', options.decodeFrom ?? tokens, 0, tokens);
  const size = integer('chunkTokens', options.chunkTokens ?? 1024, 1);
  const massRows = integer('massRows', options.massRows ?? 32, 0);
  const given = options.logitRows === undefined ? undefined : integer('logitRows', options.logitRows, 1);
  const chunks: Chunk[] = [];
  for (let start = 0; start < tokens;) {
    const isDecoded = start >= decodeFrom;
    const end = isDecoded ? start + 1 : Math.min(start + size, decodeFrom, tokens);
    chunks.push({ start, end, isDecoded });
    start = end;
  }
  return {
    tokens,
    from,
    layers: options.layers ?? true,
    chunks,
    logitRows: given ?? 1,
    sampled(start, end) {
      const stride = Math.max(1, (Math.min(decodeFrom, tokens) - from) / Math.max(1, massRows));
      const rows: number[] = [];
      if (massRows === 0) return rows;
      // Golden-ratio offsets: evenly spread, and not always the same row of a block.
      for (let i = Math.max(0, Math.floor((start - from) / stride)); ; i++) {
        const row = from + Math.floor((i + ((i * 0.618_033_988_75) % 1)) * stride);
        if (row >= end || row >= tokens) return rows;
        if (row >= start && rows.at(-1) !== row - start) rows.push(row - start);
      }
    },
    learn(vocabulary) {
      if (given === undefined) this.logitRows = Math.max(1, Math.floor(LOGITS / vocabulary));
    },
  };
}

// The candidates of the next token: a row's largest logits and what their probabilities need, so that no logits come back.
import { HipError } from '../../errors/gpu-errors.ts';
import type { BufferRange, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, floatsOf } from '../check.ts';
import { SLICE, TOP_HEAD, topKernelCode, topParams } from './top-code.ts';

/** Most candidates of a row. */
export const MOST_CANDIDATES = 256;

export interface TopOptions {
  readonly rows: number;
  readonly vocabulary: number;
  /** Candidates of a row, at most {@link MOST_CANDIDATES}; fewer come where the vocabulary has fewer. */
  readonly count: number;
  /** Of all rows, for {@link Candidates.temperedSum}. @defaultValue 1 */
  readonly temperature?: number | undefined;
}

/** One row's candidates. */
export interface Candidates {
  /** Largest logit first, of equal ones the lowest id. */
  readonly ids: Uint32Array;
  readonly logits: Float32Array;
  /** The largest finite logit. */
  readonly max: number;
  /** Σ exp(logit − max) over all logits of the row: a candidate's probability is its own exponential over it. */
  readonly sum: number;
  /** Σ exp((logit − max) / temperature), where the row has a temperature; else as `sum`. */
  readonly temperedSum: number;
  /** How many of the row's logits are NaN or infinite: not 0, and the rest is not to be used. */
  readonly nonFinite: number;
}

/** Passes of {@link encodeTop}: numbers that each reads, and slices of them. */
export function planTop(vocabulary: number, count: number): { readonly length: number; readonly slices: number }[] {
  const keep = Math.min(count, vocabulary);
  const passes = [];
  let length = vocabulary;
  for (;;) {
    const slices = Math.ceil(length / SLICE);
    passes.push({ length, slices });
    if (passes.length > 1 && slices === 1) return passes;
    length = slices * keep;
  }
}

/** Bytes of the answer of {@link encodeTop}. */
export function topBytes({ rows, vocabulary, count }: TopOptions): number {
  return 4 * rows * (TOP_HEAD + 2 * Math.min(count, vocabulary));
}

/**
 * Finds the largest logits of each row, exactly.
 *
 * @param out {@link topBytes} bytes for {@link readTop}
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeTop(
  call: GpuCall,
  {
    logits,
    out,
    inverseTemperatures,
  }: {
    /** [rows, vocabulary], f32 */
    readonly logits: GpuTensor;
    readonly out: BufferRange;
    /** 1 / temperature of each row, f32 [rows], which may be rewritten from submit to submit. @defaultValue that of all rows */
    readonly inverseTemperatures?: BufferRange | undefined;
  },
  options: TopOptions,
): void {
  const { rows, vocabulary, count, temperature = 1 } = options;
  checkCounts({ rows, vocabulary, count });
  checkNumber('temperature', temperature, 0);
  if (count > MOST_CANDIDATES) {
    const message = `count is ${count}: at most ${MOST_CANDIDATES} candidates are found on the GPU, read the logits for more`;
    throw new HipError('invalid-shape', message, { name: 'count', value: count, most: MOST_CANDIDATES });
  }
  const source = floatsOf('logits', logits, rows * vocabulary);
  const keep = Math.min(count, vocabulary);
  const passes = planTop(vocabulary, count);
  const firstSlices = passes[0]!.slices;
  const sums = { buffer: call.scratch(16 * rows * firstSlices, 'sums of logits') };
  const answer = { buffer: out.buffer, offset: out.offset, size: topBytes(options) };
  const tempered = inverseTemperatures ? 'each' : temperature === 1 ? undefined : 'all';
  const own = inverseTemperatures
    ? [{ buffer: inverseTemperatures.buffer, offset: inverseTemperatures.offset, size: 4 * rows }]
    : [];
  let from: BufferRange = source;
  for (const [index, { length, slices }] of passes.entries()) {
    const first = index === 0;
    const last = index === passes.length - 1;
    const to = last ? answer : { buffer: call.scratch(8 * rows * slices * keep, 'candidates') };
    const uniform = topParams.pack({ length, slices, sums: firstSlices, inverse: 1 / temperature });
    call.pass({
      label: 'top',
      pipeline: {
        label: 'top',
        code: memoCode(topKernelCode, { first, last, keep, tempered }),
      },
      bindings: [{ uniform }, from, to, ...(first || last ? [sums, ...own] : [])],
      workgroups: [slices, rows],
    });
    from = to;
  }
}

/** What {@link encodeTop} wrote, row by row. */
export function readTop(bytes: ArrayBuffer, { rows, vocabulary, count }: TopOptions): Candidates[] {
  const keep = Math.min(count, vocabulary);
  const words = TOP_HEAD + 2 * keep;
  return Array.from({ length: rows }, (_, row) => {
    const at = 4 * row * words;
    const [nonFinite = 0] = new Uint32Array(bytes, at, 1);
    const [max = 0, sum = 0, temperedSum = 0] = new Float32Array(bytes, at + 4, 3);
    return {
      ids: new Uint32Array(bytes, at + 4 * TOP_HEAD, keep),
      logits: new Float32Array(bytes, at + 4 * (TOP_HEAD + keep), keep),
      max,
      sum,
      temperedSum,
      nonFinite,
    };
  });
}

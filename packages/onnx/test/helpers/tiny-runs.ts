// Calls of a tiny model, whole and cut: what differs.
import { PAPER_CONFIG } from '@hip/mask-search';
import * as ort from 'onnxruntime-node';
import { expect } from 'vitest';
import { createHipSession, type HipSessionOptions } from '../../src/index.ts';
import type { OrtTensor } from '../../src/runtime/ort.ts';
import { difference, numbers } from './goldens.ts';
import { SIZES, tinyModel, type Sizes, type TinyOptions } from './tiny-graph.ts';

/** HiP from the first key on, with as many keys as there are. */
export const COVERING: HipSessionOptions = {
  threads: 1,
  denseBelow: 0,
  config: { ...PAPER_CONFIG, k: 64, window: 8, sink: 2, denseLayers: 0 },
};
const TOKENS = [3, 17, 29, 3, 8, 31, 0, 39, 21, 5, 12, 14, 22, 9, 1, 33, 27, 2, 19, 30];

type Run = Record<string, OrtTensor>;

function integers(values: readonly number[]): OrtTensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
}

/** Caches of `rows` rows: empty, or a buffer of the caller's. */
function caches(rows: number, axis: number, { kvHeads, channels }: Sizes = SIZES): Run {
  const dims = [1, kvHeads, channels].toSpliced(axis, 0, rows);
  const count = dims.reduce((a, b) => a * b, 1);
  return Object.fromEntries(
    [0, 1].flatMap((layer) =>
      ['key', 'value'].map((part) => [
        `past_key_values.${layer}.${part}`,
        new ort.Tensor('float32', new Float32Array(count), dims),
      ]),
    ),
  );
}

/** Calls of a tiny model. */
export interface Case extends TinyOptions {
  /** Columns of the mask, filled with zeros behind the tokens; caches have as many rows. */
  readonly captured?: number;
  readonly tokenAxis?: number;
  /** Tokens of each call. @defaultValue a prompt, and two tokens one by one */
  readonly turns?: readonly number[];
  /** @defaultValue {@link COVERING} */
  readonly hip?: HipSessionOptions;
}

/** Some calls, whole and cut: the differences of logits and caches. */
async function differences({
  captured,
  tokenAxis = 2,
  turns = [18, 1, 1],
  hip: given = COVERING,
  ...options
}: Case): Promise<readonly number[]> {
  const model = await tinyModel(options);
  const whole = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  await using hip = await createHipSession(ort, model, given);
  const found: number[] = [];
  const { hasCache = true } = options;
  let [own, cut] = [0, 1].map(() => (hasCache ? caches(captured ?? 0, tokenAxis, options.sizes) : {})) as [Run, Run];
  let before = 0;
  for (const count of turns) {
    const tokens = Array.from({ length: count }, (_, i) => TOKENS[(before + i) % TOKENS.length]!);
    const total = before + tokens.length;
    const feeds: Run = {
      input_ids: integers(tokens),
      attention_mask: integers(Array.from({ length: captured ?? total }, (_, i) => (i < total ? 1 : 0))),
      ...(options.hasPositions && { position_ids: integers(tokens.map((_, i) => before + i)) }),
    };
    const expected = (await whole.run({ ...feeds, ...own } as never)) as Run;
    const outputs = await hip.run({ ...feeds, ...cut });
    for (const [name, tensor] of Object.entries(outputs)) {
      expect(tensor.dims).toEqual(expected[name]!.dims);
      found.push(difference(numbers(tensor), numbers(expected[name]!)));
    }
    const next = (run: Run): Run =>
      Object.fromEntries(Object.keys(own).map((name) => [name, run[name.replace('past_key_values', 'present')]!]));
    [own, cut] = [next(expected), next(outputs)];
    before = total;
  }
  await whole.release();
  return found;
}

/** The largest difference of all outputs. */
export const most = async (options: Case) => Math.max(...(await differences(options)));

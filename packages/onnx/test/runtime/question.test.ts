// A prompt ends with a question: its rows attend to all keys where those before are searched, in one call or in two.
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AttentionBackend, CutTensors, LayerForm } from '../../src/runtime/backend.ts';
import { createCpuBackend } from '../../src/runtime/cpu.ts';
import { difference } from '../helpers/goldens.ts';

const FORM: LayerForm = { layer: 0, scale: undefined, softcap: 0, window: 0, hasSink: false };
const SIZES = { heads: 2, kvHeads: 1, headDim: 16 };
const ROWS = 2200;
const WIDTH = SIZES.heads * SIZES.headDim;
const config = { k: 64, window: 64, sink: 4, denseLayers: 0 };

const numbers = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * i + 1.3 * Math.sin(i + phase)));
const all = { q: numbers(ROWS * WIDTH, 0), k: numbers((ROWS * WIDTH) / 2, 1), v: numbers((ROWS * WIDTH) / 2, 2) };

/** Rows [from, to). */
function tensors(from: number, to: number): CutTensors {
  const of = (values: Float32Array, heads: number) => {
    const dims = [1, to - from, heads, SIZES.headDim];
    const row = heads * SIZES.headDim;
    return { tensor: new ort.Tensor('float32', values.subarray(from * row, to * row), dims), dims };
  };
  return { q: of(all.q, SIZES.heads), k: of(all.k, SIZES.kvHeads), v: of(all.v, SIZES.kvHeads) };
}

describe('a question on the CPU', () => {
  let backends: Record<'hip' | 'dense', AttentionBackend>;
  beforeAll(async () => {
    const common = { cache: 'f32', threads: 1, config } as const;
    backends = {
      hip: await createCpuBackend(ort, common),
      dense: await createCpuBackend(ort, { ...common, denseBelow: 1e6 }),
    };
  });
  afterAll(() => {
    for (const backend of Object.values(backends)) backend[Symbol.dispose]();
  });

  /** Outputs of the rows, in parts that end where `ends` says: parts of a call that `after` rows follow, or calls of their own. */
  async function outputs(
    name: 'hip' | 'dense',
    ends: readonly number[],
    after: number | 'calls' = 0,
  ): Promise<Float32Array> {
    const backend = backends[name];
    using layer = backend.createLayer(FORM, SIZES, ROWS);
    const out = new Float32Array(ROWS * WIDTH);
    for (const [i, end] of ends.entries()) {
      const from = ends[i - 1] ?? 0;
      const count = end - from;
      const place = after === 'calls' ? { call: count, after: 0 } : { call: ROWS + after, after: ROWS - end + after };
      const spans = [[{ first: 0, count, ...place }]];
      out.set((await backend.attend([layer], tensors(from, end), spans)).data as Float32Array, from * WIDTH);
    }
    return out;
  }
  const end = (values: Float32Array) => values.subarray(-64 * WIDTH);
  const before = (values: Float32Array) => values.subarray(-128 * WIDTH, -64 * WIDTH);

  it('is dense behind rows that are searched, wherever the call before it ended', async () => {
    const dense = await outputs('dense', [ROWS]);
    const whole = await outputs('hip', [ROWS]);
    expect(difference(end(whole), end(dense))).toBeLessThan(1e-5);
    expect(difference(before(whole), before(dense))).toBeGreaterThan(1e-3);
    const apart = await outputs('hip', [ROWS - 64, ROWS], 'calls');
    expect(difference(end(whole), end(apart))).toBeLessThan(1e-5);
  });

  it.each([1, 20, 64, 65])('has 64 rows where the last part of a prompt has %i', async (last) => {
    const dense = await outputs('dense', [ROWS]);
    const parts = await outputs('hip', [1100, ROWS - last, ROWS]);
    expect(difference(end(parts), end(dense))).toBeLessThan(1e-5);
    expect(difference(before(parts), before(dense))).toBeGreaterThan(1e-3);
  });

  it('is none where more of the prompt follows', async () => {
    const dense = await outputs('dense', [ROWS]);
    const part = await outputs('hip', [ROWS], 64);
    expect(difference(end(part), end(dense))).toBeGreaterThan(1e-3);
  });
});

// The reference against ONNX's own cases: every Attention, RotaryEmbedding and TopK case that is there.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import {
  blockSparseAttention,
  denseAttention,
  rotaryEmbedding,
  searchBlockMask,
  topK,
  type AttentionShape,
} from '../../src/index.ts';
import { readOnnxCase, type OnnxCase, type OnnxTensor } from '../onnx.ts';

const data = sharedPath('data', 'onnx-node');

/** Operators that are not of this package: feed-forward, norms and plain softmax belong to the model packages. */
const OUT_OF_SCOPE = ['Gelu', 'LayerNormalization', 'RMSNormalization', 'Softmax', 'SwiGLU'];

/** float32 references of unit-scale numbers. */
const TOLERANCE = { rtol: 1e-5, atol: 1e-6 };

/** [B, H, T, d] (ONNX, 4D) ↔ [B, T, H, d] (here): swaps the middle axes. */
function swap({ dims, values }: OnnxTensor): OnnxTensor {
  const [b, x, y, d] = dims as [number, number, number, number];
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const [c, iy, ix, ib] = [i % d, Math.floor(i / d) % y, Math.floor(i / (d * y)) % x, Math.floor(i / (d * y * x))];
    out[((ib * y + iy) * x + ix) * d + c] = values[i]!;
  }
  return { dims: [b, y, x, d], values: out };
}

/** [B, T, H, d] whatever layout a case has: [B, T, H·d] is the same memory. */
function tokensFirst(tensor: OnnxTensor, heads: number | undefined): OnnxTensor {
  if (tensor.dims.length === 4) return swap(tensor);
  const [b, t, width] = tensor.dims as [number, number, number];
  return { dims: [b, t, heads!, width / heads!], values: tensor.values };
}

/** Past tokens before present ones; both [B, T, Hkv, d]. */
function concatenate(past: OnnxTensor, present: OnnxTensor): OnnxTensor {
  const [b, t1, h, d] = past.dims as [number, number, number, number];
  const t2 = present.dims[1]!;
  const values = new Float64Array(past.values.length + present.values.length);
  for (let i = 0; i < b; i++) {
    values.set(past.values.subarray(i * t1 * h * d, (i + 1) * t1 * h * d), i * (t1 + t2) * h * d);
    values.set(present.values.subarray(i * t2 * h * d, (i + 1) * t2 * h * d), (i * (t1 + t2) + t1) * h * d);
  }
  return { dims: [b, t1 + t2, h, d], values };
}

function checkAttention({ attributes, inputs, outputs }: OnnxCase): void {
  const q = tokensFirst(inputs['Q']!, attributes['q_num_heads']);
  let [k, v] = [inputs['K']!, inputs['V']!].map((x) => tokensFirst(x, attributes['kv_num_heads'])) as [
    OnnxTensor,
    OnnxTensor,
  ];
  if (inputs['past_key'] && inputs['past_value']) {
    [k, v] = [concatenate(swap(inputs['past_key']), k), concatenate(swap(inputs['past_value']), v)];
    expect(k.values).toEqual(swap(outputs['present_key']!).values);
    expect(v.values).toEqual(swap(outputs['present_value']!).values);
  }
  const [batch, queries, heads, headDim] = q.dims as [number, number, number, number];
  const shape: AttentionShape = { batch, queries, keys: k.dims[1]!, heads, kvHeads: k.dims[2]!, headDim };
  const causal = attributes['is_causal'] === 1;
  // ONNX aligns causal masks at the top left: row i stands at position i.
  const positions = causal ? Array.from({ length: queries }, (_, row) => row) : undefined;
  const score = { scale: attributes['scale'], softcap: attributes['softcap'] };
  const expected = tokensFirst(outputs['Y']!, attributes['q_num_heads']).values;
  const bias = inputs['attn_mask']?.values;
  expect(denseAttention(q.values, k.values, v.values, shape, { causal, positions, bias, ...score })).toBeAllclose(
    expected,
    TOLERANCE,
  );
  if (bias) return;
  const mask = searchBlockMask(q.values, k.values, shape, {
    causal,
    positions,
    k: 16,
    window: 1,
    sink: 1,
    stages: undefined,
  });
  expect(blockSparseAttention(q.values, k.values, v.values, shape, mask, score)).toBeAllclose(expected, TOLERANCE);
}

function checkRotary({ inputs, outputs }: OnnxCase): void {
  const x = swap(inputs['input']!);
  const [batch, rows, heads, headDim] = x.dims as [number, number, number, number];
  const tables = {
    cos: inputs['cos_cache']!.values,
    sin: inputs['sin_cache']!.values,
    rotaryDim: 2 * inputs['cos_cache']!.dims[1]!,
  };
  const ids = inputs['position_ids']!.values;
  const actual = rotaryEmbedding(x.values, { batch, rows, heads, headDim }, tables, (row, b) => ids[b * rows + row]!);
  expect(actual).toBeAllclose(swap(outputs['output']!).values, TOLERANCE);
}

function checkTopK({ attributes, inputs, outputs }: OnnxCase): void {
  expect(attributes['axis']).toBe(1);
  const [rows, columns] = inputs['x']!.dims as [number, number];
  const best = Array.from({ length: rows }, (_, r) =>
    topK(inputs['x']!.values.subarray(r * columns, (r + 1) * columns), inputs['k']!.values[0]!),
  );
  expect(best.flatMap(({ values }) => values)).toEqual([...outputs['values']!.values]);
  expect(best.flatMap(({ indices }) => indices)).toEqual([...outputs['indices']!.values]);
}

const checks: Readonly<Record<string, (given: OnnxCase) => void>> = {
  Attention: checkAttention,
  RotaryEmbedding: checkRotary,
  TopK: checkTopK,
};

const missing = missingShared('data/onnx-node');

describe.skipIf(missing)(`ONNX cases${missing}`, () => {
  const names = data ? readdirSync(data).filter((name) => name.startsWith('test_')) : [];
  const cases = names.map((name) => ({ name, ...readOnnxCase(join(data!, name)) }));

  it('are all in scope or out of it by name', () => {
    const unknown = cases.filter(({ operator }) => !checks[operator] && !OUT_OF_SCOPE.includes(operator));
    expect(unknown.map(({ name }) => name)).toEqual([]);
    expect(cases.filter(({ operator }) => operator === 'Attention').length).toBeGreaterThanOrEqual(8);
  });

  it.each(cases.filter(({ operator }) => checks[operator]))('$name', (given) => {
    expect.hasAssertions();
    checks[given.operator]!(given);
  });
});

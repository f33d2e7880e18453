// ONNX of sub-networks that differ in every axis (hidden size, key/value heads, query heads of a group, blocks left out): onnxruntime computes
// what this package does, in float32, and close to it with weights of 8 bits.
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { sampleSubnet, smallestSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import type { OnnxOptions } from '../../src/export/onnx.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { ELASTIC_MODELS } from '../helpers/elastic-models.ts';
import { feedsOf } from '../helpers/onnx.ts';
import { tinyInputs, withSpace } from '../helpers/tiny.ts';

/** Sub-networks of each model, the smallest among them. */
const ROUNDS = 4;

describe('ONNX of further axes', () => {
  beforeAll(() => useBackend('wasm'));

  it.each(Object.entries(ELASTIC_MODELS))('%s', async (_, [create, choices]) => {
    const base = create();
    const model = await withSpace(base, choices);
    const inputs = tinyInputs(model);
    const run = async (subnet: SubnetConfig, options: OnnxOptions = {}): Promise<ort.Tensor> => {
      const session = await ort.InferenceSession.create(await exportOnnx(model, subnet, options), {
        logSeverityLevel: 3,
      });
      const outputs = await session.run(await feedsOf(session, inputs));
      await session.release();
      return (outputs['logits'] ?? outputs['last_hidden_state'] ?? outputs['logits_per_image'])!;
    };
    const random = new SeededRandom(23);
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const subnet = round === 0 ? smallestSubnet(model.space) : sampleSubnet(model.space, () => random.next());
      const key = subnetKey(subnet);
      seen.add(key);
      const expected = model.forward(inputs, { subnet }).logits;
      const values = (await expected.data()) as Float32Array;
      const actual = await run(subnet);
      expect(actual.dims, key).toEqual(expected.shape);
      expect(actual.data as Float32Array, key).toBeAllclose(values, { atol: 1e-4, rtol: 0 });
      const rounded = (await run(subnet, { dtype: 'q8' })).data as Float32Array;
      const misses = values.map((value, i) => value - rounded[i]!);
      expect(Math.hypot(...misses), `${key} in 8 bits`).toBeLessThan(0.1 * Math.hypot(...values) + 1e-3);
      expected.dispose();
    }
    expect(seen.size).toBeGreaterThan(1);
    for (const each of [base, model]) each.dispose();
    tf.dispose(Object.values(inputs) as tf.Tensor[]);
  });
});

// Adapters in ONNX: merged into the weights that are written, so that onnxruntime computes what the adapted network does.
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { countOnnxBytes } from '../../src/export/bytes.ts';
import { exportOnnx, quantizedModel } from '../../src/export/onnx.ts';
import { sampleSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import { SeededRandom } from '../../src/random.ts';
import { adapted } from '../helpers/adapted.ts';
import { useBackend } from '../helpers/backend.ts';
import { ELASTIC_MODELS } from '../helpers/elastic-models.ts';
import { feedsOf } from '../helpers/onnx.ts';
import { tinyInputs, withSpace } from '../helpers/tiny.ts';

describe('ONNX of adapted models', () => {
  beforeAll(() => useBackend('wasm'));

  it.each(['llama', 'gpt2', 'bert', 'vit', 'modernbert masked-lm', 'deberta'])('%s', async (name) => {
    const [create, choices] = ELASTIC_MODELS[name]!;
    const start = create();
    const base = await withSpace(start, choices);
    const model = adapted(base);
    const inputs = tinyInputs(base);
    const random = new SeededRandom(29);
    for (let round = 0; round < 3; round++) {
      const subnet = round === 0 ? undefined : sampleSubnet(model.space, () => random.next());
      const key = subnet ? subnetKey(subnet) : 'all';
      const { logits } = model.forward(inputs, subnet ? { subnet } : {});
      const file = await exportOnnx(model, subnet);
      // Merged adapters take no place.
      expect(file.byteLength, key).toBe(countOnnxBytes(base.config, subnet));
      const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
      const outputs = await session.run(await feedsOf(session, inputs));
      await session.release();
      expect(outputs['logits']!.data as Float32Array, key).toBeAllclose(await logits.data(), {
        atol: 1e-5,
        rtol: 1e-5,
      });
      const rounded = await quantizedModel(model, subnet, { dtype: 'fp16' });
      const near = rounded.forward(inputs).logits;
      expect(await near.data(), `${key} in halves`).toBeAllclose(await logits.data(), { atol: 2e-2, rtol: 0 });
      tf.dispose([logits, near]);
      rounded.dispose();
    }
    for (const each of [model, base, start]) each.dispose();
  });
});

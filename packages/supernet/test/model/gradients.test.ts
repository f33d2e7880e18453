// Gradients of a whole model by tf.variableGrads against central differences, on both backends, full and sliced.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { sampleSubnet } from '../../src/elastic/subnets.ts';
import type { ElasticModel, ForwardOptions, ModelInputs } from '../../src/model/types.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

const CASES = [
  'llama-gqa',
  'qwen2',
  'gpt2',
  'bert-mlm',
  'bert-seqcls',
  'vit',
  'distilbert-seqcls',
  'modernbert-mlm',
  'deberta-v2-seqcls',
];

/** A smooth scalar of the logits that depends on all of them. */
function objective(model: ElasticModel, inputs: ModelInputs, options: ForwardOptions): tf.Scalar {
  const { logits } = model.forward(inputs, options);
  const weights = tf.tensor(
    Float32Array.from({ length: logits.size }, (_, i) => Math.sin(i)),
    logits.shape,
  );
  return tf.mean(tf.mul(logits, tf.add(weights, tf.mul(logits, 0.1))));
}

/** The first few tokens of the golden inputs: differences cost many passes. */
function shorten(inputs: ModelInputs): ModelInputs {
  const cut = (t: tf.Tensor2D | undefined) => t && tf.slice2d(t, [0, 0], [2, 6]);
  if (inputs.pixelValues) return { pixelValues: tf.slice4d(inputs.pixelValues, [0, 0, 0, 0], [1, 3, 32, 32]) };
  const [inputIds, tokenTypeIds] = [cut(inputs.inputIds), cut(inputs.tokenTypeIds)];
  return { ...(inputIds && { inputIds }), ...(tokenTypeIds && { tokenTypeIds }) };
}

describe.skipIf(missingGolden).each(BACKENDS)(`gradients on %s${missingGolden}`, (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(backend === 'cpu' ? CASES.slice(0, 1) : CASES)('%s', async (name) => {
    const folder = goldenPath(name)!;
    const { model } = await loadCheckpoint(folder);
    const inputs = shorten((await loadGolden(folder)).inputs);
    for (const options of [{}, { subnet: sampleSubnet(model.space, () => 0.3) }] satisfies ForwardOptions[]) {
      const variables = [...model.weights.values()];
      const { grads, value } = tf.variableGrads(() => objective(model, inputs, options), variables);
      value.dispose();
      for (const slot of model.slots) {
        const variable = model.weights.get(slot.name)!;
        const gradient = (await grads[variable.name]?.data()) as Float32Array | undefined;
        // A layer beyond the sub-network's depth gets no gradient, or zeros.
        const unused = slot.layer !== undefined && slot.layer >= (options.subnet?.layers ?? model.config.layers);
        const norm = Math.sqrt(gradient?.reduce((sum, g) => sum + g * g, 0) ?? 0);
        expect(gradient !== undefined || unused, `gradient of ${slot.name}`).toBe(true);
        expect(unused && norm > 0, `${slot.name} is not used`).toBe(false);
        // Too small for float32 differences, or unused.
        if (gradient === undefined || norm < 1e-3) continue;
        // Directional derivative along the gradient itself: equals its squared norm.
        const original = (await variable.data()).slice() as Float32Array;
        const step = 2e-3 * Math.min(1, 1 / norm);
        const at = (sign: number): number => {
          const moved = original.map((w, i) => w + (sign * step * gradient[i]!) / norm);
          variable.assign(tf.tensor(moved, variable.shape));
          return tf.tidy(() => objective(model, inputs, options).dataSync()[0]!);
        };
        const slope = (at(1) - at(-1)) / (2 * step);
        variable.assign(tf.tensor(original, variable.shape));
        // float32 rounding of the objective leaves about 4e-5 in the slope.
        expect(Math.abs(slope - norm), `${slot.name}: slope ${slope}, norm ${norm}`).toBeLessThan(0.02 * norm + 6e-5);
      }
      tf.dispose(grads);
    }
    model.dispose();
  });
});

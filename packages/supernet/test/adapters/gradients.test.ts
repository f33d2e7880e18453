// Gradients of adapters: against differences, the same beside trained weights, and without the products of frozen ones.
import * as tf from '@tensorflow/tfjs';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { trainedWeights } from '../../src/adapters/trained.ts';
import { fullSubnet } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { variableGradients } from '../../src/model/variable-gradients.ts';
import { adapted } from '../helpers/adapted.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyInputs } from '../helpers/tiny.ts';

describe('gradients', () => {
  beforeAll(() => useBackend('cpu'));

  const setUp = () => {
    const base = tinyBert();
    const model = adapted(base, { targets: ['query', 'down'] });
    const inputs = tinyInputs(base);
    const loss = (subnet?: SubnetConfig) =>
      tf.mean(tf.square(model.forward(inputs, { ...(subnet && { subnet }) }).logits)) as tf.Scalar;
    return { base, model, loss };
  };

  it('are the same whether the rest is trained too, and cost fewer products', async () => {
    const { base, model, loss } = setUp();
    const trained = [...trainedWeights(model).values()];
    const all = [...new Set([...trained, ...model.weights.values(), ...base.weights.values()])];
    const take = async (variables: readonly tf.Variable[]) => {
      let grads: Readonly<Record<string, tf.Tensor>> = {};
      const { kernels } = await tf.profile(() => {
        ({ grads } = variableGradients(() => loss(), variables));
        return tf.scalar(0);
      });
      return { grads, products: kernels.filter(({ name }) => name.includes('MatMul')).length };
    };
    const [some, every] = [await take(trained), await take(all)];
    expect(Object.keys(some.grads).toSorted()).toEqual(trained.map(({ name }) => name).toSorted());
    for (const [name, gradient] of Object.entries(some.grads)) {
      expect(await gradient.data(), name).toEqual(await every.grads[name]!.data());
    }
    // Of six products in each of two layers no gradient of the weight, and none of what lies before the first adapter.
    expect(every.products - some.products).toBeGreaterThanOrEqual(12);
  });

  it('against differences: A, B and the head, at a smaller rank', async () => {
    const { model, loss } = setUp();
    const subnet = { ...fullSubnet(model.space), ranks: [3, 1] };
    const weights = trainedWeights(model);
    const { grads } = variableGradients(() => loss(subnet), [...weights.values()]);
    const value = () => loss(subnet).dataSync()[0] as number;
    for (const name of ['layers.0.attention.query.loraA', 'layers.1.ffn.down.loraB', 'head.weight']) {
      const variable = weights.get(name)!;
      const values = (await variable.data()).slice() as Float32Array;
      const gradient = (await grads[variable.name]!.data()) as Float32Array;
      for (const at of [0, 1, values.length - 1]) {
        const [kept, step] = [values[at]!, 2e-2];
        const moved = (by: number) => {
          values[at] = kept + by;
          tf.tidy(() => variable.assign(tf.tensor(values.slice(), variable.shape)));
          return value();
        };
        const slope = (moved(step) - moved(-step)) / (2 * step);
        moved(0);
        expect(gradient[at], `${name}[${at}]`).toBeCloseTo(slope, 2);
      }
    }
  });

  it('of columns beyond a rank are zero', async () => {
    const { model, loss } = setUp();
    const subnet = { ...fullSubnet(model.space), ranks: [1, 1] };
    const variable = model.adapters!.weights.get('layers.0.ffn.down.loraA')!;
    const { grads } = variableGradients(() => loss(subnet), [variable]);
    const gradient = (await grads[variable.name]!.data()) as Float32Array;
    for (const [i, slope] of gradient.entries()) expect(slope === 0, `${i}`).toBe(i % 4 > 0);
  });
});

// Reconstruction: closed-form output projections bring a cut network closer to the whole one on texts that it was not fitted on.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import '@hip/testing';
import { reconstructSubnet, type ReconstructOptions } from '../../src/elastic/reconstruct.ts';
import { solvePositive } from '../../src/elastic/solve.ts';
import { fullSubnet, uniformSubnet } from '../../src/elastic/subnets.ts';
import { extractModel } from '../../src/export/values.ts';
import { TransformerModel } from '../../src/model/transformer.ts';
import type { ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyMultiway, tinyVit, withSpace } from '../helpers/tiny.ts';

const CHOICES = { layers: [1, 2], heads: [2, 4], ffn: [12, 24], hidden: [12, 16] };

/** Texts of 12 tokens, the last 4 of every second one padding; or images. */
function batches(model: ElasticModel, seed: number, count: number): ModelInputs[] {
  const { next } = new SeededRandom(seed);
  return Array.from({ length: count }, () => {
    if (model.config.patches) {
      return {
        pixelValues: tf.tensor4d(
          Float32Array.from({ length: 16 * 192 }, () => 4 * next() - 2),
          [16, 3, 8, 8],
        ),
      };
    }
    const rows = Array.from({ length: 16 }, () => Array.from({ length: 12 }, () => 1 + Math.floor(next() * 31)));
    const mask = rows.map((row, at) => row.map((_, i) => (at % 2 === 1 && i >= 8 ? 0 : 1)));
    return { inputIds: tf.tensor2d(rows, [16, 12], 'int32'), attentionMask: tf.tensor2d(mask, [16, 12], 'int32') };
  });
}

/** Mean squared difference of the streams after each layer, over real tokens. */
async function distance(model: ElasticModel, teacher: ElasticModel, inputs: readonly ModelInputs[]): Promise<number> {
  let sum = 0;
  for (const batch of inputs) {
    const value = tf.tidy(() => {
      const [own, theirs] = [model, teacher].map(
        (network) => network.forward(batch, { hiddenStates: true }).hiddenStates!,
      );
      const last = own!.at(-1)!;
      const real = batch.attentionMask ? tf.expandDims(tf.cast(batch.attentionMask, 'float32'), 2) : tf.onesLike(last);
      const wanted = tf.slice(theirs![own!.length - 1]!, [0, 0, 0], last.shape);
      return tf.mean(tf.mul(tf.squaredDifference(last, wanted), real)) as tf.Scalar;
    });
    sum += (await value.data())[0]!;
    value.dispose();
  }
  return sum;
}

async function weightsOf(model: ElasticModel): Promise<Map<string, number[]>> {
  const values = new Map<string, number[]>();
  for (const [name, weight] of model.weights) values.set(name, [...(await weight.data())]);
  return values;
}

describe('reconstructSubnet', () => {
  beforeAll(() => useBackend('wasm'));

  const makers = [
    ['post-norm with biases and padding', () => tinyBert(3)],
    ['pre-norm without biases', () => tinyLlama(4)],
    ['of images', () => tinyVit(5)],
  ] as const;
  const cuts = [
    ['fewer units', (model: ElasticModel) => uniformSubnet(model.space, 2, 4, 12)],
    ['fewer heads and units', (model: ElasticModel) => uniformSubnet(model.space, 2, 2, 12)],
    ['fewer channels', (model: ElasticModel) => ({ ...fullSubnet(model.space), hidden: 12 })],
    ['an attention left out', (model: ElasticModel) => ({ ...fullSubnet(model.space), skipAttention: [true, false] })],
  ] as const;

  it.each(makers.flatMap(([kind, make]) => cuts.map(([what, cut]) => [kind, what, make, cut] as const)))(
    '%s, %s: closer to the whole network on inputs it was not fitted on',
    async (_, _what, make, cut) => {
      const whole = make();
      const model = await withSpace(whole, CHOICES);
      const subnet = cut(model);
      const [fitted, held] = [batches(model, 1, 2), batches(model, 2, 1)];
      const plain = await extractModel(model, subnet);
      const small = await reconstructSubnet(model, subnet, { batches: fitted });
      const [before, after] = [await distance(plain, whole, held), await distance(small, whole, held)];
      expect(after).toBeLessThan(0.9 * before);
      tf.dispose([...fitted, ...held].flatMap((batch) => Object.values(batch) as tf.Tensor[]));
      for (const one of [whole, model, plain, small]) one.dispose();
    },
  );

  it('leaves a network that lacks nothing as it is, and what it is cut from in any case', async () => {
    const model = tinyBert(3);
    const given = batches(model, 1, 2);
    const before = await weightsOf(model);
    const whole = await reconstructSubnet(model, undefined, { batches: given });
    const narrow = await reconstructSubnet(model, uniformSubnet(model.space, 1, 2, 8), { batches: given });
    expect(await weightsOf(model)).toEqual(before);
    const after = await weightsOf(whole);
    for (const [name, values] of before) expect(after.get(name)).toBeAllclose(values, { atol: 1e-5 });
    for (const one of [model, whole, narrow]) one.dispose();
  });

  it('takes every batch through a layer of the whole network once, through one of the sub-network three times', async () => {
    const model = tinyLlama(4, { num_hidden_layers: 4 });
    const teacher = tinyLlama(4, { num_hidden_layers: 4 });
    const given = batches(model, 1, 3);
    const spy = vi.spyOn(TransformerModel.prototype, 'runLayers');
    const small = await reconstructSubnet(model, uniformSubnet(model.space, 4, 4, 12), { batches: given, teacher });
    const layersOf = (network: ElasticModel) =>
      spy.mock.calls.reduce((sum, [, { from, to }], i) => sum + (spy.mock.contexts[i] === network ? to - from : 0), 0);
    expect(layersOf(teacher)).toBe(3 * 4);
    // Once for attention, once for the FFN, once to the next layer: not from the last.
    expect(layersOf(small)).toBe(3 * (3 * 4 - 1));
    spy.mockRestore();
    tf.dispose(given.flatMap((batch) => Object.values(batch) as tf.Tensor[]));
    for (const one of [model, teacher, small]) one.dispose();
  });

  it('holds the weights to what they were, the more the larger the ridge', async () => {
    const model = tinyLlama(4);
    const given = batches(model, 1, 2);
    const subnet = uniformSubnet(model.space, 2, 4, 8);
    const moved = async (ridge: number) => {
      const small = await reconstructSubnet(model, subnet, { batches: given, ridge });
      const plain = await extractModel(model, subnet);
      const name = 'layers.0.ffn.down.weight';
      const [a, b] = [await small.weights.get(name)!.data(), await plain.weights.get(name)!.data()];
      for (const one of [small, plain]) one.dispose();
      return Math.hypot(...a.map((value, i) => value - b[i]!));
    };
    const [loose, tight, none] = [await moved(1e-3), await moved(1), await moved(1e6)];
    expect(tight).toBeLessThan(loose);
    expect(none).toBeLessThan(1e-4 * loose);
    model.dispose();
  });

  it('names what it cannot work with', async () => {
    const model = tinyBert(3);
    const given = batches(model, 1, 1);
    const reject = async (options: object, code: string, subnet = fullSubnet(model.space)) => {
      const tensors = tf.memory().numTensors;
      await expect(
        reconstructSubnet(model, subnet, { batches: given, ...options } as ReconstructOptions),
      ).rejects.toMatchObject({ code });
      expect(tf.memory().numTensors).toBe(tensors);
    };
    await reject({ batches: [] }, 'invalid-option');
    for (const ridge of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) await reject({ ridge }, 'invalid-option');
    const shallow = tinyBert(1, { num_hidden_layers: 1 });
    await reject({ teacher: shallow }, 'invalid-option');
    shallow.dispose();
    await reject({ signal: AbortSignal.abort() }, 'aborted');
    await reject({}, 'invalid-subnet', { ...fullSubnet(model.space), ffn: [25, 24] });
    model.weights.get('layers.0.ffn.up.bias')!.assign(tf.fill([24], Number.NaN));
    await expect(reconstructSubnet(model, undefined, { batches: given })).rejects.toMatchObject({ code: 'non-finite' });
    model.dispose();
    const two = tinyMultiway(1, { architectures: ['BEiT3ForVisualQuestionAnswering'] });
    await expect(reconstructSubnet(two, undefined, { batches: given })).rejects.toMatchObject({
      code: 'unsupported-model',
    });
    two.dispose();
  });

  it('solves positive definite systems', () => {
    const { next } = new SeededRandom(1);
    const [n, columns] = [7, 3];
    const m = Array.from({ length: n }, () => Array.from({ length: n }, () => next() - 0.5));
    const a = Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return m.reduce((sum, row) => sum + row[i]! * row[j]!, i === j ? 0.1 : 0);
    });
    const x = Float64Array.from({ length: n * columns }, () => next());
    const b = Float64Array.from({ length: n * columns }, (_, at) => {
      const [i, column] = [Math.floor(at / columns), at % columns];
      return Array.from({ length: n }, (_k, k) => a[i * n + k]! * x[k * columns + column]!).reduce((p, q) => p + q);
    });
    expect([...solvePositive(a.slice(), b, n, columns)]).toBeAllclose([...x], { atol: 1e-6 });
  });
});

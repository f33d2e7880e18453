// Recorded passes: the numbers of a run are those of one that encodes every step anew, and nothing of somebody else's is written over.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/options.ts';
import { copyOf } from '../../src/webgpu/program.ts';
import { Recorder } from '../../src/webgpu/recording.ts';
import { patternedTokens, tinyBert, tinyLlama, tinyVit, weightsOf } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const windows = textWindows(patternedTokens(400), { length: 8 });

/** Texts of unlike length, padded behind; of two batches one has longer ones. */
const sentences: Dataset = {
  length: 8,
  batch(indices): HostBatch {
    const columns = indices.includes(0) ? 7 : 6;
    const shape = [indices.length, columns] as const;
    const data = new Int32Array(indices.length * columns);
    const mask = new Int32Array(data.length);
    for (const [row, index] of indices.entries()) {
      const length = 2 + (index % 5);
      for (let t = 0; t < length; t++) data[row * columns + t] = 1 + ((index * 7 + t * 3) % 31);
      mask.fill(1, row * columns, row * columns + length);
    }
    const labels = Int32Array.from(indices, (index) => index % 3);
    return { size: indices.length, inputIds: { shape, data }, attentionMask: { shape, data: mask }, labels };
  },
};

/** Images, each with a share of another's label. */
const blends: Dataset = {
  length: 16,
  batch(indices): HostBatch {
    const data = Float32Array.from({ length: indices.length * 192 }, (_, i) =>
      Math.sin(i + (indices[Math.floor(i / 192)] as number)),
    );
    return {
      size: indices.length,
      pixelValues: { shape: [indices.length, 3, 8, 8], data },
      labels: Int32Array.from(indices, (index) => index % 3),
      mixed: {
        labels: Int32Array.from(indices, (index) => (index + 1) % 3),
        share: Float32Array.from(indices, (index) => 0.5 + (index % 4) / 10),
      },
    };
  },
};

async function trained(make: () => TransformerModel, data: Dataset, options: FineTuneOptions) {
  const model = make();
  const losses: number[] = [];
  await fineTune(model, data, { batchSize: 4, seed: 3, ...options, onProgress: ({ loss }) => losses.push(loss) });
  const weights = await weightsOf(model);
  model.dispose();
  return { losses, weights };
}

const dropout = { hidden: 0.1, attention: 0.1, classifier: 0.1 };
const one = { num_hidden_layers: 1 };
const bert = () => tinyBert(1, one);
const llama = () => tinyLlama(1, one);

describeGpu('recorded passes', () => {
  beforeAll(startWebGpu);

  it.each<[string, () => TransformerModel, Dataset, FineTuneOptions]>([
    [
      'states of a teacher, drop-out, two lengths of texts',
      bert,
      sentences,
      { strategy: 'kd-only', alpha: 0.2, hiddenStates: 1, dropout, steps: 6 },
    ],
    [
      'the super-network teaches its smallest, in micro-batches',
      llama,
      windows,
      { strategy: 'sandwich', subnets: 0, alpha: 0.5, accumulate: 2, steps: 3 },
    ],
    ['blended labels', () => tinyVit(1, one), blends, { strategy: 'plain', average: { decay: 0.9 }, steps: 4 }],
  ])('%s: equal to the last bit', async (_, make, data, options) => {
    const teacher = options.strategy === 'kd-only' ? make() : undefined;
    const run = { learningRate: 3e-3, ...options, ...(teacher && { teacher }) };
    const recorded = await trained(make, data, run);
    const anew = await trained(make, data, { ...run, recording: false });
    expect(recorded.losses).toEqual(anew.losses);
    expect(recorded.weights).toEqual(anew.weights);
    teacher?.dispose();
  });

  it('writes over nothing of somebody else, however many are recorded', async () => {
    const recorder = new Recorder();
    const held: [tf.Tensor, number][] = [];
    const run = (key: string, value: number) => {
      const x = tf.fill([16], value);
      const { y } = recorder.run(key, { x }, [], (own) => ({
        y: tf.tidy(() =>
          tf.add(tf.mul(copyOf(own['x']!), tf.tensor1d(new Float32Array(16).fill(3))), copyOf(own['x']!)),
        ),
      }));
      x.dispose();
      return y!;
    };
    for (let round = 0; round < 5; round++) {
      const [one, two] = [run('one', round), run('two', 10 + round)];
      held.push([tf.tidy(() => tf.add(one, two)), 4 * round + 4 * (10 + round)]);
      // Sizes that the recordings' own numbers have.
      held.push([tf.tidy(() => tf.mul(tf.fill([16], round), 7)), 7 * round]);
      tf.dispose([one, two]);
    }
    expect(recorder.statistics).toEqual({ recorded: 2, played: 6 });
    for (const [tensor, value] of held) expect([...(await tensor.data())]).toEqual(Array(16).fill(value));
    tf.dispose(held.map(([tensor]) => tensor));
    recorder.dispose();
  });

  it('plays what comes again, with other inputs, unless its last results are still held or what it reads has moved', async () => {
    const recorder = new Recorder();
    const weight = tf.variable(tf.tensor1d([2, 3]));
    const run = (values: number[]) => {
      const x = tf.tensor1d(values);
      const { y } = recorder.run('twice', { x }, [weight], (own) => ({
        y: tf.tidy(() => copyOf(tf.mul(own['x']!, weight))),
      }));
      x.dispose();
      return y!;
    };
    const read = async (y: tf.Tensor) => {
      const values = [...(await y.data())];
      y.dispose();
      return values;
    };
    for (let i = 0; i < 5; i++) expect(await read(run([i, 1]))).toEqual([2 * i, 3]);
    expect(recorder.statistics).toEqual({ recorded: 1, played: 3 });
    const [held, other] = [run([7, 7]), run([1, 1])];
    expect([await read(other), await read(held)]).toEqual([
      [2, 3],
      [14, 21],
    ]);
    expect(recorder.statistics.played).toBe(4);
    // Of other values where it is: no matter. In another place: recorded anew.
    tf.tidy(() => weight.assign(tf.tensor1d([5, 5])));
    expect(await read(run([1, 2]))).toEqual([5, 10]);
    expect(await read(run([3, 2]))).toEqual([15, 10]);
    expect(recorder.statistics).toEqual({ recorded: 2, played: 5 });
    recorder.dispose();
    weight.dispose();
  });

  it('is left alone after an error of the work', async () => {
    const recorder = new Recorder();
    const x = tf.tensor1d([1, 2]);
    const fail = () =>
      recorder.run('bad', { x }, [], (own) => {
        copyOf(own['x']!).dispose();
        throw new Error('no');
      });
    for (let i = 0; i < 3; i++) expect(fail).toThrow('no');
    const y = tf.mul(x, 2);
    expect([...(await y.data())]).toEqual([2, 4]);
    tf.dispose([x, y]);
    recorder.dispose();
  });
});

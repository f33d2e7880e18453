// Recorded passes: the numbers of a run are those of one that encodes every step anew, and nothing of somebody else's is written over.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { subset } from '../../src/data/dataset.ts';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { createLoader } from '../../src/data/loader.ts';
import type { BatchLoader } from '../../src/data/loader.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { copyOf } from '../../src/webgpu/program.ts';
import { Recorder } from '../../src/webgpu/recorder.ts';
import type { RecordingEvent, RecordingOptions } from '../../src/webgpu/recording-report.ts';
import { patternedTokens, tinyBert, tinyLlama, tinyVit, weightsOf, withSpace } from '../helpers/tiny.ts';
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
    for (let round = 0; round < 6; round++) {
      const [one, two] = [run('one', round), run('two', 10 + round)];
      held.push([tf.tidy(() => tf.add(one, two)), 4 * round + 4 * (10 + round)]);
      // Sizes that the recordings' own numbers have.
      held.push([tf.tidy(() => tf.mul(tf.fill([16], round), 7)), 7 * round]);
      tf.dispose([one, two]);
      await recorder.settle();
    }
    expect(recorder.statistics).toMatchObject({ recorded: 2, checked: 2, played: 6, encoded: 6, difference: 0 });
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
      await recorder.settle();
      return values;
    };
    for (let i = 0; i < 6; i++) expect(await read(run([i, 1]))).toEqual([2 * i, 3]);
    expect(recorder.statistics).toMatchObject({ recorded: 1, checked: 1, played: 3 });
    const [held, other] = [run([7, 7]), run([1, 1])];
    expect([await read(other), await read(held)]).toEqual([
      [2, 3],
      [14, 21],
    ]);
    expect(recorder.statistics.played).toBe(4);
    // Of other values where it is: no matter. In another place: recorded and checked anew.
    tf.tidy(() => weight.assign(tf.tensor1d([5, 5])));
    for (let i = 0; i < 3; i++) expect(await read(run([i, 2]))).toEqual([5 * i, 10]);
    expect(recorder.statistics).toMatchObject({ recorded: 2, checked: 2, played: 5 });
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

describeGpu('recordings that are not to be played', () => {
  beforeAll(startWebGpu);

  /** Runs work six times on the numbers 0 … 5. */
  async function sixTimes(options: RecordingOptions, work: (x: tf.Tensor, time: number) => tf.Tensor) {
    const events: RecordingEvent[] = [];
    const recorder = new Recorder({ ...options, onEvent: (event) => events.push(event) });
    const given: number[] = [];
    for (let time = 0; time < 6; time++) {
      const x = tf.tensor1d([time]);
      const { y } = recorder.run('work', { x }, [], (own) => ({ y: tf.tidy(() => copyOf(work(own['x']!, time))) }));
      given.push(...(await y!.data()));
      tf.dispose([x, y!]);
      await recorder.settle();
    }
    const { statistics } = recorder;
    recorder.dispose();
    return { given, events, statistics };
  }

  it('those that give other numbers than tfjs: found by the first replay, none of which anybody is given', async () => {
    // Work that sends something else from the host every time.
    const { given, events, statistics } = await sixTimes({}, (x, time) => tf.add(x, tf.fill([1], 10 * time)));
    expect(given).toEqual([0, 11, 22, 33, 44, 55]);
    expect(events.map(({ kind }) => kind)).toEqual(['recorded', 'stopped']);
    expect(events[1]).toMatchObject({ reason: 'disagreement', work: 'work', tensors: 1 });
    expect((events[1] as { difference: number }).difference).toBeCloseTo(10 / 22, 3);
    expect(statistics).toMatchObject({ recorded: 1, checked: 1, played: 0, stopped: 'disagreement', bytes: 0 });
  });

  it('those that say NaN where tfjs does not, and not those where it does as well', async () => {
    const none = await sixTimes({}, (x, time) => tf.mul(x, tf.fill([1], time === 1 ? Number.NaN : 2)));
    expect(none.given.slice(2)).toEqual([4, 6, 8, 10]);
    expect(none.statistics.stopped).toBe('disagreement');
    const both = await sixTimes({}, (x) => tf.mul(x, tf.fill([1], Number.NaN)));
    expect(both.statistics).toMatchObject({ recorded: 1, played: 0 });
    expect(both.statistics.stopped).toBeUndefined();
  });

  it('those for which the device has no memory: the next runs are as tfjs encodes them', async () => {
    const { device } = tf.backend() as unknown as { device: { popErrorScope(): Promise<object | null> } };
    const pop = Reflect.get(device, 'popErrorScope') as () => Promise<object | null>;
    let asked = 0;
    // The first scope that is asked is the one around the buffers of the recording.
    device.popErrorScope = async () => {
      const error = await pop.call(device);
      return asked++ === 0 ? { message: 'no memory' } : error;
    };
    try {
      const { given, events, statistics } = await sixTimes({}, (x) => tf.mul(x, 2));
      expect(given).toEqual([0, 2, 4, 6, 8, 10]);
      expect(events).toEqual([{ kind: 'stopped', reason: 'out-of-memory', message: 'no memory' }]);
      expect(statistics).toMatchObject({ checked: 0, played: 0, stopped: 'out-of-memory', bytes: 0, buffers: 0 });
      expect(statistics.peakBytes).toBeGreaterThan(0);
    } finally {
      device.popErrorScope = pop;
    }
  });

  it('those that need more than they may have', async () => {
    const { given, events, statistics } = await sixTimes({ maxBytes: 6 }, (x) => tf.mul(x, 2));
    expect(given).toEqual([0, 2, 4, 6, 8, 10]);
    expect(events).toEqual([{ kind: 'full', bytes: 4, buffers: 1, maxBytes: 6 }]);
    expect(statistics).toMatchObject({ recorded: 0, played: 0, encoded: 6, peakBytes: 4 });
  });
});

describeGpu('runs of the networks that are trained', () => {
  beforeAll(startWebGpu);

  /** Ten examples in batches of four: the last one has two. */
  const partial = (data: Dataset): BatchLoader =>
    createLoader(subset(data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), { batchSize: 4, seed: 5, dropLast: false });
  const cases: [string, () => TransformerModel, Dataset, FineTuneOptions][] = [
    [
      'an encoder with drop-out, clipping and an average',
      bert,
      sentences,
      { strategy: 'plain', dropout, clipNorm: 0.05, average: { decay: 0.9 }, steps: 10 },
    ],
    ['a decoder and random sub-networks of it', llama, windows, { strategy: 'sandwich', subnets: 1, steps: 6 }],
    [
      'an image classifier with drop-out and random sub-networks',
      () => tinyVit(1, one),
      blends,
      { strategy: 'instatune', dropout: 0.1, clipNorm: 0.5, average: { decay: 0.5 }, steps: 8 },
    ],
  ];

  it.each(cases)('%s: equal to the last bit, also where it was stopped and went on', async (_, make, data, how) => {
    const options: FineTuneOptions = { learningRate: 3e-3, seed: 3, ...how };
    const run = async (more: FineTuneOptions) => {
      const space = { layers: [1], heads: [2, 4], ffn: [8, 16, 24] };
      const model = await withSpace(make(), space);
      const { history, recording } = await fineTune(model, partial(data), { ...options, ...more });
      const weights = await weightsOf(model);
      model.dispose();
      return { losses: history.map(({ loss }) => loss), weights, recording };
    };
    const anew = await run({ recording: false });
    const events: RecordingEvent[] = [];
    const { recording, ...recorded } = await run({ recording: { onEvent: (event) => events.push(event) } });
    expect(anew.recording).toBeUndefined();
    expect(recorded.losses).toEqual(anew.losses);
    expect(recorded.weights).toEqual(anew.weights);
    expect(recording).toMatchObject({ difference: 0 });
    expect(recording!.stopped).toBeUndefined();
    expect(recording!.played).toBeGreaterThan(0);
    expect(recording!.peakBytes).toBeGreaterThan(0);
    expect(events.filter(({ kind }) => kind === 'checked').length).toBe(recording!.checked);

    const store = memoryStore();
    const checkpoint = { store, everySteps: 1 };
    const stop = new AbortController();
    const half = (options.steps as number) - 2;
    const killed = run({ checkpoint, signal: stop.signal, onProgress: ({ step }) => step >= half && stop.abort() });
    await expect(killed).rejects.toMatchObject({ code: 'aborted' });
    const { recording: __, ...resumed } = await run({ checkpoint });
    expect(resumed.losses).toEqual(anew.losses);
    expect(resumed.weights).toEqual(anew.weights);
  });

  it('a step for which the GPU has no memory is an error with the step, and its state is not kept', async () => {
    const { device } = tf.backend() as unknown as { device: { popErrorScope(): Promise<object | null> } };
    const pop = Reflect.get(device, 'popErrorScope') as () => Promise<object | null>;
    const model = bert();
    const store = memoryStore();
    const run = fineTune(model, sentences, {
      strategy: 'plain',
      steps: 3,
      recording: false,
      checkpoint: { store },
    });
    device.popErrorScope = () => pop.call(device).then(() => ({ message: 'no memory' }));
    try {
      await expect(run).rejects.toMatchObject({ code: 'out-of-memory', details: { step: 1 } });
    } finally {
      device.popErrorScope = pop;
    }
    expect(await store.load()).toBeUndefined();
    model.dispose();
  });
});

// AdamW of several weights a dispatch, against the cpu's.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import type { GradientSet } from '../../src/train/optimizer/gradients.ts';
import { SeededRandom } from '../../src/random.ts';
import { runMany } from '../../src/webgpu/pipelines.ts';
import type { ManyKernel } from '../../src/webgpu/pipelines.ts';
import { tinyLlama, weightsOf } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

interface Run {
  /** For each step, which weights have a gradient: every one whose bit is set, by place modulo 8. */
  readonly steps: readonly number[];
  readonly scale: number | undefined;
  readonly savedAt: number;
  readonly seed: number;
}

async function weightsAfter(backend: string, { steps, scale, savedAt, seed }: Run) {
  await tf.setBackend(backend);
  const model = tinyLlama(1);
  const create = () => new AdamW(model, { layerDecay: 0.9, weightDecay: 0.1 });
  let optimizer = create();
  const random = new SeededRandom(seed);
  for (const [step, bits] of steps.entries()) {
    if (step === savedAt) {
      const state = await optimizer.state();
      optimizer.dispose();
      optimizer = create();
      optimizer.restore(state);
    }
    const gradients: GradientSet = new Map();
    for (const [place, { name, shape }] of model.slots.entries()) {
      const size = shape.reduce((product, extent) => product * extent, 1);
      const values = Float32Array.from({ length: size }, () => random.next() - 0.4);
      if ((bits >> (place % 8)) & 1) gradients.set(name, tf.tensor(values, [...shape]));
    }
    const factor = scale === undefined ? undefined : tf.scalar(scale);
    optimizer.apply(gradients, 0.01, factor);
    tf.dispose([...gradients.values(), ...(factor ? [factor] : [])]);
  }
  const counts = [...(await optimizer.state())].map(([name, state]) => [name, state.steps] as const);
  const weights = await weightsOf(model);
  optimizer.dispose();
  model.dispose();
  return { weights, steps: counts.toSorted(([a], [b]) => a.localeCompare(b)) };
}

describeGpu('AdamW on webgpu', () => {
  beforeAll(startWebGpu);

  it('is the cpu one, whichever weights have gradients, through a saved state', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          steps: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 4 }),
          scale: fc.option(fc.double({ min: 0.1, max: 1, noNaN: true }), { nil: undefined }),
          savedAt: fc.integer({ min: 0, max: 4 }),
          seed: fc.integer({ min: 0, max: 1000 }),
        }),
        async (run) => {
          const expected = await weightsAfter('cpu', run);
          const actual = await weightsAfter('webgpu', run);
          expect(actual.steps).toEqual(expected.steps);
          for (const [name, weight] of expected.weights) {
            expect(actual.weights.get(name)!, name).toBeAllclose(weight, { rtol: 0, atol: 2e-6 });
          }
        },
      ),
      { numRuns: 25 },
    ));

  it('leaves clones of a weight alone, and holds no more after more steps', async () => {
    await tf.setBackend('webgpu');
    const model = tinyLlama(1);
    const optimizer = new AdamW(model);
    const [name, weight] = [...model.weights][3]!;
    const copy = tf.clone(weight);
    const before = await copy.data();
    const gradients = new Map([[name, tf.ones([...weight.shape])]]);
    optimizer.apply(gradients, 0.1);
    expect(await copy.data()).toEqual(before);
    expect((await weight.data())[0]).not.toBe(before[0]);
    const held = tf.memory().numTensors;
    optimizer.apply(gradients, 0.1);
    optimizer.apply(gradients, 0.1);
    expect(tf.memory().numTensors).toBe(held);
    tf.dispose([copy, ...gradients.values()]);
    optimizer.dispose();
    model.dispose();
  });

  it('a kernel reaches what is beyond one row of workgroups', async () => {
    await tf.setBackend('webgpu');
    const kernel: ManyKernel = {
      name: 'test-places',
      writes: ['out', 'marks'],
      reads: ['add'],
      uniforms: { count: 'i' },
      workgroupSize: 1,
      code: `fn run(index : u32) {
        if (index >= u32(uniforms.count)) { return; }
        out[index] = f32(index) + add[0];
        if (index == 0) { marks[0] += 1.0; }
      }`,
    };
    const count = 65_535 + 100;
    const [out, marks, add] = [tf.zeros([count]), tf.tensor1d([6]), tf.tensor1d([0.5])];
    runMany(kernel, { writes: [out, marks], reads: [add] }, [count], count);
    const values = await out.data();
    expect(values.every((value, index) => value === index + 0.5)).toBe(true);
    expect(await marks.data()).toEqual(Float32Array.of(7));
    tf.dispose([out, marks, add]);
  });
});

// Gradients that free as they go: tf.variableGrads' numbers, in less memory.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { customGradient } from '../../src/model/custom-gradient.ts';
import type { ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { variableGradients } from '../../src/model/variable-gradients.ts';
import { SeededRandom } from '../../src/random.ts';
import { sampleSubnet } from '../../src/elastic/subnets.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

type Gradients = typeof variableGradients;

/** Value and gradients as numbers; everything is disposed. */
async function numbersOf(by: Gradients, f: () => tf.Scalar, variables: readonly tf.Variable[]) {
  const { value, grads } = by(f, variables);
  const numbers: Record<string, number[]> = { value: [...(await value.data())] };
  for (const [name, gradient] of Object.entries(grads)) numbers[name] = [...(await gradient.data())];
  tf.dispose([value, ...Object.values(grads)]);
  return numbers;
}

const reference: Gradients = (f, variables) => tf.variableGrads(f, [...variables]);

/** An operation whose gradient is the tensor that came in, for both inputs. */
const handOn = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  customGradient([a, b], ([x, y]) => ({ value: tf.add(x, y), gradFunc: (dy: tf.Tensor) => [dy, dy] }));

const OPERATIONS: readonly ((a: tf.Tensor, b: tf.Tensor) => tf.Tensor)[] = [
  (a, b) => tf.add(a, b),
  (a, b) => tf.mul(a, b),
  (a, b) => tf.sub(a, tf.square(b)),
  (a, b) => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true),
  (a) => tf.transpose(tf.tanh(a)),
  (a) => tf.concat(tf.split(a, 3, 1).toReversed(), 1),
  (a) => tf.relu(tf.reshape(a, [3, 3])),
];

function contract(start: () => Promise<void>, runs: number): void {
  beforeAll(start);

  it('gives the numbers of tf.variableGrads for any graph, and leaves nothing behind', async () => {
    const random = new SeededRandom(1);
    const variables = Array.from({ length: 3 }, () =>
      tf.variable(
        tf.tensor2d(
          Float32Array.from({ length: 9 }, () => random.next() - 0.5),
          [3, 3],
        ),
      ),
    );
    const step = fc.record({ operation: fc.nat(OPERATIONS.length), a: fc.nat(20), b: fc.nat(20) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        const before = tf.memory().numTensors;
        const build = (sum: typeof handOn) => () => {
          // Any tensor so far, used any number of times; the last variable is in none of them.
          const tensors: tf.Tensor[] = [variables[0]!, variables[1]!, tf.ones([3, 3])];
          for (const { operation, a, b } of steps) {
            const [left, right] = [tensors[a % tensors.length]!, tensors[b % tensors.length]!];
            tensors.push((OPERATIONS[operation] ?? sum)(left, right));
          }
          return tf.mean(tf.addN([tensors.at(-1)!, variables[0]!])) as tf.Scalar;
        };
        // tf.variableGrads frees a gradient that was handed on as it came while others still hold it.
        const expected = await numbersOf(reference, build(tf.add), variables);
        expect(await numbersOf(variableGradients, build(handOn), variables)).toEqual(expected);
        expect(tf.memory().numTensors).toBe(before);
        expect(tf.engine().state.activeTape).toBe(null);
      }),
      { numRuns: runs },
    );
    tf.dispose(variables);
  });

  it('gives the numbers of tf.variableGrads for models and sub-networks, in less memory', async () => {
    const ids: ModelInputs = { inputIds: tf.tensor2d([[1, 5, 7, 2, 9, 4, 3, 8]], [1, 8], 'int32') };
    const pixels: ModelInputs = { pixelValues: tf.randomUniform<tf.Rank.R4>([1, 3, 8, 8], -1, 1, 'float32', 7) };
    const cases: readonly [ElasticModel, ModelInputs][] = [
      [tinyLlama(1, { num_hidden_layers: 3 }), ids],
      [tinyBert(2, { num_hidden_layers: 3 }), ids],
      [tinyVit(3, { num_hidden_layers: 3 }), pixels],
    ];
    for (const [model, inputs] of cases) {
      const variables = [...model.weights.values()];
      const random = new SeededRandom(5);
      for (const subnet of [undefined, sampleSubnet(model.space, random.next)]) {
        const f = () =>
          tf.mean(tf.square(model.forward(inputs, { training: true, ...(subnet && { subnet }) }).logits)) as tf.Scalar;
        const expected = await numbersOf(reference, f, variables);
        expect(await numbersOf(variableGradients, f, variables)).toEqual(expected);
      }
      model.dispose();
    }
    tf.dispose([ids, pixels] as tf.TensorContainer);
  });
}

describe.each(BACKENDS)('variableGradients on %s', (backend) => {
  contract(() => useBackend(backend), 100);

  it('holds less than half of what tf.variableGrads holds, in a deep model', async () => {
    const model = tinyLlama(1, { num_hidden_layers: 8 });
    const inputs = { inputIds: tf.zeros<tf.Rank.R2>([16, 32], 'int32') };
    const f = () => tf.mean(model.forward(inputs, { training: true }).logits) as tf.Scalar;
    const variables = [...model.weights.values()];
    const peak = async (by: Gradients) => {
      const before = tf.memory().numBytes;
      const { peakBytes } = await tf.profile(() => {
        const { value, grads } = by(f, variables);
        tf.dispose([value, ...Object.values(grads)]);
        return [];
      });
      return peakBytes - before;
    };
    await peak(reference);
    expect(await peak(variableGradients)).toBeLessThan(0.5 * (await peak(reference)));
    model.dispose();
    inputs.inputIds.dispose();
  });

  it('frees what a node has saved, and the gradient of its output, before the next one', () => {
    const variable = tf.variable(tf.tensor1d([1, 2]));
    const held: number[] = [];
    const halve = (input: tf.Tensor) =>
      customGradient([input], ([x], save) => {
        save([x]);
        const gradFunc = (dy: tf.Tensor) => {
          held.push(tf.memory().numTensors);
          return [tf.mul(dy, 0.5)];
        };
        return { value: tf.mul(x, 0.5), gradFunc };
      });
    const { value, grads } = variableGradients(() => {
      let out: tf.Tensor = variable;
      for (let node = 0; node < 10; node++) out = halve(out);
      return tf.sum(out) as tf.Scalar;
    }, [variable]);
    const [most = 0] = held;
    // One saved tensor fewer at each; a gradient comes and one goes.
    expect(held).toEqual(Array.from({ length: 10 }, (_, node) => most - node));
    tf.dispose([value, ...Object.values(grads), variable]);
  });

  it('frees nothing that others hold: saved tensors, constants, one gradient for two inputs', async () => {
    const constant = tf.tensor1d([1, 2, 3]);
    const [a, b] = [tf.variable(tf.tensor1d([1, 2, 3])), tf.variable(tf.tensor1d([4, 5, 6]))];
    const before = tf.memory().numTensors;
    type Slopes = (dy: tf.Tensor, saved: tf.Tensor) => tf.Tensor[];
    const cases: readonly (readonly [Slopes, Record<string, number[]>])[] = [
      [(_, saved) => [saved, saved], { [a.name]: [4, 10, 18], [b.name]: [4, 10, 18] }],
      [() => [constant, constant], { [a.name]: [1, 2, 3], [b.name]: [1, 2, 3] }],
      [() => [a, b], { [a.name]: [1, 2, 3], [b.name]: [4, 5, 6] }],
      [
        (dy) => {
          const both = tf.mul(dy, 2);
          return [both, both];
        },
        { [a.name]: [2, 2, 2], [b.name]: [2, 2, 2] },
      ],
    ];
    for (const [slopes, expected] of cases) {
      const f = () => {
        const out = customGradient([a, b], ([x, y], save) => {
          const product = tf.mul(x, y);
          save([product]);
          return { value: tf.clone(product), gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => slopes(dy, saved[0]!) };
        });
        return tf.sum(out) as tf.Scalar;
      };
      const { value: _, ...gradients } = await numbersOf(variableGradients, f, [a, b]);
      expect(gradients).toEqual(expected);
      expect(tf.memory().numTensors).toBe(before);
      expect(constant.isDisposed || a.isDisposed || b.isDisposed).toBe(false);
    }
    tf.dispose([constant, a, b]);
  });

  it('refuses what has no gradient, and leaves weights alone that are not trained', async () => {
    const [w, fixed] = [tf.variable(tf.tensor1d([1, 2])), tf.variable(tf.tensor1d([3, 4]), false)];
    const before = tf.memory().numTensors;
    const wrong = (gradient: () => tf.Tensor) => () =>
      tf.sum(customGradient([w], ([x]) => ({ value: tf.mul(x, 1), gradFunc: () => [gradient()] }))) as tf.Scalar;
    const failing: readonly (readonly [() => tf.Scalar, RegExp])[] = [
      [() => tf.square(w) as unknown as tf.Scalar, /a loss is a scalar tensor, not a tensor \[2\]/],
      [() => 3 as unknown as tf.Scalar, /not number/],
      [() => tf.scalar(3), /does not depend on any of the variables/],
      [wrong(() => tf.scalar(1)), /is float32 \[\], expected float32 \[2\]/],
      [wrong(() => tf.tensor1d([1, 2], 'int32')), /is int32 \[2\], expected float32 \[2\]/],
    ];
    for (const [f, message] of failing) expect(() => variableGradients(f, [w])).toThrow(message);
    const { value: _, ...gradients } = await numbersOf(variableGradients, () => tf.sum(tf.mul(w, fixed)) as tf.Scalar, [
      w,
      fixed,
    ]);
    expect(gradients).toEqual({ [w.name]: [3, 4] });
    expect(tf.memory().numTensors - before).toBeLessThanOrEqual(1);
    tf.dispose([w, fixed]);
  });

  it('leaves nothing behind where a pass fails, and the next one works', async () => {
    const variable = tf.variable(tf.scalar(3));
    const before = tf.memory().numTensors;
    const failing = (where: 'forward' | 'backward') => () => {
      const squared = tf.square(variable);
      const out = customGradient([squared], ([x], save) => {
        save([x]);
        const gradFunc = (): tf.Tensor[] => {
          throw new Error('backward');
        };
        return { value: tf.exp(x), gradFunc };
      });
      if (where === 'forward') throw new Error('forward');
      return tf.square(out) as tf.Scalar;
    };
    for (const where of ['forward', 'backward'] as const) {
      expect(() => variableGradients(failing(where), [variable])).toThrow(where);
      expect(tf.memory().numTensors).toBe(before);
    }
    const numbers = await numbersOf(variableGradients, () => tf.square(variable) as tf.Scalar, [variable]);
    expect(numbers).toEqual({ value: [9], [variable.name]: [6] });
    variable.dispose();
  });

  it('inside another gradient it takes nothing away', () => {
    const [x, w] = [tf.scalar(2), tf.variable(tf.scalar(3))];
    // d/dx of x·(dw²x/dw) = d/dx of 2wx² = 4wx
    const slope = tf.grad((input) => {
      const { grads } = variableGradients(() => tf.mul(tf.square(w), input) as tf.Scalar, [w]);
      return tf.mul(input, grads[w.name] as tf.Tensor);
    })(x);
    expect(slope.dataSync()[0]).toBeCloseTo(24);
    tf.dispose([x, w, slope]);
  });
});

describeGpu('variableGradients on webgpu', () => {
  contract(startWebGpu, 4);
});

// Cross-entropy and distillation: values against float64, gradients against the analytic form and finite differences.
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { blendedLabels, teacherDistribution } from '../../src/train/losses/distributions.ts';
import { createTargets } from '../../src/train/losses/targets.ts';
import { crossEntropyRows, objectiveLoss } from '../../src/train/losses/losses.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';

function logSoftmax(row: readonly number[], temperature = 1): number[] {
  const z = row.map((x) => x / temperature);
  const max = Math.max(...z);
  const lse = max + Math.log(z.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return z.map((x) => x - lse);
}

interface Case {
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[];
  readonly hard: number;
  readonly soft: number;
  readonly temperature: number;
}

/** The objective in doubles. */
function reference({ student, teacher, labels, hard, soft, temperature }: Case, normalizer: number): number {
  let sum = 0;
  student.forEach((row, n) => {
    if (labels[n]! < 0) return;
    const p = logSoftmax(teacher[n]!, temperature);
    const q = logSoftmax(row, temperature);
    const kl = p.reduce((total, logP, i) => total + Math.exp(logP) * (logP - q[i]!), 0);
    sum += hard * -logSoftmax(row)[labels[n]!]! + soft * temperature ** 2 * kl;
  });
  return sum / normalizer;
}

const logit = fc.double({ min: -12, max: 12, noNaN: true });
const cases: fc.Arbitrary<Case> = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 2, max: 9 }))
  .chain(([rows, classes]) =>
    fc.record({
      student: fc.array(fc.array(logit, { minLength: classes, maxLength: classes }), {
        minLength: rows,
        maxLength: rows,
      }),
      teacher: fc.array(fc.array(logit, { minLength: classes, maxLength: classes }), {
        minLength: rows,
        maxLength: rows,
      }),
      // Row 0 always counts.
      labels: fc
        .tuple(
          fc.integer({ min: 0, max: classes - 1 }),
          ...Array.from({ length: rows - 1 }, () => fc.integer({ min: -1, max: classes - 1 })),
        )
        .map((l) => [...l]),
      hard: fc.constantFrom(0, 0.3, 1),
      soft: fc.constantFrom(0, 0.7, 1),
      temperature: fc.constantFrom(1, 2, 0.5),
    }),
  );

describe.each(BACKENDS)('objective on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('equals the float64 reference, in value and slope', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const before = tf.memory().numTensors;
        const targets = createTargets(Int32Array.from(c.labels));
        const teacherLogits = tf.tensor2d(c.teacher);
        const teacher = teacherDistribution(teacherLogits, c.temperature);
        const student = tf.tensor2d(c.student);
        const normalizer = targets.count + 2;
        const f = (z: tf.Tensor): tf.Scalar =>
          objectiveLoss(z as tf.Tensor2D, targets, { hard: c.hard, soft: c.soft, teacher, normalizer });
        const { value, grad } = tf.valueAndGrad(f)(student);
        const expected = reference(c, normalizer);
        expect(Math.abs((await value.data())[0]! - expected)).toBeLessThan(2e-5 * (1 + Math.abs(expected)));
        const slope = (await grad.array()) as number[][];
        const h = 1e-5;
        c.student.forEach((row, n) =>
          row.forEach((_, i) => {
            const at = (delta: number) => {
              const moved = c.student.map((r) => [...r]);
              moved[n]![i]! += delta;
              return reference({ ...c, student: moved }, normalizer);
            };
            expect(Math.abs(slope[n]![i]! - (at(h) - at(-h)) / (2 * h)), `row ${n} class ${i}`).toBeLessThan(2e-5);
          }),
        );
        tf.dispose([
          value,
          grad,
          student,
          teacherLogits,
          teacher.negativeEntropy,
          teacher.probabilities,
          targets.indices,
        ]);
        targets.weights?.dispose();
        expect(tf.memory().numTensors).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  it('of blended labels is the cross-entropy with both, by share', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.float({ min: 0, max: 1, noNaN: true }), async ({ student, labels }, own) => {
        const before = tf.memory().numTensors;
        const classes = student[0]!.length;
        const others = labels.map((label) => (label < 0 ? label : (label + 1) % classes));
        const targets = createTargets(Int32Array.from(labels));
        const share = new Float32Array(labels.length).fill(own);
        const teacher = blendedLabels(Int32Array.from(labels), { labels: Int32Array.from(others), share }, classes);
        const z = tf.tensor2d(student);
        const value = objectiveLoss(z, targets, { hard: 0, soft: 0.3, teacher, normalizer: targets.count });
        let expected = 0;
        student.forEach((row, n) => {
          if (labels[n]! < 0) return;
          const logP = logSoftmax(row);
          expected -= (0.3 * (own * logP[labels[n]!]! + (1 - own) * logP[others[n]!]!)) / targets.count;
        });
        expect(Math.abs((await value.data())[0]! - expected)).toBeLessThan(2e-5 * (1 + Math.abs(expected)));
        tf.dispose([value, z, teacher.probabilities, teacher.negativeEntropy, targets.indices]);
        targets.weights?.dispose();
        expect(tf.memory().numTensors).toBe(before);
      }),
      { numRuns: 30 },
    );
    expect(() => blendedLabels(Int32Array.of(3), { labels: Int32Array.of(0), share: Float32Array.of(1) }, 3)).toThrow(
      /label 3 of 3 classes/,
    );
  });

  it('stays finite where a probability underflows', async () => {
    const logits = tf.tensor2d([
      [0, 200, -50],
      [-300, 5, 5],
    ]);
    const targets = createTargets(Int32Array.of(0, 0));
    expect([...(await crossEntropyRows(logits, targets).data())]).toEqual([200, expect.closeTo(305 + Math.log(2), 3)]);
  });

  it('has no slope at ignored rows', async () => {
    const logits = tf.tensor2d([
      [1, 2],
      [3, 1],
      [0, 1],
    ]);
    const targets = createTargets(Int32Array.of(1, -1, 0));
    const slope = tf.grad((z) => objectiveLoss(z as tf.Tensor2D, targets, { hard: 1, soft: 0, normalizer: 2 }))(logits);
    const rows = (await slope.array()) as number[][];
    expect(rows[1]).toEqual([0, 0]);
    expect(rows[0]![0]).toBeCloseTo(0.5 / (1 + Math.E), 5);
  });
});

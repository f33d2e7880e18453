// AdamW in doubles, and one clipped training step to hold against it on any backend.
import * as tf from '@tensorflow/tfjs';
import { textWindows } from '../../src/data/text-windows.ts';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import type { GradientSet } from '../../src/train/optimizer/gradients.ts';
import { trainStep } from '../../src/train/step/step.ts';
import { patternedTokens, tinyLlama, weightsOf } from './tiny.ts';

/** Loshchilov & Hutter 2019, algorithm 2, in doubles. */
export function referenceAdamW(
  weight: readonly number[],
  gradients: readonly (readonly number[])[],
  rates: readonly number[],
  o: Record<'beta1' | 'beta2' | 'epsilon' | 'weightDecay', number>,
): number[] {
  const w = [...weight];
  const m = w.map(() => 0);
  const v = w.map(() => 0);
  gradients.forEach((gradient, t) => {
    for (let i = 0; i < w.length; i++) {
      const g = gradient[i]!;
      m[i] = o.beta1 * m[i]! + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i]! + (1 - o.beta2) * g * g;
      const mHat = m[i]! / (1 - o.beta1 ** (t + 1));
      const vHat = v[i]! / (1 - o.beta2 ** (t + 1));
      w[i] = w[i]! - rates[t]! * (mHat / (Math.sqrt(vHat) + o.epsilon) + o.weightDecay * w[i]!);
    }
  });
  return w;
}

/** AdamW that keeps a copy of the gradients it is given. */
class WatchedAdamW extends AdamW {
  readonly seen = new Map<string, tf.Tensor>();

  override apply(gradients: GradientSet, learningRate: number, scale?: tf.Scalar): void {
    for (const [name, gradient] of gradients) this.seen.set(name, tf.mul(gradient, 1));
    super.apply(gradients, learningRate, scale);
  }
}

/**
 * One step with a limit on the gradient norm: the norm that it reports and the one of its gradients, the weights it leaves and
 * those of the reference. With so large an ε the size of a gradient shows in the very first step.
 */
export async function clippedStep(clipNorm: number) {
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-3, weightDecay: 0 };
  const model = tinyLlama();
  const optimizer = new WatchedAdamW(model, options);
  const before = await weightsOf(model);
  const batch = await textWindows(patternedTokens(100), { length: 8 }).batch([0, 3, 5]);
  const plan = [{ hard: 1, soft: 0, teaches: false }];
  const { losses, norm } = trainStep({ model, optimizer, temperature: 1, clipNorm, dropout: 0 }, [batch], plan, 0.1, 0);
  const [reported] = await norm.data();
  const gradients = new Map<string, number[]>();
  for (const [name, gradient] of optimizer.seen) gradients.set(name, [...(await gradient.data())]);
  let squares = 0;
  for (const values of gradients.values()) for (const value of values) squares += value * value;
  const scale = Math.min(1, clipNorm / Math.sqrt(squares));
  const expected = new Map<string, number[]>();
  for (const [name, values] of gradients) {
    const clipped = values.map((value) => value * scale);
    expected.set(name, referenceAdamW(before.get(name)!, [clipped], [0.1], options));
  }
  const actual = await weightsOf(model);
  tf.dispose([norm, ...losses, ...optimizer.seen.values()]);
  optimizer.dispose();
  model.dispose();
  return { norm: Math.sqrt(squares), reported: reported!, before, actual, expected };
}

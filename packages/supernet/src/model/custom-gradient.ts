// tf.customGrad with types: a forward step and its gradient as one node of the tape.
import * as tf from '@tensorflow/tfjs';

/** Forward value, and the gradients of every input given the gradient of the value and what was saved: those that are functions are called if asked for. */
export interface GradientStep<Out extends tf.Tensor> {
  readonly value: tf.Tensor;
  readonly gradFunc: (dy: Out, saved: tf.Tensor[]) => (tf.Tensor | (() => tf.Tensor))[];
}

/** Ids of the tensors whose gradients are asked for; undefined: all. */
let wanted: { has(id: number): boolean } | undefined;

/** Takes gradients where only those of some tensors, by id, are asked for: a weight that is not trained costs no product. */
export function withWantedGradients<T>(ids: { has(id: number): boolean }, run: () => T): T {
  const before = wanted;
  wanted = ids;
  try {
    return run();
  } finally {
    wanted = before;
  }
}

/** Runs `step` on the inputs; its inner ops are not recorded, its `gradFunc` is. Tensors needed backwards go through `save`. */
export function customGradient<In extends tf.Tensor[], Out extends tf.Tensor>(
  inputs: readonly [...In],
  step: (inputs: readonly [...In], save: tf.GradSaveFunc) => GradientStep<Out>,
): Out {
  const operation = tf.customGrad((...args: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const { value, gradFunc } = step(args.slice(0, -1) as unknown as readonly [...In], save);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        gradFunc(dy as Out, saved).map((slope, i) => {
          if (typeof slope !== 'function') return slope;
          // tfjs wants a tensor of each: dy stands where nobody looks.
          return wanted?.has((inputs[i] as tf.Tensor).id) === false ? dy : slope();
        }),
    };
  });
  return operation(...inputs) as Out;
}

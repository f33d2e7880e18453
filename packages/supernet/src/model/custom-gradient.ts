// tf.customGrad with types: a forward step and its gradient as one node of the tape.
import * as tf from '@tensorflow/tfjs';

/** Forward value, and the gradients of every input given the gradient of the value and what was saved. */
export interface GradientStep<Out extends tf.Tensor> {
  readonly value: tf.Tensor;
  readonly gradFunc: (dy: Out, saved: tf.Tensor[]) => tf.Tensor[];
}

/** Runs `step` on the inputs; its inner ops are not recorded, its `gradFunc` is. Tensors needed backwards go through `save`. */
export function customGradient<In extends tf.Tensor[], Out extends tf.Tensor>(
  inputs: readonly [...In],
  step: (inputs: readonly [...In], save: tf.GradSaveFunc) => GradientStep<Out>,
): Out {
  const operation = tf.customGrad((...args: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    return step(args.slice(0, -1) as unknown as readonly [...In], save) as {
      value: tf.Tensor;
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[];
    };
  });
  return operation(...inputs) as Out;
}

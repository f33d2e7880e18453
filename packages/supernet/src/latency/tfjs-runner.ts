// tfjs on another backend, or this one.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { extractModel } from '../export/values.ts';
import { probeInputs } from './measure.ts';
import type { LatencyRunner } from './runner.ts';

/** tfjs on a backend, this one if none is named. The backend in use before is set again after every pass. */
export function tfjsRunner(backend?: string): LatencyRunner {
  const on = async <T>(action: () => Promise<T>): Promise<T> => {
    const before = tf.getBackend();
    if (backend && !(await starts(backend))) {
      throw new SupernetError('invalid-option', `backend = ${backend}: it does not start here`, { backend });
    }
    try {
      return await action();
    } finally {
      if (backend) await tf.setBackend(before);
    }
  };
  return {
    name: `tfjs-${backend ?? tf.getBackend()}`,
    prepare: async (model, subnet, { batch, sequence }) => {
      // Weights are read where they are, and made where they are timed.
      const { network, inputs } = await on(async () => ({
        network: await extractModel(model, subnet),
        inputs: probeInputs(model, batch, sequence),
      }));
      return {
        run: () =>
          on(async () => {
            const start = performance.now();
            const output = tf.tidy(() => network.forward(inputs, { logits: 'last' }).logits);
            await output.data();
            output.dispose();
            return performance.now() - start;
          }),
        dispose: () => {
          network.dispose();
          tf.dispose(Object.values(inputs) as tf.Tensor[]);
        },
      };
    },
  };
}

async function starts(backend: string): Promise<boolean> {
  try {
    return await tf.setBackend(backend);
  } catch {
    // Not registered.
    return false;
  }
}

// Reconstruction on WebGPU: the weights it finds are those of the CPU.
import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { reconstructSubnet } from '../../src/elastic/reconstruct.ts';
import { uniformSubnet } from '../../src/elastic/subnets.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

describeGpu('reconstruction', () => {
  it('fits the same projections as on the CPU', async () => {
    const fitted = async () => {
      const model = tinyBert(3);
      const rows = Array.from({ length: 8 }, (_, row) =>
        Array.from({ length: 12 }, (_i, i) => 1 + ((7 * row + 5 * i) % 31)),
      );
      const inputIds = tf.tensor2d(rows, [8, 12], 'int32');
      const small = await reconstructSubnet(model, uniformSubnet(model.space, 2, 4, 8), { batches: [{ inputIds }] });
      const weights = [...(await small.weights.get('layers.1.ffn.down.weight')!.data())];
      for (const one of [model, small, inputIds]) one.dispose();
      return weights;
    };
    await useBackend('wasm');
    const expected = await fitted();
    await startWebGpu();
    expect(await fitted()).toBeAllclose(expected, { atol: 1e-3 });
  });
});

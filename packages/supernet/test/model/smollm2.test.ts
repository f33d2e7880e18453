// SmolLM2 out of its GGUF: hidden states and logits as PyTorch had them with the same weights.
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { fileSource, openSafetensors } from '@hip/checkpoints';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { useBackend } from '../helpers/backend.ts';

const model = sharedPath('models', 'smollm2-135m-instruct');
const goldens = sharedPath('goldens', 'smollm2');
const missing = missingShared('models/smollm2-135m-instruct', 'goldens/smollm2');

describe.skipIf(missing)(`SmolLM2 from its GGUF${missing}`, () => {
  beforeAll(() => useBackend('wasm'));

  it('has the reference’s hidden states and logits', async () => {
    const golden = await openSafetensors(await fileSource(`${goldens}/golden.safetensors`));
    const { model: smollm2 } = await loadCheckpoint(`${model}/SmolLM2-135M-Instruct.Q4_1.gguf`);
    const ids = (await golden.read('chat.input_ids')).data as Int32Array;
    const inputIds = tf.tensor2d(ids, [1, ids.length], 'int32');
    const { hiddenStates, logits } = smollm2.forward({ inputIds }, { hiddenStates: true });
    for (const index of [0, 1, 2, 15, 29, 30]) {
      const expected = (await golden.read(`chat.hidden_states.${index}`)).data as Float32Array;
      const values = await hiddenStates![index]!.data();
      const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(values, `hidden state ${index}`).toBeAllclose(expected, { atol: 2e-5 * scale, rtol: 0 });
    }
    const last = tf.slice3d(logits as tf.Tensor3D, [0, ids.length - 4, 0], [1, 4, -1]);
    const expected = (await golden.read('chat.logits_last4')).data as Float32Array;
    expect(await last.data()).toBeAllclose(expected, { atol: 1e-3, rtol: 0 });
    smollm2.dispose();
    await golden.close();
  });
});

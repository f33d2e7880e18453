// Speculative decoding on WebGPU: the greedy text is the one without a draft, where the draft agrees and where it does not.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { loadLanguageModel, type LanguageModel } from '../../src/index.ts';
import { tinyModel } from '../helpers/tiny.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;
const OPTIONS = { weights: 'f32', cacheType: 'f32', contextTokens: 64, cacheTokens: 512 } as const;
const model = tinyModel({ num_hidden_layers: 1 });
// Agrees at some places: the model with every third number a little off.
const other = tinyModel(
  { num_hidden_layers: 1 },
  { change: (_, values) => values.forEach((value, i) => (values[i] = i % 3 === 0 ? 0.8 * value + 0.02 : value)) },
);
const prompt = Array.from({ length: 12 }, (_, i) => (i * i * 7 + 3 * i + 1) % 40);

describeGpu('a draft on a GPU', (gpu) => {
  let device: GPUDevice;
  const opened: LanguageModel[] = [];
  beforeAll(async () => void (device = await requestHipDevice(await gpu.adapter())), SLOW);
  afterAll(() => {
    for (const one of opened.toReversed()) one.close();
    device?.destroy();
  });
  const load = async (files: typeof model.files, draft?: LanguageModel): Promise<LanguageModel> => {
    const loaded = await loadLanguageModel(files, { ...OPTIONS, device, draft });
    opened.push(loaded);
    return loaded;
  };

  it(
    'changes no greedy text',
    async () => {
      const drafted = await load(model.files, await load(other.files));
      expect(drafted.backend).toBe('webgpu');
      const generate = async (draftTokens?: number) => {
        let given = 0;
        const options = { maxTokens: 10, temperature: 0, stopIds: [], draftTokens, onToken: () => void given++ };
        const ids = await drafted.generate(prompt, options);
        expect(given).toBe(ids.length);
        return ids;
      };
      const expected = await generate(0);
      expect(expected).toHaveLength(10);
      expect(await generate(3)).toEqual(expected);
      expect(await generate()).toEqual(expected);
    },
    SLOW,
  );
});

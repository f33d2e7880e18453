// Bytes of exported files are counted without writing them: equal to the file that is written, of every dtype and axis.
import { beforeAll, describe, expect, it } from 'vitest';
import { sampleSubnet } from '../../src/elastic/subnets.ts';
import type { SpaceChoices } from '../../src/elastic/types.ts';
import { countCheckpointBytes, countOnnxBytes } from '../../src/export/bytes.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import type { OnnxOptions } from '../../src/export/onnx.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyGpt2, tinyLlama, tinyVit, withSpace } from '../helpers/tiny.ts';

const CHOICES: SpaceChoices = { layers: [1, 2], ffn: [16, 24], hidden: [8, 16], skip: { attention: [0], ffn: [1] } };
const MODELS: Record<string, [() => TransformerModel, SpaceChoices]> = {
  llama: [() => tinyLlama(), { ...CHOICES, heads: [2, 4], groupHeads: [1, 2] }],
  phi3: [
    () => tinyLlama(1, { model_type: 'phi3', architectures: ['Phi3ForCausalLM'], pad_token_id: 0 }),
    { ...CHOICES, heads: [2, 4], groupHeads: [1, 2] },
  ],
  gpt2: [() => tinyGpt2(), CHOICES],
  bert: [() => tinyBert(), CHOICES],
  vit: [() => tinyVit(), CHOICES],
};
const WRITTEN: readonly OnnxOptions[] = [
  {},
  { dtype: 'fp16' },
  { dtype: 'q8' },
  { dtype: 'q4', quantization: { blockSize: 16 } },
];

describe.each(Object.entries(MODELS))('bytes of %s', (_, [create, choices]) => {
  beforeAll(() => useBackend('wasm'));

  it('are those of the files', async () => {
    const base = create();
    const model = await withSpace(base, choices);
    const random = new SeededRandom(5);
    for (const options of WRITTEN) {
      const subnet = sampleSubnet(model.space, () => random.next());
      const cache = model.config.head === 'causal-lm' && options.dtype === 'q4';
      const file = await exportOnnx(model, subnet, { ...options, cache });
      expect(countOnnxBytes(model.config, subnet, { ...options, cache })).toBe(file.byteLength);
      const dtype = options.dtype === 'fp16' ? 'F16' : 'F32';
      const { files } = await renderCheckpoint(model, subnet, { dtype });
      const weights = files.find(({ name }) => name === 'model.safetensors')!;
      const bytes = [...weights.chunks].reduce((sum, chunk) => sum + chunk.byteLength, 0);
      expect(countCheckpointBytes(model.config, subnet, { dtype })).toBe(bytes);
    }
    expect(countOnnxBytes(model.config)).toBe((await exportOnnx(model)).byteLength);
    for (const each of [base, model]) each.dispose();
  });

  it('are of sub-networks that there are, and families that are known', () => {
    const model = create();
    const large = { layers: 9, heads: [4, 4], ffn: [8, 8] };
    const wrong = expect.objectContaining({ code: 'invalid-subnet' });
    expect(() => countOnnxBytes(model.config, large)).toThrow(wrong);
    expect(() => countCheckpointBytes(model.config, large)).toThrow(wrong);
    const alien = expect.objectContaining({ code: 'unsupported-model' });
    expect(() => countCheckpointBytes(model.config, undefined, { families: [] })).toThrow(alien);
    model.dispose();
  });
});

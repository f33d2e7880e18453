// A model that does not fit is refused with sizes before its weights are read.
import type { CheckpointFiles, WeightSlot } from '@hip/checkpoints';
import { weightSlots } from '@hip/checkpoints';
import { expect, it } from 'vitest';
import fc from 'fast-check';
import { requireFits } from '../../src/backend/limits.ts';
import { findFamily, loadCheckpoint, type SupernetError } from '../../src/index.ts';
import { useBackend } from '../helpers/backend.ts';

const slot = (elements: number, index: number): WeightSlot => ({
  name: `w${index}`,
  shape: [elements],
  role: 'norm',
  axes: [],
});

it('weights fit exactly when all of them, and each, stay within the limits', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      sizes,
      fc.option(fc.nat(800), { nil: undefined }),
      fc.option(fc.nat(220), { nil: undefined }),
      (list, total, tensor) => {
        const bytes = list.map((elements) => 4 * elements);
        const fits =
          (total === undefined || bytes.reduce((a, b) => a + b, 0) <= total) &&
          (tensor === undefined || Math.max(...bytes) <= tensor);
        const limits = { backend: 'x', ...(total !== undefined && { total }), ...(tensor !== undefined && { tensor }) };
        let refused: unknown;
        try {
          requireFits(list.map(slot), limits);
        } catch (error) {
          refused = (error as SupernetError).code;
        }
        expect(refused).toBe(fits ? undefined : 'out-of-memory');
      },
    ),
  );
});

it('4 GiB of WebAssembly: refused before a weight is read', async () => {
  await useBackend('wasm');
  const raw = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 4096,
    num_hidden_layers: 1,
    num_attention_heads: 32,
    intermediate_size: 64,
    vocab_size: 300_000,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
  };
  // The file of a checkpoint in float32: its header is here, the rest of its 4.7 GiB is not.
  let end = 0;
  const slots = weightSlots(findFamily(raw).readConfig(raw));
  const header = JSON.stringify(
    Object.fromEntries(
      slots.map(({ name, shape }) => {
        const begin = end;
        end += 4 * shape.reduce((a, b) => a * b, 1);
        return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }];
      }),
    ),
  );
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const head = new Uint8Array(8 + text.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(text.length), true);
  head.set(text, 8);
  const files: CheckpointFiles = {
    location: 'memory',
    text: async (name) => (name === 'config.json' ? JSON.stringify(raw) : undefined),
    open: async (name) =>
      name !== 'model.safetensors'
        ? undefined
        : {
            name,
            size: head.length + end,
            read: async (offset, length) => {
              if (offset + length > head.length) throw new Error('a weight was read');
              return head.slice(offset, offset + length);
            },
            close: async () => {},
          },
  };
  await expect(loadCheckpoint(files)).rejects.toMatchObject({
    code: 'out-of-memory',
    message: expect.stringMatching(
      /^the weights take 4\.\d\d GiB as float32, and tfjs's wasm holds 4\.00 GiB: /,
    ) as string,
  });
});

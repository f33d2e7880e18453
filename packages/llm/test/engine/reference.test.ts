// Models of any shape against a decoder in plain float64 (packages/checkpoints/test/helpers/reference.ts): heads and FFN units that differ
// from layer to layer, blocks left out, windows, rotations, odd sizes, biases.
import fc from 'fast-check';
import { weightSlots, openCheckpoint } from '@hip/checkpoints';
import { describe, expect, it } from 'vitest';
import { referenceLogits } from '../../../checkpoints/test/helpers/reference.ts';
import { relativeError, withEngine } from '../helpers/compare.ts';
import { tinyModel } from '../helpers/tiny.ts';

/** Fields of config.json. */
const shapes = fc
  .record({
    layers: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    headDim: fc.integer({ min: 1, max: 12 }).map((half) => 2 * half),
    hidden: fc.integer({ min: 5, max: 40 }),
    ffn: fc.integer({ min: 3, max: 50 }),
    bias: fc.boolean(),
    tied: fc.boolean(),
    window: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    cut: fc.array(
      fc.record({ heads: fc.nat(), ffn: fc.nat(), skips: fc.constantFrom('attention', 'ffn', 'nothing') }),
      {
        minLength: 3,
        maxLength: 3,
      },
    ),
    seed: fc.integer({ min: 1, max: 1e6 }),
    tokens: fc.integer({ min: 1, max: 20 }),
  })
  .map(({ layers, kvHeads, group, headDim, hidden, ffn, bias, tied, window, cut, seed, tokens }) => ({
    seed,
    tokens,
    fields: {
      model_type: window === undefined ? 'llama' : 'mistral',
      architectures: [window === undefined ? 'LlamaForCausalLM' : 'MistralForCausalLM'],
      ...(window !== undefined && { sliding_window: window }),
      num_hidden_layers: layers,
      num_attention_heads: kvHeads * group,
      num_key_value_heads: kvHeads,
      head_dim: headDim,
      hidden_size: hidden,
      intermediate_size: ffn,
      tie_word_embeddings: tied,
      ...(window === undefined && { attention_bias: bias, mlp_bias: bias }),
      // What an extracted sub-network of @instatune/supernet says.
      instatune_layers: {
        // None of a layer that lacks the block; one layer attends.
        heads: Array.from({ length: layers }, (_, i) =>
          cut[i]!.skips === 'attention' && i !== seed % layers ? 0 : group * (1 + (cut[i]!.heads % kvHeads)),
        ),
        ffn: Array.from({ length: layers }, (_, i) => (cut[i]!.skips === 'ffn' ? 0 : 1 + (cut[i]!.ffn % ffn))),
        head_size: headDim,
      },
    },
  }));

describe('decoders of any shape', () => {
  it('are computed as the configuration says', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ fields, seed, tokens }) => {
        const { files, weights } = tinyModel(fields, { seed });
        await using checkpoint = await openCheckpoint(files);
        expect([...weights.keys()]).toEqual(weightSlots(checkpoint.config).map(({ name }) => name));
        const ids = Array.from({ length: tokens }, (_, i) => (i * 7 + seed) % 40);
        const expected = referenceLogits(checkpoint.config, weights, ids).flat();
        await withEngine(checkpoint, { cache: 'f32' }, async (engine) => {
          const logits = await engine.createSequence().forward(ids, { logits: 'all' });
          expect(relativeError(logits, expected)).toBeLessThan(2e-5);
        });
      }),
      { numRuns: 25 },
    );
  });
});

// Layers run by themselves: the same residual streams as in a whole pass, from the embeddings or from what is given.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyDeberta, tinyGpt2, tinyInputs, tinyLlama, tinyModernbert, tinyVit } from '../helpers/tiny.ts';

const LAYERS = 4;
const makers: readonly (readonly [string, (seed: number) => TransformerModel])[] = [
  ['pre-norm with rotation', (seed) => tinyLlama(seed, { num_hidden_layers: LAYERS })],
  ['post-norm', (seed) => tinyBert(seed, { num_hidden_layers: LAYERS })],
  ['learned positions', (seed) => tinyGpt2(seed, { n_layer: LAYERS })],
  ['of images', (seed) => tinyVit(seed, { num_hidden_layers: LAYERS })],
  ['relative positions', (seed) => tinyDeberta(seed, { num_hidden_layers: LAYERS })],
  [
    'windows',
    (seed) =>
      tinyModernbert(seed, {
        num_hidden_layers: LAYERS,
        layer_types: ['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention'],
      }),
  ],
];

describe.each(BACKENDS)('runLayers on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(makers)('%s: in pieces as in one pass', async (_, make) => {
    const model = make(3);
    const inputs = tinyInputs(model);
    const { hiddenStates, logits } = model.forward(inputs, { hiddenStates: true });
    const streams = hiddenStates!.map((state) => tf.reshape(state, [-1, state.shape[2]]) as tf.Tensor2D);
    // The last state may be after the final norm: it is not compared.
    const last = LAYERS - 1;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: last - 1 }),
        fc.integer({ min: 1, max: last }),
        async (from, count) => {
          const to = Math.min(from + count, last);
          const entering = from > 0 ? streams[from] : undefined;
          const before = tf.memory().numTensors;
          const left = model.runLayers(inputs, { from, to, entering });
          expect(tf.memory().numTensors).toBe(before + 1);
          expect(await left.data()).toBeAllclose(await streams[to]!.data(), { atol: 1e-5 });
          left.dispose();
        },
      ),
      { numRuns: 6 },
    );
    tf.dispose([...hiddenStates!, ...streams, logits]);
    model.dispose();
  });
});

describe('runLayers', () => {
  beforeAll(() => useBackend('cpu'));

  it('shows its observers the blocks of those layers only', () => {
    const model = tinyLlama(3, { num_hidden_layers: LAYERS });
    const [blocks, projections]: [string[], string[]] = [[], []];
    model
      .runLayers(tinyInputs(model), {
        from: 0,
        to: 1,
        observeBlock: (name) => void blocks.push(name),
        observe: (name) => void projections.push(name),
      })
      .dispose();
    expect(blocks).toEqual(['layers.0.attention', 'layers.0.ffn']);
    expect(projections).toEqual(['layers.0.attention.output', 'layers.0.ffn.down']);
    model.dispose();
  });

  it('names layers that are not there, and a stream that does not fit', () => {
    const model = tinyLlama(3, { num_hidden_layers: LAYERS });
    const inputs = tinyInputs(model);
    const rows = inputs.inputIds!.size;
    for (const [from, to] of [
      [-1, 1],
      [0, LAYERS + 1],
      [2, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      expect(() => model.runLayers(inputs, { from, to })).toThrowError(
        expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`${from}`) }),
      );
    }
    expect(() => model.runLayers(inputs, { from: 1, to: 2 })).toThrowError(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('entering') }),
    );
    for (const shape of [
      [rows + 1, model.config.hiddenSize],
      [rows, model.config.hiddenSize - 1],
    ] as const) {
      const entering = tf.zeros([...shape]) as tf.Tensor2D;
      expect(() => model.runLayers(inputs, { from: 1, to: 2, entering })).toThrowError(
        expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`${shape[0]}`) }),
      );
      entering.dispose();
    }
    model.dispose();
  });
});

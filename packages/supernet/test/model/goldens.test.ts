// Golden parity with transformers 5.17: logits and every hidden state, on cpu and wasm.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { ENCODER_GOLDENS, GOLDENS, RELATED_GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

const TOLERANCE = { atol: 2e-4, rtol: 0 };

describe.skipIf(missingGolden).each(BACKENDS)(`goldens on %s${missingGolden}`, (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([...GOLDENS, ...RELATED_GOLDENS, ...ENCODER_GOLDENS, 'roberta-pair'])('%s', async (name) => {
    const folder = goldenPath(name)!;
    const golden = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    const { logits, hiddenStates } = model.forward(golden.inputs, { hiddenStates: true });
    expect(hiddenStates).toHaveLength(golden.hiddenStates.length);
    // DeBERTa's padded queries attend to everything alike; what becomes of them is nobody's business.
    const mask = model.config.relativeAttention && (await golden.inputs.attentionMask!.data());
    const rowsOf = (values: Float32Array) =>
      mask && values.length % mask.length === 0
        ? values.filter((_, i) => mask[Math.floor(i / (values.length / mask.length))] === 1)
        : values;
    for (const [index, state] of (hiddenStates ?? []).entries()) {
      const actual = rowsOf((await state.data()) as Float32Array);
      expect(actual, `hidden state ${index}`).toBeAllclose(rowsOf(golden.hiddenStates[index]!), TOLERANCE);
    }
    const isOfTokens = logits.shape.length === 3;
    const actual = (await logits.data()) as Float32Array;
    const [own, expected] = isOfTokens ? [rowsOf(actual), rowsOf(golden.logits)] : [actual, golden.logits];
    expect(own, 'logits').toBeAllclose(expected, TOLERANCE);
    model.dispose();
  });

  it.each(['gemma3-text', 'phi3-longrope', 'smollm3'])('%s is refused in words', async (name) => {
    await expect(loadCheckpoint(goldenPath(name)!)).rejects.toMatchObject({
      code: 'unsupported-model',
      details: { features: expect.arrayContaining([expect.any(String)]) },
    });
  });
});

// Golden parity with transformers 5.17: logits and every hidden state, on cpu and wasm.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { GOLDENS, RELATED_GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

const TOLERANCE = { atol: 2e-4, rtol: 0 };

describe.skipIf(missingGolden).each(BACKENDS)(`goldens on %s${missingGolden}`, (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([...GOLDENS, ...RELATED_GOLDENS, 'roberta-pair'])('%s', async (name) => {
    const folder = goldenPath(name)!;
    const golden = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    const { logits, hiddenStates } = model.forward(golden.inputs, { hiddenStates: true });
    expect(hiddenStates).toHaveLength(golden.hiddenStates.length);
    for (const [index, state] of (hiddenStates ?? []).entries()) {
      expect(await state.data(), `hidden state ${index}`).toBeAllclose(golden.hiddenStates[index]!, TOLERANCE);
    }
    expect(await logits.data(), 'logits').toBeAllclose(golden.logits, TOLERANCE);
    model.dispose();
  });

  it.each(['gemma3-text', 'phi3-longrope', 'smollm3'])('%s is refused in words', async (name) => {
    await expect(loadCheckpoint(goldenPath(name)!)).rejects.toMatchObject({
      code: 'unsupported-model',
      details: { features: expect.arrayContaining([expect.any(String)]) },
    });
  });
});

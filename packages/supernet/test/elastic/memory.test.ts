// Peak memory by hand: which step needs most, and what each axis of a sub-network takes from it.
import { beforeAll, describe, expect, it } from 'vitest';
import { countParameters } from '../../src/elastic/cost.ts';
import { countMemory } from '../../src/elastic/memory.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama } from '../helpers/tiny.ts';

describe('memory of a forward pass', () => {
  beforeAll(() => useBackend('wasm'));
  const full = { layers: 2, heads: [4, 4], ffn: [24, 24] };

  it('of few tokens: the FFN of a gated decoder', () => {
    const { config } = tinyLlama();
    const { weights, activations, total } = countMemory(config, undefined, { tokens: 2, logitPositions: 0 });
    // Residual 2·16; gate, up and their product 2·24 each.
    expect([weights, activations]).toEqual([4 * countParameters(config), 4 * (32 + 3 * 48)]);
    expect(total).toBe(weights + activations);
    const narrow = countMemory(config, { ...full, ffn: [24, 8], hidden: 8 }, { tokens: 2, logitPositions: 0 });
    expect(narrow.activations).toBe(4 * (16 + 3 * 48));
    const without = countMemory(config, { ...full, skipFfn: [true, true] }, { tokens: 2, logitPositions: 0 });
    // Residual, normed, q 2·16, k and v 2·8 each.
    expect(without.activations).toBe(4 * (32 + 32 + 32 + 32));
  });

  it('of many tokens: the scores, and their shares', () => {
    const { config } = tinyBert();
    const found = countMemory(config, undefined, { batch: 3, tokens: 20 });
    expect(found.activations).toBe(4 * (3 * 20 * 16 + 3 * 20 * 16 + 2 * 3 * 4 * 20 * 20));
    const half = countMemory(config, { ...full, heads: [2, 2] }, { batch: 3, tokens: 20 });
    expect(half.activations).toBe(4 * (3 * 20 * 16 + 3 * 20 * 8 + 2 * 3 * 2 * 20 * 20));
  });

  it('of a large vocabulary: the logits', () => {
    const { config } = tinyLlama(1, { vocab_size: 5000 });
    expect(countMemory(config, undefined, { tokens: 4 }).activations).toBe(4 * (4 * 16 + 4 * 5000));
    expect(countMemory(config, undefined, { tokens: 4, logitPositions: 1 }).activations).toBe(4 * (4 * 16 + 5000));
  });

  it('takes what weights are stored as, and refuses what is no count', () => {
    const { config } = tinyBert();
    expect(countMemory(config, undefined, { tokens: 4, weightBytes: 1000 }).weights).toBe(1000);
    for (const options of [{ batch: 0 }, { tokens: 1.5 }, { logitPositions: -1 }, { weightBytes: Number.NaN }]) {
      const wrong = expect.objectContaining({ code: 'invalid-option' });
      expect(() => countMemory(config, undefined, options)).toThrow(wrong);
    }
    const large = { layers: 3, heads: [4, 4], ffn: [24, 24] };
    expect(() => countMemory(config, large)).toThrow(expect.objectContaining({ code: 'invalid-subnet' }));
  });
});

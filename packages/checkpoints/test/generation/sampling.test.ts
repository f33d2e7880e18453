// Draws have the distribution that a sort of the vocabulary would give; what is not finite is named.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanLogits, topTokens } from '../../src/generation/logit-scan.ts';
import { nucleusOf } from '../../src/generation/nucleus.ts';
import { createSampler } from '../../src/generation/sampling.ts';
import type { SamplingOptions } from '../../src/generation/sampling.ts';

const logits = fc
  .array(fc.oneof(fc.float({ min: -30, max: 30, noNaN: true }), fc.integer({ min: -3, max: 3 })), {
    minLength: 1,
    maxLength: 700,
  })
  .map((values) => Float32Array.from(values));

/** Probabilities by sorting everything, in float64: k, then p, then the minimum. */
function sortedProbabilities(values: Float32Array, options: SamplingOptions): Float64Array {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  if (topK > 0) order.length = Math.min(order.length, topK);
  const weights = order.map((id) => Math.exp((values[id]! - values[order[0]!]!) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const out = new Float64Array(values.length);
  let mass = 0;
  for (const [i, id] of order.entries()) {
    if (mass >= topP * total || weights[i]! < minP) break;
    mass += weights[i]!;
    out[id] = weights[i]!;
  }
  return out.map((weight) => weight / mass);
}

describe('createSampler', () => {
  it('greedy takes the first of the largest', () =>
    fc.assert(
      fc.property(logits, (values) => {
        expect(createSampler()(values)).toBe(values.indexOf(Math.max(...values)));
      }),
    ));

  it('selects the top k as a sort does', () =>
    fc.assert(
      fc.property(logits, fc.integer({ min: 1, max: 700 }), fc.constantFrom(1, 3, 16, 256), (values, k, block) => {
        const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
        const kept = Math.min(k, values.length);
        expect(topTokens(values, kept, scanLogits(values, block))).toEqual(order.slice(0, kept));
      }),
    ));

  it('finds the nucleus as a sort does', () =>
    fc.assert(
      fc.property(
        logits,
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.constantFrom(0.1, 1, 7),
        (values, topP, temperature) => {
          const expected = sortedProbabilities(values, { temperature, topP });
          const { logit, id } = nucleusOf(values, scanLogits(values, 16), temperature, topP);
          const kept = [...values.keys()].filter((i) => values[i]! > logit || (values[i] === logit && i <= id));
          const right = [...expected.keys()].filter((i) => expected[i]! > 0);
          // Where rounding decides whether the sum is reached, one token more or less.
          expect(Math.abs(kept.length - right.length)).toBeLessThanOrEqual(1);
          const fewer = new Set(kept.length < right.length ? right : kept);
          expect([...kept, ...right].every((i) => fewer.has(i))).toBe(true);
        },
      ),
    ));

  const settings: SamplingOptions[] = [
    { temperature: 1 },
    { temperature: 0.4 },
    { temperature: 2, topK: 7 },
    { temperature: 1, topP: 0.7 },
    { temperature: 0.8, topK: 9, topP: 0.9 },
    { temperature: 1, minP: 0.2 },
    { temperature: 1, topP: 0.9, minP: 0.05 },
  ];
  it.each(settings)('draws by the distribution of a sort: %o', (options) => {
    // 600 tokens: more than two blocks, one likely token, some in between, a flat tail.
    const values = Float32Array.from({ length: 600 }, (_, i) => (i === 300 ? 4 : i % 97 === 5 ? 3 : Math.sin(i) / 2));
    const expected = sortedProbabilities(values, options);
    const draws = 10_000;
    const counts = new Float64Array(values.length);
    const choose = createSampler({ ...options, seed: 5 });
    for (let i = 0; i < draws; i++) counts[choose(values)]!++;
    let [chi, cells] = [0, 0];
    for (const [id, count] of counts.entries()) {
      const mean = draws * expected[id]!;
      if (mean > 0) [chi, cells] = [chi + (count - mean) ** 2 / mean, cells + 1];
    }
    const strangers = [...counts.keys()].filter((id) => counts[id]! > 0 && expected[id] === 0);
    expect(strangers, 'tokens that are not among those to draw from').toEqual([]);
    // χ² has mean n − 1 and variance 2(n − 1): five standard deviations.
    expect(chi).toBeLessThan(cells - 1 + 5 * Math.sqrt(2 * Math.max(1, cells - 1)));
  });

  it('repeats from a seed, and takes any temperature', () => {
    const values = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i));
    const run = (options: SamplingOptions) => {
      const choose = createSampler(options);
      return Array.from({ length: 20 }, () => choose(values));
    };
    expect(run({ temperature: 1, seed: 3 })).toEqual(run({ temperature: 1, seed: 3 }));
    expect(run({ temperature: 1, seed: 3 })).not.toEqual(run({ temperature: 1, seed: 4 }));
    const largest = run({});
    for (const topP of [1, 0.5]) expect(run({ temperature: 1e-310, topP })).toEqual(largest);
    expect(new Set(run({ temperature: 1e300 })).size).toBeGreaterThan(5);
  });

  it('names a logit that is not finite, and options that are none', () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      for (const options of [{}, ...settings]) {
        for (const at of [0, 299, 599]) {
          const values = new Float32Array(600);
          values[at] = bad;
          expect(() => createSampler(options)(values)).toThrow(
            expect.objectContaining({ code: 'non-finite', details: { token: at, value: bad } }),
          );
        }
      }
    }
    for (const options of [{ temperature: -1 }, { topP: 0 }, { topK: 1.5 }, { minP: 2 }, { seed: 0.5 }]) {
      expect(() => createSampler(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    }
  });

  it.each(settings)('never draws what is masked, and the rest as without it: %o', (options) => {
    const values = Float32Array.from({ length: 600 }, (_, i) => Math.sin(i * i) * 2);
    const isMasked = (id: number) => id % 3 !== 1 || (id > 200 && id < 500);
    const masked = values.map((value, id) => (isMasked(id) ? -Infinity : value));
    const kept = [...values.keys()].filter((id) => !isMasked(id));
    const expected = sortedProbabilities(
      Float32Array.from(kept, (id) => values[id]!),
      options,
    );
    const possible = new Set(kept.filter((_, i) => expected[i]! > 0));
    const choose = createSampler({ ...options, masked: true, seed: 2 });
    for (let i = 0; i < 500; i++) expect(possible).toContain(choose(masked));
    expect(createSampler({ masked: true })(masked)).toBe(masked.indexOf(Math.max(...masked)));
  });

  it('names what is not finite among masked tokens, and that none is left', () => {
    const none = new Float32Array(600).fill(-Infinity);
    for (const options of [{}, ...settings]) {
      const choose = createSampler({ ...options, masked: true });
      expect(() => choose(none)).toThrow(expect.objectContaining({ code: 'invalid-input' }));
      expect(choose(none.with(577, 3))).toBe(577);
      for (const bad of [Number.NaN, Infinity]) {
        const details = { token: 400, value: bad };
        expect(() => choose(none.with(400, bad))).toThrow(expect.objectContaining({ code: 'non-finite', details }));
      }
    }
  });
});

// The likeliest tokens in place of logits: what is chosen among them is what is chosen of the logits, or nothing is.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import {
  candidateLogProbabilities,
  candidatesOf,
  penalizeCandidates,
  type Candidates,
} from '../../src/generation/candidates.ts';
import { logProbabilities } from '../../src/generation/log-probabilities.ts';
import { penalizeRepetition } from '../../src/generation/penalty.ts';
import { createSampler, type SamplingOptions } from '../../src/generation/sampling.ts';

// Few distinct values, so that there are equals.
const logits = fc
  .array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 200 })
  .map((values) => Float32Array.from(values, (value) => value / 8));
const count = fc.integer({ min: 1, max: 64 });

describe('candidatesOf', () => {
  it('lists the largest, of equals the lower ids, and the sums over all', () => {
    fc.assert(
      fc.property(logits, count, fc.double({ min: 0.2, max: 2, noNaN: true }), (values, kept, temperature) => {
        const {
          ids,
          logits: found,
          of,
          logSumExp,
          scaledLogSumExp,
        } = candidatesOf(values, { count: kept, temperature });
        const sorted = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
        expect([...ids]).toEqual(sorted.slice(0, kept));
        expect([...found]).toEqual([...ids].map((id) => values[id]));
        expect(of).toBe(values.length);
        const sum = (t: number) => Math.log(values.reduce((total, value) => total + Math.exp(value / t), 0));
        expect(logSumExp).toBeCloseTo(sum(1), 5);
        expect(scaledLogSumExp).toBeCloseTo(sum(temperature), 4);
      }),
    );
  });
});

describe('a sampler among candidates', () => {
  const draws = (options: SamplingOptions, values: Float32Array, kept: number, times = 20) => {
    const [whole, few] = [createSampler(options), createSampler(options)];
    const candidates = candidatesOf(values, { count: kept, temperature: options.temperature });
    return Array.from({ length: times }, () => [whole(values), few.among(candidates)] as const);
  };

  it('is the sampler of the logits: greedy, and with k at most as many', () => {
    const options = fc.record({
      temperature: fc.constantFrom(0, 0.3, 1, 1.7),
      topK: fc.integer({ min: 1, max: 64 }),
      topP: fc.constantFrom(0.1, 0.6, 1),
      minP: fc.constantFrom(0, 0.05, 0.5),
      seed: fc.nat(1000),
    });
    fc.assert(
      fc.property(logits, count, options, (values, kept, asked) => {
        const isDecided = asked.temperature === 0 || asked.topK <= kept || kept >= values.length;
        for (const [expected, found] of draws(asked, values, kept)) {
          const isSame = found === expected || (asked.topK >= values.length && asked.temperature > 0);
          expect(found === undefined ? !isDecided : isSame).toBe(true);
        }
      }),
    );
  });

  it.each([{ topP: 0.7 }, { minP: 0.2 }, { topP: 0.9, minP: 0.1 }])(
    'draws from the same tokens as often as their shares say (%o)',
    (filter) => {
      const values = Float32Array.from({ length: 500 }, (_, i) => 3 * Math.cos(i * i) + (i % 7 === 0 ? 4 : 0));
      const peaked = values.map((value) => 2 * value);
      const pairs = draws({ temperature: 0.8, seed: 3, ...filter }, peaked, 64, 2500);
      const counts = new Map<number, [number, number]>();
      for (const [whole, few] of pairs) {
        expect(few).toBeDefined();
        counts.set(whole, [(counts.get(whole)?.[0] ?? 0) + 1, counts.get(whole)?.[1] ?? 0]);
        counts.set(few!, [counts.get(few!)?.[0] ?? 0, (counts.get(few!)?.[1] ?? 0) + 1]);
      }
      for (const [a, b] of counts.values()) expect(Math.abs(a - b)).toBeLessThan(6 * Math.sqrt(a + b) + 6);
    },
  );

  it('decides nothing, and takes no random number, where others may be chosen', () => {
    const flat = new Float32Array(300).fill(1);
    const few = candidatesOf(flat, { count: 64 });
    for (const options of [{ temperature: 1 }, { temperature: 1, topP: 0.9 }, { temperature: 1, minP: 0.1 }]) {
      const [asked, other] = [createSampler({ ...options, seed: 9 }), createSampler({ ...options, seed: 9 })];
      expect(asked.among(few)).toBeUndefined();
      expect(asked(flat)).toBe(other(flat));
    }
    expect(createSampler({ temperature: 1, topK: 65 }).among(few)).toBeUndefined();
    expect(createSampler({ temperature: 1, topK: 64 }).among(few)).toBeDefined();
  });

  it('refuses what is not finite', () => {
    const broken: Candidates = {
      ...candidatesOf(Float32Array.of(1, 2), { count: 2 }),
      logits: Float32Array.of(NaN, 1),
    };
    expect(() => createSampler().among(broken)).toThrow(expect.objectContaining({ code: 'non-finite' }));
    expect(() => createSampler().among({ ...broken, ids: new Uint32Array(), logits: new Float32Array() })).toThrow(
      CheckpointError,
    );
  });
});

describe('candidates that were said', () => {
  it('are penalised as logits are, as far as it is certain which are likeliest', () => {
    const penalty = fc.constantFrom(1, 1.1, 1.5, 3);
    expect(penalizeCandidates(candidatesOf(Float32Array.of(1, 2), { count: 1 }), new Set([1]), 0.8)).toBeUndefined();
    fc.assert(
      fc.property(logits, count, penalty, fc.uniqueArray(fc.nat(220), { maxLength: 40 }), (values, kept, by, said) => {
        const seen = new Set(said);
        const found = penalizeCandidates(candidatesOf(values, { count: kept }), seen, by);
        const whole = penalizeRepetition(values.slice(), seen, by);
        const expected = candidatesOf(whole, { count: values.length });
        expect([...found!.ids]).toEqual([...expected.ids.subarray(0, found!.ids.length)]);
        expect([...found!.logits]).toEqual([...expected.logits.subarray(0, found!.ids.length)]);
        expect(kept < values.length || found!.ids.length === values.length).toBe(true);
      }),
    );
  });

  it('have the log-probabilities of the logits', () => {
    const values = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i * 7));
    const few = candidatesOf(values, { count: 10 });
    const [id] = [few.ids[3]!];
    const expected = logProbabilities(values, id, 5);
    const found = candidateLogProbabilities(few, id, 5)!;
    expect(found.top.map((each) => each.id)).toEqual(expected.top.map((each) => each.id));
    expect(found.logProbability).toBeCloseTo(expected.logProbability, 10);
    expect(candidateLogProbabilities(few, id, 11)).toBeUndefined();
    expect(candidateLogProbabilities(few, few.ids[0]! + 100, 1)).toBeUndefined();
  });
});

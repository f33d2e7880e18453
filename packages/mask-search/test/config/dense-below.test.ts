// The rule by which every engine chooses between all keys and a search: what it says follows from lengths alone, however calls are divided.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attends,
  attentionParts,
  DEFAULT_CONFIG,
  DENSE_BELOW,
  denseKeys,
  HipError,
  layerRule,
  QUESTION_ROWS,
  resolveDenseBelow,
  type DenseBelow,
} from '../../src/index.ts';

const lengths = fc.integer({ min: 0, max: 20_000 });
const belows = fc.record({ rows: lengths, question: lengths, step: lengths });
const rules = fc
  .record({ denseBelow: fc.oneof(belows, lengths), layer: fc.integer({ min: 0, max: 5 }), dense: fc.boolean() })
  .map(({ dense, ...given }) =>
    layerRule({ ...DEFAULT_CONFIG, denseTokens: 9000, layers: [{ dense }, { k: 128 }] }, given),
  );
const keys = fc.integer({ min: 1, max: 40_000 });
const rows = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 3000 }));

describe('layerRule', () => {
  it('a row that is dense with some keys is dense with fewer', () => {
    fc.assert(
      fc.property(rules, keys, keys, rows, (rule, a, b, count) => {
        const found = [Math.min(a, b), Math.max(a, b)].map((at) => attends(rule, at, count));
        expect(found).not.toEqual(['hip', 'dense']);
      }),
    );
  });

  it('counts what a search would keep anyway, and the tokens up to which a dense layer is dense', () => {
    const { k, window, sink } = DEFAULT_CONFIG;
    const kept = k + window + sink;
    const first = layerRule({ ...DEFAULT_CONFIG, denseTokens: 9000 }, { layer: 0, denseBelow: 100 });
    const fourth = layerRule(DEFAULT_CONFIG, { layer: 3, denseBelow: 100 });
    expect([kept, kept + 1].map((at) => attends(fourth, at, 100))).toEqual(['dense', 'hip']);
    expect([9000, 9001].map((at) => attends(first, at, 1))).toEqual(['dense', 'hip']);
    expect(
      layerRule({ ...DEFAULT_CONFIG, denseTokens: undefined }, { layer: 0, denseBelow: 0 }).config,
    ).toBeUndefined();
    const always = layerRule(DEFAULT_CONFIG, { layer: 3, denseBelow: 0 });
    expect([1, 5].map((at) => attends(always, at, 1))).toEqual(['hip', 'hip']);
  });

  it('knows rows of a text, questions and single tokens', () => {
    const denseBelow: DenseBelow = { rows: 1000, question: 3000, step: 2000 };
    const rule = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow });
    const kinds = [1000, 1001, 2001, 3001].map((at) =>
      [QUESTION_ROWS + 1, QUESTION_ROWS, 2, 1].map((count) => attends(rule, at, count)[0]).join(''),
    );
    expect(kinds).toEqual(['dddd', 'hddd', 'hddh', 'hhhh']);
    expect([65, 64, 1].map((count) => denseKeys(denseBelow, count))).toEqual([1000, 3000, 2000]);
  });

  it('a window is seen where it is shorter than the text; without a configuration nothing is searched', () => {
    const slides = layerRule(DEFAULT_CONFIG, { layer: 5, window: 50, denseBelow: 0 });
    expect([50, 51].map((at) => attends(slides, at, 7))).toEqual(['dense', 'window']);
    expect(attends(layerRule('dense', { layer: 5, denseBelow: 0 }), 1e6, 7)).toBe('dense');
  });

  it.each([-1, Number.NaN, '5', null])('refuses denseBelow %o', (value) => {
    const refused = [value, { ...DENSE_BELOW.wasm, question: value }].map((given) => {
      try {
        resolveDenseBelow(given as number);
        return 'taken';
      } catch (error) {
        return error instanceof HipError ? `${error.code}: ${error.message}` : String(error);
      }
    });
    for (const message of refused) expect(message).toMatch(/^invalid-config: denseBelow.* is .*: give a number >= 0$/);
  });
});

describe('attentionParts', () => {
  it('tells every row the same, however a call is divided', () => {
    const divisions = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 6 });
    const past = fc.integer({ min: 0, max: 6000 });
    fc.assert(
      fc.property(divisions, past, belows, (chunks, before, denseBelow) => {
        const rule = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow });
        const call = chunks.reduce((sum, part) => sum + part, 0);
        let done = 0;
        for (const rows of chunks) {
          const keys = before + done + rows;
          const parts = attentionParts(rule, { rows, keys, call, after: call - done - rows });
          const found = parts.flatMap((part) => Array.from({ length: part.rows }, () => part.kind));
          // By each row's place in the call; those that are computed together see what the last of them sees.
          const isAsked = (row: number) => row >= call - QUESTION_ROWS;
          const texts = Array.from({ length: rows }, (_, i) => done + i).filter((row) => !isAsked(row)).length;
          const { rows: text, question, step } = rule.denseBelow;
          const expected = Array.from({ length: rows }, (_, i) => {
            if (i < texts) return keys - (rows - texts) > text ? 'hip' : 'dense';
            return keys > (call === 1 ? step : question) ? 'hip' : 'dense';
          });
          expect(found).toEqual(expected);
          done += rows;
        }
      }),
    );
  });

  it('divides rows where a question is dense behind a text that is searched, and nowhere else', () => {
    const rule = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow: { rows: 1000, question: 5000, step: 2000 } });
    const parts = (rows: number, keys: number, more = {}) =>
      attentionParts(rule, { rows, keys, ...more }).map((part) => `${part.rows} ${part.kind}`);
    expect(parts(300, 1000)).toEqual(['300 dense']);
    expect(parts(300, 4000)).toEqual(['236 hip', '64 dense']);
    expect(parts(300, 6000)).toEqual(['300 hip']);
    expect(parts(64, 4000)).toEqual(['64 dense']);
    expect(parts(1, 4000)).toEqual(['1 hip']);
    // The end of a longer call, and what comes before it.
    expect(parts(1, 4000, { call: 513 })).toEqual(['1 dense']);
    expect(parts(512, 3999, { call: 513, after: 1 })).toEqual(['449 hip', '63 dense']);
    expect(parts(512, 3000, { call: 1512, after: 1000 })).toEqual(['512 hip']);
    const gpu = layerRule(DEFAULT_CONFIG, { layer: 5, denseBelow: DENSE_BELOW.webgpu });
    expect([8192, 8300, 30_000].map((keys) => attentionParts(gpu, { rows: 2000, keys }).length)).toEqual([1, 1, 1]);
  });
});

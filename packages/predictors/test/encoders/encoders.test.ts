import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fitStandardizer,
  kendallTau,
  loadEncoder,
  oneHotEncoder,
  ordinalEncoder,
  PredictorError,
  ridge,
  thermometerEncoder,
  type Gene,
} from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { samples } from '../fixtures/data.ts';

const genes: readonly Gene[] = [
  { type: 'integer', lower: 6, upper: 9 },
  { type: 'categorical', levels: 3 },
  { type: 'boolean' },
  { type: 'real', lower: -1, upper: 3 },
  { type: 'integer', lower: 1, upper: 1000 },
  { type: 'integer', lower: 4, upper: 4 },
];
const row = fc.tuple(
  fc.integer({ min: 6, max: 9 }),
  fc.integer({ min: 0, max: 2 }),
  fc.integer({ min: 0, max: 1 }),
  // Multiples of 1/64: two different ones stay different after scaling to [0, 1], as 0 and 5e-324 do not.
  fc.integer({ min: -64, max: 192 }).map((v) => v / 64),
  fc.integer({ min: 1, max: 1000 }),
  fc.constant(4),
);
const mask = fc.array(fc.boolean(), { minLength: 6, maxLength: 6 });
const encoders = {
  oneHot: oneHotEncoder(genes),
  thermometer: thermometerEncoder(genes),
  ordinal: ordinalEncoder(genes),
};

describe.each(Object.entries(encoders))('%s', (_, encoder) => {
  it('differs exactly where used genes differ; unused ones give 0', () => {
    fc.assert(
      fc.property(row, row, mask, (a, b, used) => {
        // 0 of a real gene at its lower bound and 0 of an unused one cannot be told apart: the mask is the same here.
        const equal = a.every((v, i) => !used[i] || v === b[i]);
        expect(encoder.encode(a, used).join() === encoder.encode(b, used).join()).toBe(equal);
        const features = encoder.encode(a, used);
        expect(features).toHaveLength(encoder.width);
        encoder.groups.forEach((gene, column) => {
          expect(features[column]).toBeGreaterThanOrEqual(0);
          expect(features[column]).toBeLessThanOrEqual(used[gene] ? 1 : 0);
        });
      }),
    );
  });

  it('refuses genes out of range, of another number, and halves', () => {
    for (const bad of [
      [5, 0, 0, 0, 1, 4],
      [6, 3, 0, 0, 1, 4],
      [6, 0, 2, 0, 1, 4],
      [6, 0, 0, 4, 1, 4],
      [6.5, 0, 0, 0, 1, 4],
      [6, 0, 0, NaN, 1, 4],
      [6],
    ]) {
      expect(() => encoder.encode(bad)).toThrow(expect.objectContaining({ code: 'invalid-data' }));
    }
    // An unused gene may hold anything.
    expect(() => encoder.encode([99, 0, 0, 0, 1, 4], [false, true, true, true, true, true])).not.toThrow();
  });
});

describe('columns', () => {
  it('by hand', () => {
    const genome = [7, 1, 1, 0, 500, 4];
    expect([...encoders.oneHot.encode(genome)]).toEqual([0, 1, 0, 0, 0, 1, 0, 0, 1, 0.25, 0.5, 1]);
    expect([...encoders.thermometer.encode(genome)]).toEqual([1, 1, 0, 0, 0, 1, 0, 1, 1, 0.25, 0.5, 1]);
    expect([...encoders.ordinal.encode(genome)]).toEqual([0.5, 2 / 3, 1, 0.25, 0.5, 1]);
    expect(encoders.oneHot.groups).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5]);
  });

  it('masks come from a function of the genes', () => {
    const [a] = encoders.ordinal.encodeAll([[7, 1, 1, 0, 500, 4]], (g) =>
      g.length === 6 ? [false, true, false, true, false, true] : [],
    );
    expect([...a!]).toEqual([0, 2 / 3, 0, 0.25, 0, 1]);
  });

  it('genes without sense are refused', () => {
    for (const gene of [
      { type: 'integer', lower: 3, upper: 1 },
      { type: 'integer', lower: 0, upper: Infinity },
      { type: 'categorical', levels: 0 },
      { type: 'x' },
    ]) {
      expect(() => oneHotEncoder([gene as Gene])).toThrow(PredictorError);
    }
  });
});

describe('many categories', () => {
  it('are one column a level each, of however many; many integers are one column', () => {
    for (const levels of [2, 64, 65, 300]) {
      const many: readonly Gene[] = [
        { type: 'categorical', levels },
        { type: 'integer', lower: 0, upper: levels - 1 },
      ];
      for (const encode of [oneHotEncoder(many), thermometerEncoder(many)]) {
        expect(encode.width).toBe(levels + (levels > 64 ? 1 : levels));
        for (const level of [0, 1, levels - 1]) {
          const row = encode.encode([level, 0]);
          expect(row.subarray(0, levels).indexOf(1)).toBe(level);
          expect(row.subarray(0, levels).reduce((a, b) => a + b, 0)).toBe(1);
        }
        expect(encode.groups.filter((gene) => gene === 0)).toHaveLength(levels);
        expect(loadEncoder(JSON.parse(JSON.stringify(encode))).width).toBe(encode.width);
      }
    }
  });

  it('are learnt as well as a few: no order among them', () => {
    for (const levels of [64, 65]) {
      const random = new Random(3);
      const effects = Array.from({ length: levels }, () => random.below(1000));
      const table = Array.from({ length: 500 }, () => [random.below(levels), random.below(10)]);
      const targets = table.map(([level, x]) => effects[level!]! + 20 * x!);
      const encoder = oneHotEncoder([
        { type: 'categorical', levels },
        { type: 'integer', lower: 0, upper: 9 },
      ]);
      const X = encoder.encodeAll(table);
      const model = ridge().fit(X.slice(0, 350), targets.slice(0, 350));
      expect(kendallTau(model.predict(X.slice(350)), targets.slice(350))).toBeGreaterThan(0.97);
    }
  });
});

describe('fitStandardizer', () => {
  it('gives mean 0 and deviation 1, leaves constant columns at 0', () => {
    fc.assert(
      fc.property(samples({ rows: [2, 20] }), ({ rows }) => {
        const extended = rows.map((r) => [...r, 5]);
        const encoded = fitStandardizer(extended).encodeAll(extended);
        extended[0]!.forEach((_, k) => {
          const column = encoded.map((r) => r[k]!);
          expect(column.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 6);
          const squares = column.reduce((sum, v) => sum + v * v, 0) / column.length;
          expect(squares).toBeCloseTo(new Set(extended.map((r) => r[k])).size > 1 ? 1 : 0, 6);
        });
      }),
    );
    expect(() => fitStandardizer([])).toThrow(PredictorError);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConstraint, resolveConstraint, totalViolation, violation } from '../src/constraints.ts';

const names = new Map<string, string | undefined>([
  ['latency', 'ms'],
  ['accuracy', '%'],
  ['macs', undefined],
]);
const bound = (text: string, baseline?: Record<string, number>) =>
  resolveConstraint(parseConstraint(text, names), baseline);

describe('the constraint language', () => {
  const baseline = { latency: 40, accuracy: 92, macs: 11e9 };
  it.each([
    ['latency <= 20', 'latency', '<=', 20],
    ['latency<=20ms', 'latency', '<=', 20],
    ['Latency ≤ 2e1 MS', 'latency', '<=', 20],
    ['latency < .5', 'latency', '<=', 0.5],
    ['latency <= -3', 'latency', '<=', -3],
    ['macs <= 0.6x', 'macs', '<=', 6.6e9],
    ['accuracy >= baseline', 'accuracy', '>=', 92],
    ['accuracy >= baseline - 1%', 'accuracy', '>=', 91.08],
    ['accuracy >= baseline - 1', 'accuracy', '>=', 91],
    ['latency <= baseline + 10%', 'latency', '<=', 44],
    ['accuracy >= 91%', 'accuracy', '>=', 91],
  ] as const)('%s', (text, name, relation, value) => {
    expect(bound(text, baseline)).toMatchObject({ name, relation });
    expect(bound(text, baseline).bound).toBeCloseTo(value, 9);
  });

  it('a percentage of a negative baseline goes the same way', () => {
    expect(bound('accuracy >= baseline - 1%', { accuracy: -50 }).bound).toBeCloseTo(-50.5, 12);
  });

  it.each([
    'latency',
    'latency = 3',
    '<= 3',
    'latency <= many',
    'speed <= 3',
    'latency <= 3 s',
    'latency <= baseline * 2',
    'latency <= 3 4',
  ])('refuses "%s"', (text) => {
    expect(() => parseConstraint(text, names)).toThrow(
      expect.objectContaining({
        code: 'bad-constraint',
        message: expect.stringContaining(text.split(' ')[0]!) as string,
      }),
    );
  });

  it('says that the baseline is missing', () => {
    expect(() => bound('macs <= 0.6x')).toThrow(expect.objectContaining({ code: 'no-baseline' }));
  });

  it('violation is relative, non-positive exactly where the bound holds', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.constantFrom('<=' as const, '>=' as const),
        (limit, value, relation) => {
          const b = { text: '', name: 'x', relation, bound: limit };
          expect(violation(b, { x: value }) <= 0).toBe(relation === '<=' ? value <= limit : value >= limit);
          expect(totalViolation([b, b], { x: value })).toBe(2 * Math.max(0, violation(b, { x: value })));
        },
      ),
    );
    expect(violation({ text: '', name: 'x', relation: '<=', bound: 20 }, { x: 25 })).toBeCloseTo(0.25, 12);
  });
});

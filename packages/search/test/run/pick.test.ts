import { describe, expect, it } from 'vitest';
import { pick, type PickSource } from '../../src/run/pick.ts';

const source = (
  points: readonly (readonly [latency: number, accuracy: number])[],
  baseline?: readonly [number, number],
): PickSource => ({
  front: points.map(([latency, accuracy], number) => ({
    number,
    genes: [number],
    values: { latency, accuracy, macs: latency * 10 },
  })),
  header: {
    objectives: [
      { name: 'latency', direction: 'minimize', kind: 'measured', unit: 'ms' },
      { name: 'accuracy', direction: 'maximize', kind: 'measured' },
    ],
  },
  baseline: baseline && { latency: baseline[0], accuracy: baseline[1], macs: baseline[0] * 10 },
});
const front = source(
  [
    [10, 60],
    [12, 85],
    [20, 90],
    [40, 92],
    [80, 93],
  ],
  [100, 93],
);

describe('pick', () => {
  it('the knee is where the front bulges most', () => {
    expect(pick(front)).toMatchObject({ rule: 'knee', point: { number: 2 } });
  });
  it('weights lean towards an objective', () => {
    expect(pick(front, { weights: { latency: 0.9, accuracy: 0.1 } }).point.number).toBe(0);
    expect(pick(front, { weights: { latency: 0.1, accuracy: 0.9 } }).point.number).toBe(4);
  });
  it.each([
    ['latency <= 0.4x', 3],
    ['latency <= 39ms', 2],
    ['latency<=10', 0],
    ['accuracy >= baseline - 1.5', 3],
    ['accuracy >= 86', 2],
    ['macs <= 150', 1],
  ])('%s', (budget, number) => {
    expect(
      pick(front, { budget: [budget], ...(budget.startsWith('macs') ? { optimize: 'accuracy' } : {}) }).point.number,
    ).toBe(number);
  });
  it.each([{ latncy: 1 }, { latency: -1, accuracy: 1 }, { latency: Number.NaN }, {}])(
    'weights %j are refused',
    (weights) => {
      expect(() => pick(front, { weights })).toThrow(
        expect.objectContaining({
          code: 'invalid-option',
          message: expect.stringContaining('latency, accuracy') as string,
        }),
      );
    },
  );
  it('a point that lacks a bounded value is not within the bound', () => {
    const points = front.front.map((point, index) =>
      index < 4 ? point : { ...point, values: { ...point.values, energy: 50 } },
    );
    const some = { ...front, front: points };
    expect(pick(some, { budget: 'energy <= 60', optimize: 'latency' }).point.number).toBe(4);
    expect(() => pick(some, { budget: 'energy <= 40' })).toThrow(/the front reaches 50/);
  });
  it('several bounds, and an objective by name', () => {
    expect(pick(front, { budget: ['accuracy >= 86', 'latency <= 0.5x'], optimize: 'accuracy' }).point.number).toBe(3);
    expect(pick(front, { optimize: 'accuracy' }).point.number).toBe(4);
  });
  it('says what the front reaches where nothing is within the budget', () => {
    expect(() => pick(front, { budget: 'latency <= 5' })).toThrow(
      expect.objectContaining({
        code: 'empty-front',
        message: expect.stringContaining('the front reaches 10') as string,
      }),
    );
    expect(() => pick(source([]))).toThrow(expect.objectContaining({ code: 'empty-front' }));
    expect(() => pick(source([[1, 1]]), { budget: 'latency <= 0.5x' })).toThrow(
      expect.objectContaining({ code: 'no-baseline' }),
    );
    expect(() => pick(front, { optimize: 'speed' })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
  it('a front of one point', () => {
    expect(pick(source([[5, 5]])).point.number).toBe(0);
  });
});

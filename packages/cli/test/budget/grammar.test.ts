import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBudget } from '../../src/budget/grammar.ts';
import { QUANTITIES, quantity, QUANTITY_NAMES } from '../../src/budget/quantities.ts';
import { TuneError } from '../../src/errors.ts';

const one = (text: string) => {
  const [bound] = parseBudget(text);
  const { factor, shift, offset } = bound!;
  return [bound!.name, bound!.relation, factor, shift, offset];
};

describe('parseBudget', () => {
  it.each([
    ['latency<=0.5x', ['latency', '<=', 0.5, 0, 0]],
    ['latency <= 20', ['latency', '<=', 0, 0, 20]],
    ['latency ≤ 0.02 s', ['latency', '<=', 0, 0, 20]],
    ['LATENCY < 20ms', ['latency', '<=', 0, 0, 20]],
    ['bytes <= 12.5MB', ['bytes', '<=', 0, 0, 12.5e6]],
    ['bytes <= 12mib', ['bytes', '<=', 0, 0, 12 * 2 ** 20]],
    ['memory <= 1GiB', ['memory', '<=', 0, 0, 2 ** 30]],
    ['macs <= 1.2G', ['macs', '<=', 0, 0, 1.2e9]],
    ['macs <= 1e9', ['macs', '<=', 0, 0, 1e9]],
    ['parameters <= 5M', ['parameters', '<=', 0, 0, 5e6]],
    ['loss <= baseline + 1%', ['loss', '<=', 1, 0.01, 0]],
    ['loss<=baseline+0.1', ['loss', '<=', 1, 0, 0.1]],
    ['loss <= baseline', ['loss', '<=', 1, 0, 0]],
    ['loss <= 1.01X', ['loss', '<=', 1.01, 0, 0]],
    ['accuracy >= 92%', ['accuracy', '>=', 0, 0, 0.92]],
    ['accuracy >= .92', ['accuracy', '>=', 0, 0, 0.92]],
    ['accuracy >= baseline - 1 %', ['accuracy', '>=', 1, -0.01, 0]],
    ['perplexity <= 30', ['perplexity', '<=', 0, 0, 30]],
  ])('%s', (text, parts) => {
    expect(one(text)).toEqual(parts);
  });

  it('takes lists, by comma, semicolon or the word', () => {
    for (const text of [
      'latency<=0.5x, loss<=baseline+1%',
      'latency<=0.5x;loss<=baseline+1%',
      'latency<=0.5x and loss<=baseline+1%,',
    ])
      expect(parseBudget(text).map(({ name }) => name)).toEqual(['latency', 'loss']);
    expect(parseBudget(['macs <= 1G', 'loss <= 2']).map(({ text }) => text)).toEqual(['macs <= 1G', 'loss <= 2']);
  });

  it.each([
    ['', 'is empty'],
    [' , ', 'is empty'],
    ['small', 'is no bound: write bounds like'],
    ['latency', 'is no bound'],
    ['latency = 3', 'is no bound'],
    ['latencies <= 3', 'names "latencies" (did you mean latency?): use latency, macs,'],
    ['latency >= 3', 'wants more latency: write latency <= …'],
    ['accuracy <= 3', 'wants less accuracy: write accuracy >= …'],
    ['latency <= fast', 'has the value "fast": write a number (us, µs, ms, s), or 0.5x, or baseline + 1%'],
    ['loss <= 0', 'has the value 0: write a number > 0'],
    ['loss <= -1', 'has the value "-1"'],
    ['latency <= 3MB', 'has latency in "MB": use us, µs, ms, s'],
    [
      'loss <= 1%',
      'has loss in "%": write it without a unit; a share of the baseline is written 0.5x, or baseline + 1%',
    ],
    ['macs <= 50%', 'has macs in "%"'],
    ['bytes <= baseline + 1 hour', 'has bytes in "hour"'],
    ['macs<=', 'has no value: write macs <= 0.5x, say'],
    ['macs <= 0.5', 'asks for less than one of macs: write macs <= 0.5x for a share of the full network'],
    ['macs <= 1,5G, loss <= 2', 'has a comma in a number: write 1.5G'],
    ['latency <= 1x2', 'has the value "1x2"'],
  ])('%j is refused with what is allowed', (text, sentence) => {
    expect(() => parseBudget(text)).toThrow(
      expect.objectContaining({ code: 'bad-budget', message: expect.stringContaining(sentence) as string }),
    );
  });

  it('reads what it is written from, in every unit', () => {
    const written = fc.constantFrom(...QUANTITY_NAMES).chain((name) =>
      fc.record({
        name: fc.constant(name),
        unit: fc.constantFrom(...Object.keys(QUANTITIES[name].units)),
        value: fc.double({ min: 1, max: 1e6, noNaN: true }),
        space: fc.constantFrom('', ' '),
      }),
    );
    fc.assert(
      fc.property(written, ({ name, unit, value, space }) => {
        const { better, units } = quantity(name);
        const [bound] = parseBudget(`${name}${space}${better === 'less' ? '<=' : '>='}${space}${value}${space}${unit}`);
        expect(bound!.offset).toBe(value * units[unit]!);
      }),
    );
  });

  it('refuses anything else by a typed error', () => {
    const letters = fc.constantFrom(...'latency<=>0.5x%+- baseMB,'.split(''));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: letters })), (text) => {
        let error: unknown;
        let bounds: ReturnType<typeof parseBudget> = [];
        try {
          bounds = parseBudget(text);
        } catch (thrown) {
          error = thrown;
        }
        expect(error === undefined || error instanceof TuneError).toBe(true);
        for (const { factor, shift, offset } of bounds)
          expect([factor, shift, offset].every(Number.isFinite)).toBe(true);
      }),
    );
  });
});

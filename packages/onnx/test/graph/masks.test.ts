// What masks mean, told from their values: every causal mask with a window and padding is recognised, what breaks the rule is named.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { meaningOf, type MaskProbe, type MaskValues } from '../../src/graph/masks.ts';

interface Rule {
  readonly probe: MaskProbe;
  /** 0: none. */
  readonly window: number;
  readonly heads: number;
  readonly kind: MaskValues['kind'];
  readonly lowest: number;
}

const rules: fc.Arbitrary<Rule> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    tokens: fc.integer({ min: 1, max: 7 }),
    past: fc.integer({ min: 0, max: 6 }),
    padding: fc.integer({ min: 0, max: 5 }),
    window: fc.integer({ min: 0, max: 9 }),
    heads: fc.integer({ min: 1, max: 2 }),
    kind: fc.constantFrom<MaskValues['kind']>('additive', 'allowed', 'hidden'),
    lowest: fc.constantFrom(-Infinity, -10_000, -65_504, -3.4e38),
  })
  .map(({ window, heads, kind, lowest, ...probe }) => ({
    probe: { ...probe, padding: Math.min(probe.padding, probe.past + probe.tokens - 1) },
    window,
    heads,
    kind,
    lowest,
  }));

const sees = ({ probe, window }: Rule, b: number, row: number, key: number): boolean => {
  const at = probe.past + row;
  const first = b === probe.batch - 1 ? probe.padding : 0;
  return key <= at && key >= first && (window === 0 || at - key < window);
};

/** The mask of a rule, [batch, heads, rows, keys]. */
function maskOf(rule: Rule, visible: typeof sees = sees): MaskValues {
  const { probe, heads, kind, lowest } = rule;
  const { batch, tokens, past } = probe;
  const keys = past + tokens;
  const values: number[] = [];
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < tokens; row++)
        for (let key = 0; key < keys; key++) {
          const isVisible = visible(rule, b, row, key);
          values.push(kind === 'additive' ? (isVisible ? 0 : lowest) : Number(isVisible === (kind === 'allowed')));
        }
  return { dims: [batch, heads, tokens, keys], values, kind };
}

/** Most keys that a row without padding in front could see. */
const longest = ({ probe }: Rule) => probe.past + probe.tokens - (probe.batch === 1 ? probe.padding : 0);

describe('meaningOf', () => {
  it('recognises causal masks, their window and padding', () => {
    fc.assert(
      fc.property(rules, (rule) => {
        const meaning = meaningOf(rule.probe, [maskOf(rule)], false);
        expect(meaning).not.toHaveProperty('problem');
        const { window, padding } = meaning as { window: number | undefined; padding: boolean | undefined };
        expect(window).toBe(rule.window === 0 || rule.window >= longest(rule) ? undefined : rule.window);
        expect(padding === false).toBe(false);
      }),
    );
  });

  it('says the same of a node that is causal itself and of two masks together', () => {
    fc.assert(
      fc.property(rules, (rule) => {
        const alone = meaningOf(rule.probe, [maskOf(rule)], false);
        expect(meaningOf(rule.probe, [maskOf(rule)], true)).toEqual(alone);
        const causal = maskOf({ ...rule, kind: 'allowed' }, (_, b, row, key) => key <= rule.probe.past + row && b >= 0);
        expect(meaningOf(rule.probe, [maskOf(rule), causal], false)).toEqual(alone);
      }),
    );
  });

  it('names a key that comes later, a hole, and a bias', () => {
    fc.assert(
      fc.property(rules, fc.nat(), fc.nat(), (rule, a, b) => {
        const { batch, tokens, past, padding } = rule.probe;
        const keys = past + tokens;
        const row = a % tokens;
        const at = past + row;
        const isFirstText = batch > 1 || padding === 0;
        fc.pre(isFirstText);
        const later = at + 1 + (b % Math.max(1, keys - at - 1));
        const changed = (place: number, to: boolean) =>
          maskOf(rule, (r, text, i, key) => (i === row && key === place ? to : sees(r, text, i, key)));
        const cases: [MaskValues, RegExp][] = [[changed(at, false), /sees/]];
        if (later < keys) cases.push([changed(later, true), /comes later/]);
        if (rule.kind === 'additive') {
          const mask = maskOf(rule);
          const values = Array.from(mask.values);
          values[row * keys + at] = -0.5;
          cases.push([{ ...mask, values }, /a bias of -0.5/]);
        }
        for (const [mask, says] of cases) {
          expect(meaningOf(rule.probe, [mask], false)).toMatchObject({ problem: expect.stringMatching(says) });
        }
      }),
    );
  });

  it('takes masks that broadcast, and refuses those of other keys', () => {
    const probe = { batch: 2, tokens: 3, past: 2, padding: 0 };
    const padding: MaskValues = { dims: [2, 5], values: Array.from({ length: 10 }, () => 1), kind: 'allowed' };
    expect(meaningOf(probe, [padding], true)).toEqual({ window: undefined, padding: undefined });
    const encoder: MaskValues = { dims: [2, 1, 1, 9], values: Array.from({ length: 18 }, () => 0), kind: 'additive' };
    expect(meaningOf(probe, [encoder], true)).toMatchObject({
      problem: expect.stringMatching(/keys that are not the tokens' own/),
    });
  });
});

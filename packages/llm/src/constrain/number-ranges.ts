// Numbers between bounds, as fragments of their decimal digits.
import { LlmError } from '../errors.ts';
import { characters, choice, literal, optional, repeat, sequence } from './fragments.ts';
import { digit, fraction, MOST_DIGITS } from './json-text.ts';
import type { Fragment } from './network.ts';

/** Beyond these a double skips integers. */
export const MOST = 10 ** MOST_DIGITS - 1;

/** Bounds of a number, both inside. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** Whole numbers between bounds. @throws LlmError `invalid-input` where there are none */
export function integersBetween({ low, high }: Bounds): Fragment {
  const [from, to] = [Math.max(-MOST, Math.ceil(low)), Math.min(MOST, Math.floor(high))];
  if (from > to) throw none({ low, high });
  const parts: Fragment[] = [];
  if (from < 0) parts.push(sequence(literal('-'), naturals(Math.max(1, -to), -from)));
  if (to >= 0) parts.push(naturals(Math.max(0, from), to));
  return choice(...parts);
}

/** Numbers between bounds, some of them: integers, and fractions between two that are both inside; else of the fewest decimals that fit. */
export function numbersBetween({ low, high }: Bounds): Fragment {
  if (low > high) throw none({ low, high });
  const [from, to] = [Math.max(-MOST, Math.ceil(low)), Math.min(MOST, Math.floor(high))];
  if (from > to) return decimalsBetween({ low, high });
  const parts = [integersBetween({ low, high })];
  // n.f lies between n and n + 1, −n.f between −n − 1 and −n.
  if (to - 1 >= Math.max(0, from)) parts.push(sequence(naturals(Math.max(0, from), to - 1), fraction));
  if (-from - 1 >= Math.max(0, -to))
    parts.push(sequence(literal('-'), naturals(Math.max(0, -to), -from - 1), fraction));
  return choice(...parts);
}

/** Multiples of a whole number. @throws LlmError `invalid-input` where they are too many to list */
export function multiplesBetween(of: number, { low, high }: Bounds): Fragment {
  const isListed = Number.isFinite(low) && Number.isFinite(high);
  if (isListed) {
    const [from, to] = [Math.ceil(low / of), Math.floor(high / of)];
    if (from > to) throw none({ low, high });
    if (to - from < 10_000)
      return choice(...Array.from({ length: to - from + 1 }, (_, i) => literal(String((from + i) * of || 0))));
  }
  if (of > 1000 || isListed || low !== -Infinity || high !== Infinity) {
    throw new LlmError(
      'invalid-input',
      `multipleOf ${of} between these bounds: there are too many to list; leave the bounds out, or be narrower`,
      {
        name: 'multipleOf',
        value: of,
      },
    );
  }
  return remainders(of);
}

/** Digits whose number leaves no remainder: a state for each remainder, and each number of digits. */
function remainders(of: number): Fragment {
  const number: Fragment = (network, from) => {
    const end = network.state();
    let row = new Map<number, number>();
    for (let length = 0; length < MOST_DIGITS; length++) {
      const next = new Map<number, number>();
      const sources = length === 0 ? [[0, from] as const] : [...row];
      for (const [rest, state] of sources) {
        for (let value = length === 0 ? 1 : 0; value <= 9; value++) {
          const left = (rest * 10 + value) % of;
          let to = next.get(left);
          if (to === undefined) {
            next.set(left, (to = network.state()));
            if (left === 0) network.empty(to, end);
          }
          network.byte(state, 0x30 + value, 0x30 + value, to);
        }
      }
      row = next;
    }
    return end;
  };
  return choice(literal('0'), sequence(optional(literal('-')), number));
}

function decimalsBetween({ low, high }: Bounds): Fragment {
  for (let decimals = 1; decimals <= 12; decimals++) {
    const scale = 10 ** decimals;
    const candidates = Array.from({ length: 10 }, (_, i) => Math.ceil(low * scale) + i)
      .map((scaled) => (scaled / scale).toFixed(decimals))
      .filter((text) => Number(text) >= low && Number(text) <= high);
    if (candidates.length > 0) return choice(...candidates.map(literal));
  }
  throw none({ low, high });
}

/** Decimals of the whole numbers from `low` ≥ 0 to `high`. */
function naturals(low: number, high: number): Fragment {
  const parts: Fragment[] = [];
  for (let length = String(low).length; length <= String(high).length; length++) {
    const from = Math.max(low, length === 1 ? 0 : 10 ** (length - 1));
    parts.push(sameLength(String(from), String(Math.min(high, 10 ** length - 1))));
  }
  return choice(...parts);
}

/** Digits between two numbers of as many. */
function sameLength(low: string, high: string): Fragment {
  if (low === '') return (_, from) => from;
  const [a, b] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const digits = (from: number, to: number) => characters([[0x30 + from, 0x30 + to]]);
  if (a === b) return sequence(digits(a, a), sameLength(lowRest, highRest));
  const [isLowFull, isHighFull] = [/^0*$/.test(lowRest), /^9*$/.test(highRest)];
  const parts: Fragment[] = [];
  if (!isLowFull) parts.push(sequence(digits(a, a), sameLength(lowRest, '9'.repeat(lowRest.length))));
  const [from, to] = [isLowFull ? a : a + 1, isHighFull ? b : b - 1];
  if (from <= to) parts.push(sequence(digits(from, to), repeat(digit, lowRest.length, lowRest.length)));
  if (!isHighFull) parts.push(sequence(digits(b, b), sameLength('0'.repeat(highRest.length), highRest)));
  return choice(...parts);
}

function none({ low, high }: Bounds): LlmError {
  return new LlmError('invalid-input', `no number lies between ${low} and ${high}`, { name: 'minimum', low, high });
}

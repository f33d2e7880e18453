// Patterns whose matching may take time that doubles with every letter: found by their structure, before they are run.
import { readPattern } from './pattern-syntax.ts';
import type { Pattern } from './pattern-syntax.ts';

/** Places (sets of a pattern) that are looked at; copies that a counted repetition is written out in. */
const MOST_PLACES = 400;
const MOST_COPIES = 6;
/** Repetitions in a row that take the same letter: time grows by their number's power. Published patterns have two. */
const LONGEST_CHAIN = 2;

/** Characters that stand for all: those of ASCII, and of every kind beyond it. */
const SAMPLES = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  ...Array.from('éÉßǅʰª中あا١Ⅷ²́ः⃝‿—«»‘€±©˄\u00A0\u0085\u2028\u2029\u3000\u200D\uFEFF\uE000😀𐐀\u0378'),
];

/**
 * Why a pattern is refused: the same text can be cut into its repetitions in exponentially many ways, or in as many as the third power of
 * its length (or it has backreferences, which are not looked through).
 *
 * @param source - of a JavaScript regular expression with the flag `u`
 * @returns undefined for a pattern that may be run
 */
export function backtracking(source: string): string | undefined {
  const pattern = readPattern(source);
  if (!pattern) return 'it has backreferences, or groups nested too deep';
  const samples = [...SAMPLES, ...Array.from(source).filter((character) => character > '\u007F')];
  const masks = new Map<string, bigint>();
  const maskOf = (set: string): bigint => {
    let mask = masks.get(set);
    if (mask === undefined) {
      const test = new RegExp(`^(?:${set})$`, 'u');
      mask = samples.reduce((bits, character, i) => (test.test(character) ? bits | (1n << BigInt(i)) : bits), 0n);
      masks.set(set, mask);
    }
    return mask;
  };
  for (const part of [pattern, ...looks(pattern)]) {
    const places = placesOf(part, maskOf);
    if (!places) return 'it repeats too much';
    if (isAmbiguous(places)) return 'its repetitions are nested, and a text may be cut into them in many ways';
    for (const bit of samples.keys()) {
      if (chain(part, 1n << BigInt(bit), maskOf).longest > LONGEST_CHAIN) {
        return `more than ${LONGEST_CHAIN} of its repetitions in a row take the same letters`;
      }
    }
  }
  return undefined;
}

function looks(node: Pattern): Pattern[] {
  switch (node.kind) {
    case 'set':
      return [];
    case 'look':
      return [node.body, ...looks(node.body)];
    case 'repeat':
      return looks(node.body);
    default:
      return (node.kind === 'sequence' ? node.parts : node.options).flatMap(looks);
  }
}

interface Places {
  /** Letters of each place. */
  readonly letters: readonly bigint[];
  /** By place: the places that may come next, each as often as there are ways to it. */
  readonly next: readonly (readonly number[])[];
}

interface Ends {
  readonly isNullable: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/** The automaton of positions (Glushkov 1961), with every way from one place to the next. */
function placesOf(pattern: Pattern, maskOf: (set: string) => bigint): Places | undefined {
  const letters: bigint[] = [];
  const next: number[][] = [];
  const link = (from: readonly number[], to: readonly number[]) => {
    for (const place of from) (next[place] as number[]).push(...to);
  };
  const sequence = (parts: readonly (() => Ends)[]): Ends => {
    let [isNullable, first, last]: [boolean, readonly number[], readonly number[]] = [true, [], []];
    for (const part of parts) {
      const ends = part();
      link(last, ends.first);
      if (isNullable) first = [...first, ...ends.first];
      last = ends.isNullable ? [...last, ...ends.last] : ends.last;
      isNullable &&= ends.isNullable;
    }
    return { isNullable, first, last };
  };
  const build = (node: Pattern): Ends => {
    if (letters.length > MOST_PLACES) throw new Error('too many places');
    switch (node.kind) {
      case 'set': {
        const place = letters.push(maskOf(node.source)) - 1;
        next.push([]);
        return { isNullable: false, first: [place], last: [place] };
      }
      case 'look':
        return { isNullable: true, first: [], last: [] };
      case 'sequence':
        return sequence(node.parts.map((part) => () => build(part)));
      case 'choice': {
        const ends = node.options.map(build);
        return {
          isNullable: ends.some(({ isNullable }) => isNullable),
          first: ends.flatMap(({ first }) => first),
          last: ends.flatMap(({ last }) => last),
        };
      }
      case 'repeat': {
        const { body, min, max } = node;
        const loop = (): Ends => {
          const ends = build(body);
          link(ends.last, ends.first);
          return { ...ends, isNullable: ends.isNullable || min === 0 };
        };
        if (max > MOST_COPIES) return loop();
        const optional = (): Ends => ({ ...build(body), isNullable: true });
        return sequence(Array.from({ length: max }, (_, i) => (i < min ? () => build(body) : optional)));
      }
    }
  };
  try {
    build(pattern);
    return { letters, next };
  } catch {
    return undefined;
  }
}

/** Whether some word leads from a place back to it in two ways: then its repetitions are cut in exponentially many. */
function isAmbiguous({ letters, next }: Places): boolean {
  const reached = next.map((_, from) => reach([from], (place) => next[place] as readonly number[]));
  const inCycle = (from: number, to: number) => (reached[to] as Set<number>).has(from);
  const count = letters.length;
  const loops = next.map((targets, from) => targets.filter((to) => inCycle(from, to)));
  if (loops.some((targets) => new Set(targets).size < targets.length)) return true;
  // Pairs of places that one word reaches from one place.
  const pairs = (pair: number): number[] => {
    const [a, b] = [Math.floor(pair / count), pair % count];
    const to: number[] = [];
    for (const p of loops[a] as readonly number[]) {
      for (const q of loops[b] as readonly number[]) {
        if (((letters[p] as bigint) & (letters[q] as bigint)) !== 0n) to.push(p * count + q);
      }
    }
    return to;
  };
  for (const start of loops.keys()) {
    if ((loops[start] as readonly number[]).length === 0) continue;
    const same = start * count + start;
    for (const pair of reach([same], pairs)) {
      const differs = Math.floor(pair / count) !== pair % count;
      if (differs && reach([pair], pairs).has(same)) return true;
    }
  }
  return false;
}

/** What is reached from some nodes by one step or more. */
function reach(from: readonly number[], next: (node: number) => readonly number[]): Set<number> {
  const seen = new Set<number>();
  const open = [...from];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const target of next(node)) {
      if (seen.has(target)) continue;
      seen.add(target);
      open.push(target);
    }
  }
  return seen;
}

/** Endless repetitions in a row that all take one letter: of the whole node where it takes nothing else, and at most anywhere. */
function chain(node: Pattern, letter: bigint, maskOf: (set: string) => bigint): { through: number; longest: number } {
  const none = -1;
  switch (node.kind) {
    case 'look':
      return { through: 0, longest: 0 };
    case 'set':
      return { through: (maskOf(node.source) & letter) === 0n ? none : 0, longest: 0 };
    case 'choice': {
      const options = node.options.map((option) => chain(option, letter, maskOf));
      return {
        through: Math.max(...options.map(({ through }) => through)),
        longest: Math.max(...options.map(({ longest }) => longest)),
      };
    }
    case 'repeat': {
      const { through, longest } = chain(node.body, letter, maskOf);
      const own = through === none ? (node.min === 0 ? 0 : none) : through + (node.max === Infinity ? 1 : 0);
      return { through: own, longest: Math.max(longest, own) };
    }
    case 'sequence': {
      let [run, longest, isWhole] = [0, 0, true];
      for (const part of node.parts) {
        const found = chain(part, letter, maskOf);
        longest = Math.max(longest, found.longest);
        if (found.through === none) [run, isWhole] = [0, false];
        else run += found.through;
        longest = Math.max(longest, run);
      }
      return { through: isWhole ? run : none, longest };
    }
  }
}

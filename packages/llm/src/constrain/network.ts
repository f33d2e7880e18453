// A grammar as a recursive transition network over bytes: rules of states, with edges that read a byte, that read nothing, or that
// call a rule and go on behind it (Woods 1970, section 2).
import { LlmError } from '../errors.ts';

/** Reads a byte from `low` to `high`. */
export interface ByteEdge {
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

/** Reads what a rule reads. */
export interface CallEdge {
  readonly rule: number;
  readonly to: number;
}

export interface State {
  readonly bytes: ByteEdge[];
  readonly empty: number[];
  readonly calls: CallEdge[];
}

export interface Rule {
  readonly start: number;
  readonly end: number;
}

/** Rule 0 is where a text begins. */
export interface Network {
  readonly states: readonly State[];
  readonly rules: readonly Rule[];
}

/** Builds a part of a network from a state on. @returns the state behind it */
export type Fragment = (network: NetworkBuilder, from: number) => number;

/** States of a network at most: what is larger comes of counts like `minItems: 100000`. */
const MOST_STATES = 200_000;

export class NetworkBuilder {
  readonly #states: State[] = [];
  readonly #rules: Rule[] = [];
  readonly #named = new Map<string, number>();
  readonly #pending: (() => void)[] = [];

  /** @throws LlmError `invalid-input` where there are too many */
  state(): number {
    if (this.#states.length >= MOST_STATES) {
      const message = `the grammar has more than ${MOST_STATES} states: use smaller counts (maxLength, minItems, {m,n})`;
      throw new LlmError('invalid-input', message, { name: 'grammar', states: MOST_STATES });
    }
    return this.#states.push({ bytes: [], empty: [], calls: [] }) - 1;
  }

  byte(from: number, low: number, high: number, to: number): void {
    this.#states[from]!.bytes.push({ low, high, to });
  }

  empty(from: number, to: number): void {
    this.#states[from]!.empty.push(to);
  }

  call(from: number, rule: number, to: number): void {
    this.#states[from]!.calls.push({ rule, to });
  }

  /** The rule of that name, made when it is asked for first; a rule may call itself. */
  rule(name: string, make: () => Fragment): number {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    const rule = { start: this.state(), end: this.state() };
    const index = this.#rules.push(rule) - 1;
    this.#named.set(name, index);
    // Later, so that rules that call each other are no recursion here.
    this.#pending.push(() => this.empty(make()(this, rule.start), rule.end));
    return index;
  }

  /** @throws LlmError `invalid-input` where a rule begins with itself */
  build(): Network {
    for (let next = this.#pending.shift(); next; next = this.#pending.shift()) next();
    const network = { states: this.#states, rules: this.#rules };
    checkLeftRecursion(network, [...this.#named.keys()]);
    return network;
  }
}

/** Rules whose text may be empty. */
function nullableRules({ states, rules }: Network): boolean[] {
  const nullable = rules.map(() => false);
  for (let isChanged = true; isChanged;) {
    isChanged = false;
    for (const [index, { start, end }] of rules.entries()) {
      if (nullable[index] || !reachable(states, start, nullable).has(end)) continue;
      nullable[index] = isChanged = true;
    }
  }
  return nullable;
}

/** States that can be reached without reading a byte. */
function reachable(states: readonly State[], start: number, nullable: readonly boolean[]): Set<number> {
  const found = new Set([start]);
  for (const at of found) {
    const { empty, calls } = states[at] as State;
    for (const to of empty) found.add(to);
    for (const { rule, to } of calls) if (nullable[rule]) found.add(to);
  }
  return found;
}

function checkLeftRecursion(network: Network, names: readonly string[]): void {
  const { states, rules } = network;
  const nullable = nullableRules(network);
  const first = rules.map(({ start }) => {
    const calls = [...reachable(states, start, nullable)].flatMap((at) => (states[at] as State).calls);
    return new Set(calls.map(({ rule }) => rule));
  });
  for (const [index] of rules.entries()) {
    const seen = new Set(first[index]);
    for (const rule of seen) for (const next of first[rule] as Set<number>) seen.add(next);
    if (!seen.has(index)) continue;
    const message = `the rule ${names[index] as string} begins with itself: write it as a repetition`;
    throw new LlmError('invalid-input', message, { name: 'grammar', rule: names[index] });
  }
}

// A compiled grammar: a network, the tokens of a model, and what every state costs to end.
import { LlmError } from '../errors.ts';
import { Matcher } from './matcher.ts';
import type { Network } from './network.ts';
import type { TokenTree } from './token-tree.ts';

/** Tokens that a byte is taken to need that is no token by itself. */
const NO_TOKEN = 64;

/** What answers may be. */
export class Grammar {
  readonly network: Network;
  readonly tree: TokenTree;
  /** Tokens that suffice from each state to the end of its rule. */
  readonly costs: Float64Array;
  /** States at which a rule returns. */
  readonly ends: ReadonlySet<number>;

  /** @throws LlmError `invalid-input` where no text of a finite length fits */
  constructor(network: Network, tree: TokenTree) {
    this.network = network;
    this.tree = tree;
    this.ends = new Set(network.rules.map(({ end }) => end));
    this.costs = costsToEnd(network, tree.single);
    if (!Number.isFinite(this.leastTokens)) {
      throw new LlmError('invalid-input', 'no finite text fits the grammar: a rule calls itself without another way', {
        name: 'grammar',
      });
    }
  }

  /** Tokens that suffice for the shortest text. */
  get leastTokens(): number {
    return this.costs[this.network.rules[0]!.start] as number;
  }

  matcher(): Matcher {
    return new Matcher(this);
  }
}

/** Shortest ways (Knuth 1977), by relaxing what leads to a state whenever that got cheaper. */
function costsToEnd({ states, rules }: Network, single: readonly boolean[]): Float64Array {
  const costs = new Float64Array(states.length).fill(Infinity);
  // What leads to a state: by reading, or a rule that is called.
  const into: { from: number; cost: number; rule: number }[][] = states.map(() => []);
  const callers: { from: number; to: number }[][] = rules.map(() => []);
  const ruleOf = new Map(rules.map(({ start }, index) => [start, index]));
  for (const [from, { bytes, empty, calls }] of states.entries()) {
    for (const { low, high, to } of bytes) {
      const isSingle = single.slice(low, high + 1).some(Boolean);
      into[to]!.push({ from, cost: isSingle ? 1 : NO_TOKEN, rule: -1 });
    }
    for (const to of empty) into[to]!.push({ from, cost: 0, rule: -1 });
    for (const { rule, to } of calls) {
      into[to]!.push({ from, cost: 0, rule });
      callers[rule]!.push({ from, to });
    }
  }
  const queue: number[] = [];
  const lower = (state: number, cost: number): void => {
    if (!(cost < (costs[state] as number))) return;
    costs[state] = cost;
    queue.push(state);
  };
  for (const { end } of rules) lower(end, 0);
  for (let next = 0; next < queue.length; next++) {
    const state = queue[next] as number;
    const cost = costs[state] as number;
    for (const { from, cost: own, rule } of into[state]!) {
      lower(from, cost + own + (rule < 0 ? 0 : (costs[rules[rule]!.start] as number)));
    }
    const rule = ruleOf.get(state);
    if (rule !== undefined) for (const { from, to } of callers[rule]!) lower(from, cost + (costs[to] as number));
  }
  return costs;
}

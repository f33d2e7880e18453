// Where a text is in a grammar: all ways that its bytes can be read, as stacks of states that share their lower parts.
import { LlmError } from '../errors.ts';
import type { Grammar } from './grammar.ts';
import type { State } from './network.ts';

/** A state, and where its rule returns to. */
interface Frame {
  readonly state: number;
  readonly parent: Frame | undefined;
  /** Tokens that suffice to the end. */
  readonly cost: number;
  readonly id: number;
  readonly above: Map<number, Frame>;
}

/** All ways at once. */
interface Place {
  /** Those that read a byte next. */
  readonly frames: readonly Frame[];
  /** Whether the text may end here. */
  readonly isEnd: boolean;
  /** Tokens that suffice to the end. */
  readonly cost: number;
  readonly next: (Place | null | undefined)[];
  tokens: Allowed | undefined;
}

/** Tokens that may come, and what suffices behind each. */
interface Allowed {
  readonly ids: Int32Array;
  readonly costs: Float64Array;
  readonly mostCost: number;
}

/** Places that are remembered at most, and lists of tokens. */
const MOST_PLACES = 20_000;
const MOST_LISTS = 200;

export class Matcher {
  readonly #grammar: Grammar;
  readonly #roots = new Map<number, Frame>();
  readonly #places = new Map<string, Place>();
  /** Places by what was reached, before the ways that read nothing: many bytes reach the same. */
  readonly #reached = new Map<string | number, Place>();
  readonly #listed: Place[] = [];
  #frames = 0;
  #place: Place;

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
    this.#place = this.#placeOf([this.#frame(grammar.network.rules[0]!.start, undefined)]);
  }

  /** Whether the text may end here. */
  get isEnd(): boolean {
    return this.#place.isEnd;
  }

  /** Whether nothing may follow. */
  get isDone(): boolean {
    return this.#place.isEnd && this.#place.frames.length === 0;
  }

  /**
   * Bans all tokens that cannot come next, and those behind which the text could no longer be ended in time.
   *
   * @param logits - [vocabulary], changed in place
   * @param remaining - tokens that may still come, this one among them
   * @param stopIds - allowed where the text may end
   * @throws LlmError `invalid-input` where no token can come
   */
  mask(logits: Float32Array, remaining: number, stopIds: ReadonlySet<number>): void {
    const { ids, costs, mostCost } = this.#allowed(this.#place);
    // In place, so the logits of those that stay are set aside.
    const stops = this.#place.isEnd ? [...stopIds].filter((id) => id < logits.length) : [];
    const values = new Float32Array(ids.length);
    const stopValues = stops.map((id) => logits[id] as number);
    const isWide = mostCost < remaining;
    let count = stops.length;
    for (let i = 0; i < ids.length; i++) {
      if (!isWide && (costs[i] as number) >= remaining) values[i] = -Infinity;
      else {
        values[i] = logits[ids[i] as number] as number;
        count++;
      }
    }
    if (count === 0) {
      const message = 'no token of the model can go on with what the grammar allows here';
      throw new LlmError('invalid-input', message, { name: 'grammar' });
    }
    logits.fill(-Infinity);
    for (let i = 0; i < ids.length; i++) logits[ids[i] as number] = values[i] as number;
    for (const [i, id] of stops.entries()) logits[id] = stopValues[i] as number;
  }

  /** Goes on behind a token. @returns false, and stays, where the grammar does not allow it */
  accept(bytes: ArrayLike<number>): boolean {
    let place: Place | null = this.#place;
    for (let i = 0; i < bytes.length && place; i++) place = this.#step(place, bytes[i] as number);
    if (!place) return false;
    this.#place = place;
    // Deep or long texts make ever new places: only the last matters.
    if (this.#places.size > MOST_PLACES) {
      this.#places.clear();
      this.#roots.clear();
      this.#reached.clear();
      this.#place = this.#placeOf(place.frames, place.isEnd);
    }
    return true;
  }

  #allowed(place: Place): Allowed {
    if (place.tokens) return place.tokens;
    const { byte, depth, skip, first, tokens } = this.#grammar.tree;
    const ids: number[] = [];
    const costs: number[] = [];
    let mostCost = 0;
    const path: Place[] = [place];
    for (let node = 0; node < byte.length;) {
      const level = depth[node] as number;
      const next = this.#step(path[level - 1] as Place, byte[node] as number);
      if (!next) {
        node = skip[node] as number;
        continue;
      }
      path[level] = next;
      for (let at = first[node] as number; at < (first[node + 1] as number); at++) {
        ids.push(tokens[at] as number);
        costs.push(next.cost);
        mostCost = Math.max(mostCost, next.cost);
      }
      node++;
    }
    place.tokens = { ids: Int32Array.from(ids), costs: Float64Array.from(costs), mostCost };
    this.#listed.push(place);
    if (this.#listed.length > MOST_LISTS) this.#listed.shift()!.tokens = undefined;
    return place.tokens;
  }

  #step(place: Place, byte: number): Place | null {
    const known = place.next[byte];
    if (known !== undefined) return known;
    const { states } = this.#grammar.network;
    const reached: Frame[] = [];
    for (const { state, parent } of place.frames) {
      for (const { low, high, to } of (states[state] as State).bytes) {
        if (byte >= low && byte <= high) reached.push(this.#frame(to, parent));
      }
    }
    return (place.next[byte] = reached.length === 0 ? null : this.#placeBehind(reached));
  }

  #placeBehind(reached: readonly Frame[]): Place {
    const key = reached.length === 1 ? (reached[0] as Frame).id : reached.map(({ id }) => id).join();
    let place = this.#reached.get(key);
    if (!place) this.#reached.set(key, (place = this.#placeOf(reached)));
    return place;
  }

  /** All that can be reached from frames without reading. */
  #placeOf(start: readonly Frame[], wasEnd = false): Place {
    const { states, rules } = this.#grammar.network;
    const found = new Set(start);
    let isEnd = wasEnd;
    for (const frame of found) {
      const { state, parent } = frame;
      if (this.#grammar.ends.has(state)) {
        if (parent) found.add(parent);
        else isEnd = true;
      }
      const { empty, calls } = states[state] as State;
      for (const to of empty) found.add(this.#frame(to, parent));
      for (const { rule, to } of calls) found.add(this.#frame(rules[rule]!.start, this.#frame(to, parent)));
    }
    const frames = [...found]
      .filter(({ state }) => (states[state] as State).bytes.length > 0)
      .sort((a, b) => a.id - b.id);
    const key = `${isEnd ? '!' : ''}${frames.map(({ id }) => id).join()}`;
    const known = this.#places.get(key);
    if (known) return known;
    const cost = isEnd ? 0 : frames.reduce((least, frame) => Math.min(least, frame.cost), Infinity);
    const place: Place = { frames, isEnd, cost, next: [], tokens: undefined };
    this.#places.set(key, place);
    return place;
  }

  /** The one frame of that state and parent. */
  #frame(state: number, parent: Frame | undefined): Frame {
    const siblings = parent ? parent.above : this.#roots;
    const known = siblings.get(state);
    if (known) return known;
    const cost = (this.#grammar.costs[state] as number) + (parent?.cost ?? 0);
    const frame: Frame = { state, parent, cost, id: this.#frames++, above: new Map() };
    siblings.set(state, frame);
    return frame;
  }
}

// Masks of a layer's searches by the length they were made at, so that a cache that is cut back finds the one that served before.
import type { BlockMask, MaskLayout } from '../block-mask.ts';

/** Searches that are remembered: enough to take back what failed or was only proposed, not a whole conversation's. */
const MOST = 8;

/** A search as {@link MaskHistory.entries} gives it, to be kept elsewhere. */
export interface RememberedSearch<Mask> {
  /** Tokens at the first call of this kind in a row. */
  readonly since: number;
  /** Tokens at the newest one. */
  readonly at: number;
  /** Whether one row searched: only its mask serves later rows. */
  readonly serves: boolean;
  readonly mask?: Mask | undefined;
}

interface Entry<Mask> extends RememberedSearch<Mask> {
  at: number;
  mask: Mask | undefined;
  /** The newest call's, whose mask this entry awaits or has; undefined once that call has been cut off. */
  ticket: object | undefined;
}

/**
 * The searches of one layer over one cache, newest last. A mask is a choice among the tokens that were there when it was made: it
 * serves later single rows of the same sequence, and none once these tokens are gone.
 *
 * @example
 * ```ts
 * import { MaskHistory, searchBlockMask } from '@hip/mask-search';
 * const shape = { batch: 1, queries: 1, keys: 100, heads: 1, kvHeads: 1, headDim: 2 };
 * const history = new MaskHistory();
 * const receive = history.search(100, 1);
 * receive(searchBlockMask(new Float32Array(2), new Float32Array(200), shape, { window: 64 }));
 * console.log(history.serving(103, 8)?.window); // => 67
 * history.truncate(99);
 * console.log(history.serving(100, 8)); // => undefined
 * ```
 */
export class MaskHistory<Mask extends Pick<MaskLayout, 'keys' | 'window'> = BlockMask> {
  readonly #entries: Entry<Mask>[] = [];
  readonly #forget: (mask: Mask) => void;

  /** @param forget is given masks that are no longer remembered, to free what they hold. @defaultValue nothing */
  constructor(forget: (mask: Mask) => void = () => {}) {
    this.#forget = forget;
  }

  /** The mask of the last call that {@link search} was told of; undefined where it left none, or was cut off. */
  get last(): Mask | undefined {
    return this.#entries.at(-1)?.mask;
  }

  /**
   * Notes a call of `rows` rows whose last one is token `keys − 1`. From now on no earlier mask serves.
   *
   * @returns takes the mask, now or once it has been read back; not called where the call was dense
   */
  search(keys: number, rows: number): (mask: Mask) => void {
    const serves = rows === 1;
    let entry = this.#entries.at(-1);
    if (entry && !entry.serves) this.#drop(entry);
    if (entry && !entry.serves && !serves) entry.at = keys;
    else {
      entry = { since: keys, at: keys, serves, mask: undefined, ticket: undefined };
      this.#entries.push(entry);
      if (this.#entries.length > MOST) this.#drop(this.#entries.shift()!);
    }
    const mine = entry;
    // Not the length: after a cut another call may have reached it again, with other tokens.
    const ticket = (mine.ticket = {});
    return (mask) => {
      if (mine.ticket === ticket && this.#entries.includes(mine)) mine.mask = mask;
      else this.#forget(mask);
    };
  }

  /**
   * The mask for a single row at token `keys − 1`: the last one, its window widened by the tokens since. Undefined where the row has to
   * search: `interval` tokens have gone, or the last call was of several rows.
   */
  serving(keys: number, interval: number): Mask | undefined {
    const last = this.#entries.at(-1);
    if (!last?.serves || !last.mask) return undefined;
    const age = keys - last.at;
    if (age < 0 || age >= interval) return undefined;
    return { ...last.mask, keys, window: last.mask.window + age };
  }

  /** Forgets what was searched with more than `length` tokens; the search before it serves again, if it is still remembered. */
  truncate(length: number): void {
    while (this.#entries.length > 0 && this.#entries.at(-1)!.since > length) this.#drop(this.#entries.pop()!);
    const last = this.#entries.at(-1);
    if (last && last.at > length) {
      last.at = length;
      last.ticket = undefined;
      this.#drop(last);
    }
  }

  /**
   * A history of its own that begins with the same searches: of a sequence that goes on in two ways. Both have the masks, so neither
   * frees them: this is of masks that hold nothing. Calls that still run are this history's alone.
   */
  fork(): MaskHistory<Mask> {
    const fork = new MaskHistory<Mask>();
    for (const entry of this.#entries) fork.#entries.push({ ...entry, ticket: undefined });
    return fork;
  }

  /** What is remembered, oldest first: {@link MaskHistory.of} goes on from it. */
  entries(): RememberedSearch<Mask>[] {
    return this.#entries.map(({ since, at, serves, mask }) => ({ since, at, serves, mask }));
  }

  /** A history that goes on from another's {@link entries}. As with {@link fork}, of masks that hold nothing. */
  static of<Mask extends Pick<MaskLayout, 'keys' | 'window'>>(
    entries: readonly RememberedSearch<Mask>[],
  ): MaskHistory<Mask> {
    const history = new MaskHistory<Mask>();
    for (const { since, at, serves, mask } of entries.slice(-MOST)) {
      history.#entries.push({ since, at, serves, mask, ticket: undefined });
    }
    return history;
  }

  #drop(entry: Entry<Mask>): void {
    if (entry.mask) this.#forget(entry.mask);
    entry.mask = undefined;
  }
}

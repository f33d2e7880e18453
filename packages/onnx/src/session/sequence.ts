// The keys and values of a batch of texts, all layers: grows by calls, is cut back when one fails, lives as long as a result of it does.
import type { LayerCache } from '../runtime/backend.ts';

/** How far each text of a batch had come, and where it has padding. */
interface Extent {
  /** Columns of the mask of padding. */
  readonly columns: number;
  /** Tokens of each text. */
  readonly tokens: readonly number[];
}

/** Caches of a batch. */
export class Sequence {
  readonly batch: number;
  /** By attention, by text. */
  readonly layers: LayerCache[][] = [];
  /** By text: 1 for each column that holds a token; undefined while there is no padding. */
  #valid: Uint8Array[] | undefined;
  #extent: Extent;
  /** Results that refer to it. */
  #holders = 0;
  #isDisposed = false;

  constructor(batch: number) {
    this.batch = batch;
    this.#extent = { columns: 0, tokens: Array.from({ length: batch }, () => 0) };
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Columns so far, padding included. */
  get columns(): number {
    return this.#extent.columns;
  }

  /** Tokens of each text. */
  get tokens(): readonly number[] {
    return this.#extent.tokens;
  }

  /** Bytes of all caches. */
  get bytes(): number {
    return this.layers.flat().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Tokens of a text among the first columns. */
  tokensIn(text: number, columns: number): number {
    const valid = this.#valid?.[text];
    return valid ? valid.subarray(0, columns).reduce((sum, each) => sum + each, 0) : columns;
  }

  /** Whether a column of a text holds a token. */
  isToken(text: number, column: number): boolean {
    return this.#valid ? this.#valid[text]![column] === 1 : true;
  }

  /** Counts what a call has appended. @param valid - by text, the call's columns; undefined: all are tokens */
  advance(columns: number, valid: readonly Uint8Array[] | undefined): void {
    const before = this.#extent;
    if (valid || this.#valid) {
      const all = this.#valid ?? before.tokens.map(() => new Uint8Array(before.columns).fill(1));
      this.#valid = all.map((own, text) => {
        const joined = new Uint8Array(before.columns + columns).fill(1);
        joined.set(own.subarray(0, before.columns));
        if (valid) joined.set(valid[text]!, before.columns);
        return joined;
      });
    }
    this.#extent = {
      columns: before.columns + columns,
      tokens: before.tokens.map((count, text) => count + (valid ? valid[text]!.reduce((a, b) => a + b, 0) : columns)),
    };
  }

  /** Takes back what a call that failed has appended to some layers. */
  restore(): void {
    for (const layer of this.layers) {
      layer.forEach((cache, text) => {
        const count = this.tokens[text]!;
        if (cache.length > count) cache.truncate(count);
      });
    }
  }

  /** A sequence of the first columns that goes on by itself. @throws HipError `out-of-memory` */
  fork(columns: number): Sequence {
    const fork = new Sequence(this.batch);
    const tokens = Array.from({ length: this.batch }, (_, text) => this.tokensIn(text, columns));
    try {
      for (const layer of this.layers) {
        const own: LayerCache[] = [];
        fork.layers.push(own);
        layer.forEach((cache, text) => own.push(cache.fork(tokens[text]!)));
      }
    } catch (error) {
      fork.dispose();
      throw error;
    }
    fork.#valid = this.#valid?.map((valid) => valid.slice(0, columns));
    fork.#extent = { columns, tokens };
    return fork;
  }

  hold(): void {
    this.#holders++;
  }

  /** One holder less; the last one frees the caches. */
  release(): void {
    if (--this.#holders === 0) this.dispose();
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const cache of this.layers.flat()) cache[Symbol.dispose]();
    this.layers.length = 0;
  }
}

// What a cache of a layer with a sliding window holds on to: pure.

/** Of a layer whose rows attend to their last keys only. */
export interface Sliding {
  /** Keys that a row sees, its own among them. */
  readonly window: number;
  /** Tokens that stay at least, `window` − 1 or more: what is beyond serves cuts. Infinity: all of them. */
  readonly keep: number;
}

/** First of `length` tokens that stays when others come. */
export function keptFrom(sliding: Sliding | undefined, length: number): number {
  return sliding ? Math.max(0, length - sliding.keep) : 0;
}

/** First token that the rows behind `length` tokens see. */
export function seenFrom({ window }: Pick<Sliding, 'window'>, length: number): number {
  return Math.max(0, length - window + 1);
}

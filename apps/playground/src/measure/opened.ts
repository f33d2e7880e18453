// A candidate that is ready to run, with what it computes where that is exact attention.
import type { Candidate } from './interleave.ts';

export interface Opened extends Candidate {
  /** The output for the inputs as they were given, [Tq, H, d]; called once, before any run. Of exact candidates. */
  readonly output?: () => Promise<Float32Array>;
}

/** Tokens of a run in decode: the default configuration's first stage serves for as many. */
export const CYCLE = 8;

// What a tactic is: a pure function from everything measured so far to the next round's candidates.
import type { Random } from '@instatune/nsga2';
import type { Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import type { Candidate, Trial } from '../study/trial.ts';
import type { WarmStart } from '../warm-start.ts';

/** What a tactic sees. Equal contexts must give equal proposals: that is what makes resuming and parallel runs exact. */
export interface ProposeContext {
  readonly space: Space;
  readonly round: number;
  /** How many candidates are wanted at most: a full round, of which a budget that ends sooner measures the first ones. */
  readonly limit: number;
  /** All trials of earlier rounds, in order, each done; of asynchronous proposals all that are done by now. */
  readonly trials: readonly Trial[];
  /**
   * Of asynchronous proposals: what was proposed and is not done, in order. Not to be proposed again, and as good as known to be there.
   * @defaultValue rounds: nothing is
   */
  readonly pending?: readonly Trial[] | undefined;
  /** Constraints as numbers; those relative to a baseline that is not measured yet are missing. */
  readonly bounds: readonly Bound[];
  /** Seeded by study and round. */
  readonly random: Random;
  readonly seed: number;
  readonly warm: WarmStart | undefined;
  /** Canonical genes that the caller wants measured first. */
  readonly given?: readonly (readonly number[])[] | undefined;
  /**
   * Share of the usual work that a proposal is to take, above 0: of asynchronous proposals, less than all where lanes would wait for it.
   * @defaultValue 1
   */
  readonly effort?: number | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface Proposal {
  /** Canonical, distinct, in no earlier trial. None at all ends the search (of asynchronous proposals: once nothing is pending). */
  readonly candidates: readonly Candidate[];
  /** Kept with the round in the study. */
  readonly info?: Readonly<Record<string, unknown>>;
}

/** A search tactic. `settings` is stored in the study, JSON, enough to build the tactic again. */
export interface Tactic {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Candidates a round, at most where `sizeAfter` says how many. */
  readonly population: number;
  /** Candidates of the round that follows so many trials of the study's own. @defaultValue always `population` */
  sizeAfter?(trials: number): number;
  /** Refuses a problem that it cannot work on, before anything is written. */
  check?(space: Space): void;
  propose(context: ProposeContext): Promise<Proposal> | Proposal;
}

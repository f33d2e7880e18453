// What a layer's last turns ran, so that a sequence that is cut back goes on as if they had never been: pure.
import type { ClockState } from './step-clock.ts';

/** Turns that are remembered: enough to take back what failed, not a whole conversation's. */
const MOST = 8;

/** A turn as it is kept elsewhere; infinite where a stage is left out. */
export interface SavedTurn {
  readonly length: number;
  readonly stage: number;
  readonly clock: ClockState;
  readonly after: number;
}

interface Turn extends SavedTurn {
  /** Tokens before the turn. */
  readonly length: number;
  /** First stage that it ran, and so wrote the output of, with all later ones; Infinity: none. */
  readonly stage: number;
  /** The clock before the turn. */
  readonly clock: ClockState;
  /** First stage that turns after this one ran which have been taken back. */
  after: number;
}

export class StepHistory {
  #turns: Turn[] = [];

  /** Notes a turn that begins: a step that runs stages from `stage` on, or one that runs none. */
  note(length: number, stage: number | undefined, clock: ClockState): void {
    this.#turns.push({ length, stage: stage ?? Infinity, clock, after: Infinity });
    if (this.#turns.length > MOST) this.#turns.shift();
  }

  /**
   * Forgets the turns that began with `length` tokens or more.
   *
   * @returns the clock before them; undefined where a search among them has replaced what that clock would let serve
   */
  truncate(length: number): ClockState | undefined {
    let first = this.#turns.length;
    while (first > 0 && this.#turns[first - 1]!.length >= length) first--;
    const taken = this.#turns.splice(first);
    const [turn, ...later] = taken;
    const replaced = Math.min(...later.map(({ stage }) => stage), ...taken.map(({ after }) => after));
    const before = this.#turns.at(-1);
    if (before) before.after = Math.min(before.after, replaced, turn?.stage ?? Infinity);
    return turn?.length === length && replaced >= turn.stage ? turn.clock : undefined;
  }

  /** What is remembered, oldest first. */
  get turns(): SavedTurn[] {
    return this.#turns.map((turn) => ({ ...turn }));
  }

  /** Goes on from other turns. */
  set(turns: readonly SavedTurn[]): void {
    this.#turns = turns.map((turn) => ({ ...turn }));
  }

  /** Goes on from another's turns. */
  follow(other: StepHistory): void {
    this.set(other.#turns);
  }
}

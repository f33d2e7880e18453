// How many tokens a draft proposes at a time: as many as pay by what drafting, checking and agreeing have cost and given so far. Pure.

/** Most tokens that are proposed: with the one before them as many rows as a search remembers steps. */
export const MOST_DRAFTED = 7;

/** Share that an older round has less than the one after it. */
const FADING = 0.9;
/** Rounds without a draft before the next try, at first and at most. */
const [FIRST_WAIT, MOST_WAIT] = [16, 256];
/** Tokens of a try. */
const TRY = 3;

/** What a round was. */
export interface DraftRound {
  readonly proposed: number;
  readonly accepted: number;
  readonly draftMs: number;
  /** Of the step that checked them; of a plain step where none were proposed. */
  readonly checkMs: number;
}

/** A mean that forgets. */
class Fading {
  #sum = 0;
  #weight = 0;

  add(value: number, weight = 1): void {
    this.#sum = this.#sum * FADING + value * weight;
    this.#weight = this.#weight * FADING + weight;
  }

  get mean(): number | undefined {
    return this.#weight > 0 ? this.#sum / this.#weight : undefined;
  }
}

export class DraftLength {
  readonly #fixed: number | undefined;
  readonly #plainMs = new Fading();
  readonly #rowMs = new Fading();
  readonly #draftMs = new Fading();
  readonly #agreement = new Fading();
  #without = 0;
  #wait = FIRST_WAIT;

  /** @param fixed - tokens to propose always */
  constructor(fixed?: number) {
    this.#fixed = fixed;
  }

  /** Tokens to propose next; 0: none. */
  next(): number {
    if (this.#fixed !== undefined) return this.#fixed;
    // A plain step first, which others are compared with; then a try.
    if (this.#plainMs.mean === undefined) return 0;
    if (this.#agreement.mean === undefined || this.#without >= this.#wait) return TRY;
    return this.#best();
  }

  note({ proposed, accepted, draftMs, checkMs }: DraftRound): void {
    if (proposed === 0) {
      this.#without++;
      this.#plainMs.add(checkMs);
      return;
    }
    const isTry = this.#without >= this.#wait;
    this.#without = 0;
    this.#draftMs.add(draftMs / proposed, proposed);
    this.#rowMs.add(Math.max(0, checkMs - (this.#plainMs.mean ?? checkMs / (proposed + 1))) / proposed, proposed);
    // Of those behind a refused one nothing is known.
    const looked = Math.min(proposed, accepted + 1);
    this.#agreement.add(accepted / looked, looked);
    if (isTry) this.#wait = this.#best() > 0 ? FIRST_WAIT : Math.min(MOST_WAIT, 2 * this.#wait);
  }

  /** The number that gives most tokens a millisecond (Leviathan, Kalman and Matias 2023, section 3.3). */
  #best(): number {
    const [plain = 1, row = 0, draft = 0] = [this.#plainMs.mean, this.#rowMs.mean, this.#draftMs.mean];
    const rate = Math.min(0.98, this.#agreement.mean ?? 0);
    let [best, speed] = [0, 0];
    let tokens = 0;
    for (let count = 0; count <= MOST_DRAFTED; count++) {
      tokens += rate ** count;
      const found = tokens / (plain + count * (row + draft));
      if (found > speed) [best, speed] = [count, found];
    }
    return best;
  }
}

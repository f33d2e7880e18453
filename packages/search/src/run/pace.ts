// When to propose, and how many: as lanes free up while the tactic thinks, something must wait for them.

/** Portions of a round that one lane proposes: the fewer a proposal has, the more it knows. */
const PORTIONS = 5;

/** How far ahead: proposing takes longer on some days, and trials end in bursts. */
const AHEAD = 1.5;

/** Most that waits, in lanes: what waits was proposed from what was known long ago. */
const MOST = 4;

/** How fast trials end and how long proposals take, as far as a process has seen. */
export class Pace {
  readonly #lanes: number;
  readonly #population: number;
  readonly #start = performance.now();
  /** Differs from that of other processes. */
  readonly salt = 1 + Math.floor(Math.random() * 2 ** 30);
  #finished = 0;
  #seconds = 0;

  constructor(lanes: number, population: number) {
    this.#lanes = lanes;
    this.#population = population;
  }

  finished(): void {
    this.#finished++;
  }

  /** The longer of the last proposals counts: they grow with the study. */
  proposed(seconds: number): void {
    this.#seconds = Math.max(seconds, 0.7 * this.#seconds);
  }

  /** Trials that end while a proposal is made. */
  get #meanwhile(): number {
    const elapsed = (performance.now() - this.#start) / 1000;
    return elapsed > 0 ? (this.#finished / elapsed) * this.#seconds : 0;
  }

  /** How many a proposal has: with one lane always as many, so that nothing depends on time. */
  get portion(): number {
    const least = Math.max(this.#lanes, Math.ceil(this.#population / PORTIONS));
    if (this.#lanes === 1) return least;
    return Math.min(MOST * least, Math.max(least, Math.ceil(AHEAD * this.#meanwhile)));
  }

  /** One lane alone proposes when nothing is pending; several, before what waits is used up. */
  isTime({ waiting, running, others }: { waiting: number; running: number; others: number }): boolean {
    if (this.#lanes === 1 && others === 0) return waiting === 0 && running === 0;
    const enough = Math.max(Math.ceil(this.#lanes / 2), Math.ceil(AHEAD * this.#meanwhile));
    return waiting < Math.min(MOST * this.#lanes, enough);
  }
}

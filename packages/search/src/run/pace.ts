// When to propose, how many, and with how much thought: as lanes free up while the tactic thinks, something must wait for them.

/** Portions of a round that one lane proposes: the fewer a proposal has, the more it knows. */
const PORTIONS = 5;

/** How far ahead: proposing takes longer on some days, and trials end in bursts. */
const AHEAD = 1.5;

/**
 * Candidates a proposal, in lanes, up to which a tactic takes its usual time. Where more end meanwhile, it thinks less: what waits was proposed
 * from what was known long ago, and candidates of one proposal do not know how the others turn out.
 */
const MANY = 4;

/** Most candidates a proposal, and most that wait, in lanes; above `MANY`, no more than half of what is known. */
const MOST = 16;

/** Least effort. Where not even that kept up, lanes wait: then nothing is worth doing badly. */
const LEAST_EFFORT = 1 / 8;

/** How fast trials end and how long proposals take, as far as a process has seen. */
export class Pace {
  readonly #lanes: number;
  readonly #population: number;
  readonly #now: () => number;
  readonly #start: number;
  /** Differs from that of other processes. */
  readonly salt = 1 + Math.floor(Math.random() * 2 ** 30);
  #finished = 0;
  #timed = 0;
  #trialSeconds = 0;
  /** Of a proposal at its full effort. */
  #seconds = 0;

  /** @param now seconds of a clock */
  constructor(lanes: number, population: number, now: () => number = () => performance.now() / 1000) {
    this.#lanes = lanes;
    this.#population = population;
    this.#now = now;
    this.#start = now();
  }

  /** @param milliseconds that the trial took, if it says so */
  finished(milliseconds: number | undefined): void {
    this.#finished++;
    if (milliseconds === undefined) return;
    this.#timed++;
    this.#trialSeconds += milliseconds / 1000;
  }

  /** The longer of the last proposals counts: they grow with the study. */
  proposed(seconds: number, effort: number): void {
    this.#seconds = Math.max(seconds / effort, 0.7 * this.#seconds);
  }

  /** Trials that end, or would if none had to wait, while a proposal is made. */
  get #meanwhile(): number {
    const elapsed = this.#now() - this.#start;
    const seen = elapsed > 0 ? this.#finished / elapsed : 0;
    const possible = this.#trialSeconds > 0 ? (this.#lanes * this.#timed) / this.#trialSeconds : 0;
    return Math.max(seen, possible) * this.#seconds;
  }

  /** Share of its usual work that a tactic is to do: 1, but where so many trials end meanwhile that lanes would wait. */
  get effort(): number {
    if (this.#lanes === 1) return 1;
    return this.#keepsUp ? Math.min(1, this.#wanted) : 1;
  }

  /** Effort at which as many end meanwhile as a proposal is to have. */
  get #wanted(): number {
    return (MANY * this.#lanes) / (AHEAD * this.#meanwhile);
  }

  get #keepsUp(): boolean {
    return this.#wanted >= LEAST_EFFORT;
  }

  /** How many a proposal has: with one lane always as many, so that nothing depends on time. */
  get portion(): number {
    const least = Math.max(this.#lanes, Math.ceil(this.#population / PORTIONS));
    if (this.#lanes === 1) return least;
    return Math.max(least, this.#enough);
  }

  /** One lane alone proposes when nothing is pending; several, before what waits is used up. */
  isTime({ waiting, running, others }: { waiting: number; running: number; others: number }): boolean {
    if (this.#lanes === 1 && others === 0) return waiting === 0 && running === 0;
    return waiting < Math.max(Math.ceil(this.#lanes / 2), this.#enough);
  }

  get #enough(): number {
    const few = MANY * this.#lanes;
    const most = this.#keepsUp ? Math.max(few, Math.min(MOST * this.#lanes, this.#finished / 2)) : few;
    return Math.ceil(Math.min(most, AHEAD * this.effort * this.#meanwhile));
  }
}

// When a session's steps search, and what the search knew: a clock that can be set back when a step fails.
import { RefreshClock, type HipConfig } from '@hip/mask-search';

/** Where a clock stands. */
export interface ClockState {
  readonly ticks: number;
  readonly searchedKeys: number;
  readonly searches: number;
}

export class StepClock {
  readonly #config: HipConfig;
  #clock: RefreshClock;
  /** Steps since the reset: they say where the clock stands. */
  #ticks = 0;
  #searchedKeys = 0;
  #searches = 0;

  constructor(config: HipConfig) {
    this.#config = config;
    this.#clock = new RefreshClock(config);
  }

  /** Searches that steps have made. */
  get searches(): number {
    return this.#searches;
  }

  /** Keys when the first stage ran last. */
  get searchedKeys(): number {
    return this.#searchedKeys;
  }

  /** Steps since the first stage ran. */
  get age(): number {
    return this.#clock.age;
  }

  /** Counts a step with `keys` keys. @returns the first stage that must run, undefined when none must */
  tick(keys: number): number | undefined {
    const stage = this.#clock.tick();
    this.#ticks++;
    if (stage !== undefined) this.#searches++;
    if (stage === 0) this.#searchedKeys = keys;
    return stage;
  }

  /** The next step runs all stages. */
  reset(): void {
    this.#clock.reset();
    this.#ticks = 0;
  }

  get state(): ClockState {
    return { ticks: this.#ticks, searchedKeys: this.#searchedKeys, searches: this.#searches };
  }

  /** Sets the clock to where it stood, or where another stands. */
  set({ ticks, searchedKeys, searches }: ClockState): void {
    this.#clock = new RefreshClock(this.#config);
    for (let i = 0; i < ticks; i++) this.#clock.tick();
    this.#ticks = ticks;
    this.#searchedKeys = searchedKeys;
    this.#searches = searches;
  }
}

// When a session's steps search, and what the search knew: a clock that can be set back when a step fails.
import { RefreshClock, type HipConfig } from '@hip/mask-search';

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

  /** Goes on from where another clock stands. */
  follow(other: StepClock): void {
    this.#set(other.#ticks, other.#searchedKeys, other.#searches);
  }

  /** What sets the clock back to now. */
  checkpoint(): () => void {
    const [ticks, searchedKeys, searches] = [this.#ticks, this.#searchedKeys, this.#searches];
    return () => this.#set(ticks, searchedKeys, searches);
  }

  #set(ticks: number, searchedKeys: number, searches: number): void {
    this.#clock = new RefreshClock(this.#config);
    for (let i = 0; i < ticks; i++) this.#clock.tick();
    this.#ticks = ticks;
    this.#searchedKeys = searchedKeys;
    this.#searches = searches;
  }
}

// The trials of a study in order of proposal: found by their genes, and those that are not done.
import { SearchError } from '../errors.ts';
import { isDone, type Candidate, type Trial } from './trial.ts';

export class TrialList {
  readonly #study: string;
  readonly #trials: Trial[] = [];
  readonly #byKey = new Map<string, number>();
  /** Numbers of trials that are not done, in order. */
  readonly #open = new Set<number>();

  /** @param study its name, for errors */
  constructor(study: string, trials: readonly Trial[] = []) {
    this.#study = study;
    this.add(trials);
  }

  get all(): readonly Trial[] {
    return this.#trials;
  }

  get open(): readonly Trial[] {
    return [...this.#open].map((number) => this.#trials[number]!);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  find(key: string): Trial | undefined {
    const number = this.#byKey.get(key);
    return number === undefined ? undefined : this.#trials[number];
  }

  /** @throws SearchError `invalid-option` on a number of no trial */
  at(number: number): Trial {
    const trial = this.#trials[number];
    if (!trial) {
      throw new SearchError(
        'invalid-option',
        `trial ${number} of study "${this.#study}": it has ${this.#trials.length}; give a number that propose() returned`,
        { trial: number, trials: this.#trials.length },
      );
    }
    return trial;
  }

  /**
   * A round's candidates as trials that wait, numbered on from the last; not added yet.
   *
   * @throws SearchError `invalid-genes` if a candidate is here already, or twice among them
   */
  waiting(
    round: number,
    candidates: readonly (Candidate & { readonly key: string; readonly seed: number })[],
  ): readonly Trial[] {
    const seen = new Set<string>();
    return candidates.map(({ genes, origin, key, seed }, index): Trial => {
      if (this.has(key) || seen.has(key)) {
        throw new SearchError(
          'invalid-genes',
          `candidate ${key} is already in study "${this.#study}": propose canonical, unseen genes`,
          { key },
        );
      }
      seen.add(key);
      return { number: this.#trials.length + index, round, origin, genes, key, seed, status: 'pending', attempts: 0 };
    });
  }

  /** Adds trials, or puts them in place of those with their numbers. */
  add(trials: readonly Trial[]): void {
    for (const trial of trials) {
      this.#byKey.set(trial.key, trial.number);
      this.#trials[trial.number] = trial;
      if (isDone(trial)) this.#open.delete(trial.number);
      else this.#open.add(trial.number);
    }
  }

  clear(): void {
    this.#trials.splice(0);
    this.#byKey.clear();
    this.#open.clear();
  }
}

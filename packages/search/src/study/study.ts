// A study: the header (space, objectives, tactic, seed) and its trials, in memory, written through to a journal.
import { SearchError } from '../errors.ts';
import type { Candidate, RoundInfo, Trial, TrialOutcome, TrialReport } from './trial.ts';

/** What identifies a study and lets another process go on with it. */
export interface StudyHeader {
  readonly name: string;
  /** Random, set at creation: names the study's jobs on a queue. */
  readonly uid: string;
  readonly problem: string;
  /** The search space and the objectives, as JSON-able data; two studies can be joined only where these agree. */
  readonly space: readonly unknown[];
  readonly objectives: readonly {
    readonly name: string;
    readonly direction: 'minimize' | 'maximize';
    readonly kind: 'measured' | 'exact';
    readonly unit?: string;
  }[];
  readonly fingerprint: string;
  readonly tactic: string;
  /** The tactic's options, constraints and budget, as JSON: what `resume` runs with. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seed: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** Where a study's changes are made durable. Every call returns only after its change is safe. */
export interface StudyJournal {
  addTrials(trials: readonly Trial[], round: RoundInfo | undefined): void;
  updateTrial(trial: Trial): void;
  setReference(reference: readonly number[]): void;
  setSettings(settings: Readonly<Record<string, unknown>>): void;
  addReport(report: TrialReport): void;
  close(): void;
}

const MEMORY: StudyJournal = {
  addTrials() {},
  updateTrial() {},
  setReference() {},
  setSettings() {},
  addReport() {},
  close() {},
};

/** Everything a journal gave back. */
export interface StudyContents {
  readonly trials: readonly Trial[];
  readonly rounds: readonly RoundInfo[];
  readonly reports: readonly TrialReport[];
  readonly reference: readonly number[] | undefined;
}

/**
 * The trials of one search. Without a journal it lives in memory; `openStudy` gives one that lives in a SQLite file.
 * Not shared between processes: a file's study has one writer at a time (`study-busy`).
 */
export class Study implements Disposable {
  #header: StudyHeader;
  readonly #journal: StudyJournal;
  readonly #trials: Trial[];
  readonly #rounds: RoundInfo[];
  readonly #reports: TrialReport[];
  readonly #byKey: Map<string, number>;
  #reference: readonly number[] | undefined;
  #closed = false;

  constructor(header: StudyHeader, journal: StudyJournal = MEMORY, contents?: StudyContents) {
    this.#header = header;
    this.#journal = journal;
    this.#trials = [...(contents?.trials ?? [])];
    this.#rounds = [...(contents?.rounds ?? [])];
    this.#reports = [...(contents?.reports ?? [])];
    this.#reference = contents?.reference;
    this.#byKey = new Map(this.#trials.map((trial) => [trial.key, trial.number]));
  }

  get header(): StudyHeader {
    return this.#header;
  }

  /** All trials in order of proposal. */
  get trials(): readonly Trial[] {
    return this.#trials;
  }

  get rounds(): readonly RoundInfo[] {
    return this.#rounds;
  }

  get reports(): readonly TrialReport[] {
    return this.#reports;
  }

  /** Hypervolume reference, minimised objectives in order; set once, after the first round. */
  get reference(): readonly number[] | undefined {
    return this.#reference;
  }

  /** The trial with these canonical genes, if any. */
  find(key: string): Trial | undefined {
    const number = this.#byKey.get(key);
    return number === undefined ? undefined : this.#trials[number];
  }

  /**
   * Records a round's candidates as pending trials, all or none.
   *
   * @throws SearchError `invalid-genes` if a candidate is already in the study
   */
  propose(
    round: number,
    candidates: readonly (Candidate & { readonly key: string; readonly seed: number })[],
    info?: Readonly<Record<string, unknown>>,
  ): readonly Trial[] {
    const seen = new Set<string>();
    const trials = candidates.map(({ genes, origin, key, seed }, index): Trial => {
      if (this.#byKey.has(key) || seen.has(key)) {
        throw new SearchError(
          'invalid-genes',
          `candidate ${key} is already in study "${this.header.name}": propose canonical, unseen genes`,
          { key },
        );
      }
      seen.add(key);
      return { number: this.#trials.length + index, round, origin, genes, key, seed, status: 'pending', attempts: 0 };
    });
    const roundInfo = info && { round, info };
    this.#journal.addTrials(trials, roundInfo);
    for (const trial of trials) this.#byKey.set(trial.key, trial.number);
    this.#trials.push(...trials);
    if (roundInfo) this.#rounds.push(roundInfo);
    return trials;
  }

  /**
   * Records trials that are done already, the first of the study: what was known before it began.
   *
   * @throws SearchError `invalid-option` if the study has trials
   */
  know(trials: readonly Trial[]): void {
    if (this.#trials.length > 0)
      throw new SearchError('invalid-option', `study "${this.header.name}" has begun: measurements come first`, {
        trials: this.#trials.length,
      });
    this.#journal.addTrials(trials, undefined);
    for (const trial of trials) this.#byKey.set(trial.key, trial.number);
    this.#trials.push(...trials);
  }

  /**
   * Marks a trial as being measured and counts the attempt, so that one that ends this process is known to have been tried.
   *
   * @throws SearchError `invalid-option` (as below, too) on a number of no trial
   */
  start(number: number, startedAt: number): void {
    this.#update(number, { status: 'running', startedAt, attempts: this.#trial(number).attempts + 1 });
  }

  /** Puts a started trial back (the search was aborted): that was no attempt. */
  release(number: number): void {
    const { startedAt: _, ...trial } = this.#trial(number);
    this.#store({ ...trial, status: 'pending', attempts: this.#earlier(number) });
  }

  /** @param outcome its `attempts` are those since {@link start} */
  complete(number: number, outcome: TrialOutcome): Trial {
    return this.#update(number, {
      ...outcome,
      attempts: this.#earlier(number) + outcome.attempts,
      status: 'complete',
      finishedAt: outcome.startedAt + outcome.durationMs,
    });
  }

  fail(
    number: number,
    error: string,
    attempts: number,
    where?: { readonly host: string; readonly worker: string },
  ): Trial {
    return this.#update(number, {
      status: 'failed',
      error,
      attempts: this.#earlier(number) + attempts,
      finishedAt: Date.now(),
      ...where,
    });
  }

  setReference(reference: readonly number[]): void {
    this.#journal.setReference(reference);
    this.#reference = [...reference];
  }

  /** Changes what `resume` runs with, e.g. a larger budget. */
  setSettings(settings: Readonly<Record<string, unknown>>): void {
    this.#journal.setSettings(settings);
    this.#header = { ...this.#header, settings };
  }

  addReport(report: TrialReport): void {
    this.#journal.addReport(report);
    const old = this.#reports.findIndex((r) => r.number === report.number && r.split === report.split);
    if (old < 0) this.#reports.push(report);
    else this.#reports[old] = report;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#journal.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #trial(number: number): Trial {
    const trial = this.#trials[number];
    if (!trial) {
      throw new SearchError(
        'invalid-option',
        `trial ${number} of study "${this.header.name}": it has ${this.#trials.length}; give a number that propose() returned`,
        { trial: number, trials: this.#trials.length },
      );
    }
    return trial;
  }

  /** Attempts before the one that runs. */
  #earlier(number: number): number {
    const { attempts, status } = this.#trial(number);
    return status === 'running' ? attempts - 1 : attempts;
  }

  #update(number: number, change: Partial<Trial>): Trial {
    return this.#store({ ...this.#trial(number), ...change });
  }

  #store(trial: Trial): Trial {
    this.#journal.updateTrial(trial);
    this.#trials[trial.number] = trial;
    return trial;
  }
}

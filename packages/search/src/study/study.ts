// A study: the header (space, objectives, tactic, seed) and its trials, in memory, written through to a journal.
import { SearchError } from '../errors.ts';
import type { StudyHeader } from './header.ts';
import { Handing } from './handing.ts';
import { StudyRecord } from './record.ts';
import { MEMORY, type StudyContents, type StudyJournal } from './storage.ts';
import type { Candidate, IntermediateValues, RoundInfo, Trial, TrialOutcome, TrialReport } from './trial.ts';
import type { TrialList } from './trial-list.ts';

/**
 * The trials of one search. Without a journal it lives in memory; `openStudy` gives one that lives in a SQLite file.
 *
 * A file's study of rounds has one writer at a time (`study-busy`). One with asynchronous proposals is shared: every process that opens it
 * sees what the others wrote before each change of its own, and a trial is handed out with a lease (Gray and Cheriton 1989) whose number is
 * a fencing token: what a process says of a trial that it has lost is refused (`lease-lost`).
 */
export class Study implements Disposable {
  readonly #record: StudyRecord;
  readonly #handing: Handing;

  constructor(header: StudyHeader, journal: StudyJournal = MEMORY, contents?: StudyContents) {
    this.#record = new StudyRecord(header, journal, contents);
    this.#handing = new Handing(this.#record);
  }

  /** Whether other processes may write it, too. */
  get isShared(): boolean {
    return this.#record.sharing !== undefined;
  }

  /** Trials that wait or run, in order. */
  get open(): readonly Trial[] {
    return this.#list.open;
  }

  get header(): StudyHeader {
    return this.#record.header;
  }

  /** All trials in order of proposal. */
  get trials(): readonly Trial[] {
    return this.#list.all;
  }

  get rounds(): readonly RoundInfo[] {
    return this.#record.rounds;
  }

  get reports(): readonly TrialReport[] {
    return this.#record.reports;
  }

  /** Hypervolume reference, minimised objectives in order; set once, after the first round. */
  get reference(): readonly number[] | undefined {
    return this.#record.reference;
  }

  /** The trial with these canonical genes, if any. */
  find(key: string): Trial | undefined {
    return this.#list.find(key);
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
    const trials = this.#list.waiting(round, candidates);
    this.#record.addTrials(trials, info && { round, info });
    return trials;
  }

  /**
   * Records a further round of candidates, as several proposers do: those that the study has already are left out, and so is what `room`
   * leaves no place for.
   *
   * @param room how many there may be, by the study as it is then
   * @param seedOf the seed of the trial with a number
   * @returns the trials that were added; none where nothing was new
   */
  extend(
    candidates: readonly (Candidate & { readonly key: string })[],
    {
      room,
      seedOf,
      info,
    }: {
      readonly room: (study: Study) => number;
      readonly seedOf: (number: number) => number;
      readonly info?: Readonly<Record<string, unknown>> | undefined;
    },
  ): readonly Trial[] {
    return this.#record.exclusively(() => {
      const fresh = new Map(candidates.filter(({ key }) => !this.#list.has(key)).map((one) => [one.key, one]));
      const chosen = [...fresh.values()].slice(0, Math.max(0, room(this)));
      if (chosen.length === 0) return [];
      const began = this.trials.length === 0 || this.rounds.length === 0;
      const round = began ? 0 : this.trials.at(-1)!.round + 1;
      return this.propose(
        round,
        chosen.map((one, index) => ({ ...one, seed: seedOf(this.trials.length + index) })),
        { ...info, proposed: chosen.length },
      );
    });
  }

  /**
   * Hands out the first waiting trial that `choose` takes: it runs then, and its attempt is counted. Whoever gets it says how it ended, with
   * {@link complete}, {@link fail}, {@link stop} or {@link release}.
   */
  take(startedAt: number, choose: (trial: Trial) => boolean = () => true): Trial | undefined {
    return this.#handing.take(startedAt, choose);
  }

  /** Takes in what other processes wrote. @returns the trials that changed */
  refresh(): readonly Trial[] {
    return this.#record.refresh();
  }

  /** Puts back the trials of processes that are gone, or silent for longer than a lease. @returns how many there were */
  reclaim(): number {
    return this.#handing.reclaim();
  }

  /** Whether other processes measure trials of this study now. */
  get isAccompanied(): boolean {
    return this.#record.sharing?.accompanied() ?? false;
  }

  /**
   * Records trials that are done already, the first of the study: what was known before it began.
   *
   * @throws SearchError `invalid-option` if the study has trials
   */
  know(trials: readonly Trial[]): void {
    if (this.trials.length > 0)
      throw new SearchError('invalid-option', `study "${this.header.name}" has begun: measurements come first`, {
        trials: this.trials.length,
      });
    this.#record.exclusively(() => this.#record.addTrials(trials));
  }

  /**
   * Marks a trial as being measured and counts the attempt, so that one that ends this process is known to have been tried.
   *
   * @throws SearchError `invalid-option` (as below, too) on a number of no trial
   */
  start(number: number, startedAt: number): void {
    this.#update(number, { status: 'running', startedAt, attempts: this.#list.at(number).attempts + 1 });
  }

  /** Puts a started trial back (the search was aborted): that was no attempt. @throws SearchError as {@link complete} */
  release(number: number): void {
    this.#handing.ended(number, () => {
      const { startedAt: _, ...trial } = this.#list.at(number);
      return this.#record.update({ ...trial, status: 'pending', attempts: this.#earlier(number) });
    });
  }

  /**
   * @param outcome its `attempts` are those since {@link start}
   * @throws SearchError `lease-lost` where the study is shared and the trial is another process's by now
   */
  complete(number: number, outcome: TrialOutcome): Trial {
    return this.#measured(number, 'complete', outcome);
  }

  /** Ends a trial early, with what it has reported. @throws SearchError as {@link complete} */
  stop(number: number, outcome: Omit<TrialOutcome, 'values'>): Trial {
    return this.#measured(number, 'stopped', outcome);
  }

  /**
   * Keeps what a running trial reported; a step that was reported before (by an attempt that ended) is replaced.
   *
   * @throws SearchError as {@link complete}
   */
  report(number: number, report: IntermediateValues): void {
    this.#handing.held(number, () => this.#record.addIntermediate(number, report));
  }

  fail(
    number: number,
    error: string,
    attempts: number,
    where?: { readonly host: string; readonly worker: string },
  ): Trial {
    return this.#handing.ended(number, () =>
      this.#update(number, {
        status: 'failed',
        error,
        attempts: this.#earlier(number) + attempts,
        finishedAt: Date.now(),
        ...where,
      }),
    );
  }

  setReference(reference: readonly number[]): void {
    this.#record.setReference(reference);
  }

  /** Changes what `resume` runs with, e.g. a larger budget. */
  setSettings(settings: Readonly<Record<string, unknown>>): void {
    this.#record.setSettings(settings);
  }

  addReport(report: TrialReport): void {
    this.#record.addReport(report);
  }

  close(): void {
    this.#record.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #list(): TrialList {
    return this.#record.trials;
  }

  /** Attempts before the one that runs. */
  #earlier(number: number): number {
    const { attempts, status } = this.#list.at(number);
    return status === 'running' ? attempts - 1 : attempts;
  }

  #measured(number: number, status: 'complete' | 'stopped', outcome: Omit<TrialOutcome, 'values'>): Trial {
    const { startedAt, durationMs } = outcome;
    return this.#handing.ended(number, () =>
      this.#update(number, {
        ...outcome,
        attempts: this.#earlier(number) + outcome.attempts,
        status,
        finishedAt: startedAt + durationMs,
      }),
    );
  }

  #update(number: number, change: Partial<Trial>): Trial {
    return this.#record.update({ ...this.#list.at(number), ...change });
  }
}

// A study: the header (space, objectives, tactic, seed) and its trials, in memory, written through to a journal.
import { SearchError } from '../errors.ts';
import type { StudyHeader } from './header.ts';
import { Leases } from './leases.ts';
import { MEMORY, type StudyChanges, type StudyContents, type StudyJournal } from './storage.ts';
import type { Candidate, IntermediateValues, RoundInfo, Trial, TrialOutcome, TrialReport } from './trial.ts';
import { TrialList } from './trial-list.ts';

/**
 * The trials of one search. Without a journal it lives in memory; `openStudy` gives one that lives in a SQLite file.
 *
 * A file's study of rounds has one writer at a time (`study-busy`). One with asynchronous proposals is shared: every process that opens it
 * sees what the others wrote before each change of its own, and a trial is handed out with a lease (Gray and Cheriton 1989) whose number is
 * a fencing token: what a process says of a trial that it has lost is refused (`lease-lost`).
 */
export class Study implements Disposable {
  #header: StudyHeader;
  readonly #journal: StudyJournal;
  readonly #list: TrialList;
  readonly #leases = new Leases();
  readonly #rounds: RoundInfo[];
  readonly #reports: TrialReport[];
  /** Numbers of trials that others changed, since they were last asked for. */
  readonly #news: number[] = [];
  #reference: readonly number[] | undefined;
  #closed = false;

  constructor(header: StudyHeader, journal: StudyJournal = MEMORY, contents?: StudyContents) {
    this.#header = header;
    this.#journal = journal;
    this.#list = new TrialList(header.name, contents?.trials);
    this.#rounds = [...(contents?.rounds ?? [])];
    this.#reports = [...(contents?.reports ?? [])];
    this.#reference = contents?.reference;
  }

  /** Whether other processes may write it, too. */
  get isShared(): boolean {
    return this.#journal.sharing !== undefined;
  }

  /** Trials that wait or run, in order. */
  get open(): readonly Trial[] {
    return this.#list.open;
  }

  get header(): StudyHeader {
    return this.#header;
  }

  /** All trials in order of proposal. */
  get trials(): readonly Trial[] {
    return this.#list.all;
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
    const seen = new Set<string>();
    const trials = candidates.map(({ genes, origin, key, seed }, index): Trial => {
      if (this.#list.has(key) || seen.has(key)) {
        throw new SearchError(
          'invalid-genes',
          `candidate ${key} is already in study "${this.header.name}": propose canonical, unseen genes`,
          { key },
        );
      }
      seen.add(key);
      return { number: this.trials.length + index, round, origin, genes, key, seed, status: 'pending', attempts: 0 };
    });
    const roundInfo = info && { round, info };
    this.#journal.addTrials(trials, roundInfo);
    this.#list.add(trials);
    if (roundInfo) this.#rounds.push(roundInfo);
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
    return this.#exclusively(() => {
      const fresh = new Map(candidates.filter(({ key }) => !this.#list.has(key)).map((one) => [one.key, one]));
      const chosen = [...fresh.values()].slice(0, Math.max(0, room(this)));
      if (chosen.length === 0) return [];
      const began = this.trials.length === 0 || this.#rounds.length === 0;
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
    const isWaiting = (trial: Trial): boolean => trial.status === 'pending' && choose(trial);
    if (!this.open.some(isWaiting)) return undefined;
    return this.#exclusively(() => {
      const trial = this.open.find(isWaiting);
      if (!trial) return undefined;
      const lease = Leases.next(trial);
      const { finishedAt: _, ...rest } = trial;
      const taken = this.#store({ ...rest, status: 'running', startedAt, attempts: trial.attempts + 1, lease });
      this.#leases.hold(trial.number, lease);
      return taken;
    });
  }

  /** Takes in what other processes wrote. @returns the trials that changed */
  refresh(): readonly Trial[] {
    this.#takeIn(this.#journal.sharing?.changes());
    return this.#news.splice(0).map((number) => this.trials[number]!);
  }

  /** Puts back the trials of processes that are gone, or silent for longer than a lease. @returns how many there were */
  reclaim(): number {
    const { sharing } = this.#journal;
    if (!sharing || sharing.abandoned().length === 0) return 0;
    return this.#exclusively(() => {
      const numbers = sharing.abandoned().filter((number) => this.trials[number]?.status === 'running');
      for (const number of numbers) {
        const { startedAt: _, ...trial } = this.#list.at(number);
        this.#leases.drop(number);
        this.#store({ ...trial, status: 'pending' });
      }
      return numbers.length;
    });
  }

  /** Whether other processes measure trials of this study now. */
  get isAccompanied(): boolean {
    return this.#journal.sharing?.accompanied() ?? false;
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
    this.#exclusively(() => {
      this.#journal.addTrials(trials, undefined);
      this.#list.add(trials);
    });
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
    this.#ending(number, () => {
      const { startedAt: _, ...trial } = this.#list.at(number);
      return this.#store({ ...trial, status: 'pending', attempts: this.#earlier(number) });
    });
  }

  /**
   * @param outcome its `attempts` are those since {@link start}
   * @throws SearchError `lease-lost` where the study is shared and the trial is another process's by now
   */
  complete(number: number, outcome: TrialOutcome): Trial {
    return this.#ending(number, () =>
      this.#update(number, {
        ...outcome,
        attempts: this.#earlier(number) + outcome.attempts,
        status: 'complete',
        finishedAt: outcome.startedAt + outcome.durationMs,
      }),
    );
  }

  /** Ends a trial early, with what it has reported. @throws SearchError as {@link complete} */
  stop(number: number, outcome: Omit<TrialOutcome, 'values'>): Trial {
    return this.#ending(number, () =>
      this.#update(number, {
        ...outcome,
        attempts: this.#earlier(number) + outcome.attempts,
        status: 'stopped',
        finishedAt: outcome.startedAt + outcome.durationMs,
      }),
    );
  }

  /**
   * Keeps what a running trial reported; a step that was reported before (by an attempt that ended) is replaced.
   *
   * @throws SearchError as {@link complete}
   */
  report(number: number, report: IntermediateValues): void {
    this.#list.at(number);
    this.#exclusively(() => {
      this.#checkHeld(number);
      this.#journal.addIntermediate(number, report);
      const trial = this.#list.at(number);
      const others = (trial.intermediate ?? []).filter(({ step }) => step !== report.step);
      const intermediate = [...others, report].sort((a, b) => a.step - b.step);
      this.#list.add([{ ...trial, intermediate }]);
    });
  }

  fail(
    number: number,
    error: string,
    attempts: number,
    where?: { readonly host: string; readonly worker: string },
  ): Trial {
    return this.#ending(number, () =>
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
    this.#exclusively(() => this.#journal.setReference(reference));
    this.#reference = [...reference];
  }

  /** Changes what `resume` runs with, e.g. a larger budget. */
  setSettings(settings: Readonly<Record<string, unknown>>): void {
    this.#exclusively(() => this.#journal.setSettings(settings));
    this.#header = { ...this.#header, settings };
  }

  addReport(report: TrialReport): void {
    this.#exclusively(() => this.#journal.addReport(report));
    this.#keepReport(report);
  }

  #keepReport(report: TrialReport): void {
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

  /** Attempts before the one that runs. */
  #earlier(number: number): number {
    const { attempts, status } = this.#list.at(number);
    return status === 'running' ? attempts - 1 : attempts;
  }

  #update(number: number, change: Partial<Trial>): Trial {
    return this.#store({ ...this.#list.at(number), ...change });
  }

  #store(trial: Trial): Trial {
    this.#journal.updateTrial(trial);
    this.#list.add([trial]);
    return trial;
  }

  /** A change of a shared study, made on what the study is at that moment; of others, a change. */
  #exclusively<T>(change: () => T): T {
    const { sharing } = this.#journal;
    if (!sharing) return change();
    return sharing.exclusively(() => {
      this.#takeIn(sharing.changes());
      return change();
    });
  }

  /** A trial's end, said by whoever holds it. */
  #ending(number: number, end: () => Trial): Trial {
    this.#list.at(number);
    const ended = this.#exclusively(() => {
      this.#checkHeld(number);
      return end();
    });
    this.#leases.drop(number);
    return ended;
  }

  #checkHeld(number: number): void {
    if (this.isShared) this.#leases.check(this.#list.at(number), this.header.name);
  }

  #takeIn(changes: StudyChanges | undefined): void {
    if (!changes) return;
    const { whole, trials, rounds, reports, reference, settings } = changes;
    if (whole) {
      this.#list.clear();
      this.#rounds.splice(0);
      this.#reports.splice(0);
    }
    this.#list.add(trials);
    this.#rounds.push(...rounds);
    for (const report of reports) this.#keepReport(report);
    this.#reference = reference ?? this.#reference;
    this.#header = { ...this.#header, settings };
    this.#news.push(...trials.map(({ number }) => number));
  }
}

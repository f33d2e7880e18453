// A study: the header (space, objectives, tactic, seed) and its trials, in memory, written through to a journal.
import { SearchError } from '../errors.ts';
import {
  isDone,
  type Candidate,
  type IntermediateValues,
  type RoundInfo,
  type Trial,
  type TrialOutcome,
  type TrialReport,
} from './trial.ts';

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
  addIntermediate(number: number, values: IntermediateValues): void;
  /** Where several processes write. */
  readonly sharing?: StudySharing | undefined;
  close(): void;
}

/** How a study's processes keep out of each other's way, and hear of each other. */
export interface StudySharing {
  /** Runs a change while no other process writes: all of it becomes durable, or none. */
  exclusively<T>(change: () => T): T;
  /** What others wrote since the last call; undefined where nothing did. */
  changes(): StudyChanges | undefined;
  /** Numbers of running trials whose process is gone or gave no sign of life for a lease's time. */
  abandoned(): readonly number[];
  /** Whether another process has a trial of this study now. */
  accompanied(): boolean;
}

/** What changed in a study; `whole` where it is all of it. */
export interface StudyChanges extends StudyContents {
  readonly whole: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
}

const MEMORY: StudyJournal = {
  addTrials() {},
  addIntermediate() {},
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
 *
 * A file's study of rounds has one writer at a time (`study-busy`). One with asynchronous proposals is shared: every process that opens it
 * sees what the others wrote before each change of its own, and a trial is handed out with a lease (Gray and Cheriton 1989) whose number is
 * a fencing token: what a process says of a trial that it has lost is refused (`lease-lost`).
 */
export class Study implements Disposable {
  #header: StudyHeader;
  readonly #journal: StudyJournal;
  readonly #trials: Trial[];
  readonly #rounds: RoundInfo[];
  readonly #reports: TrialReport[];
  readonly #byKey: Map<string, number>;
  /** Numbers of trials that are not done, in order. */
  readonly #open: Set<number>;
  /** Leases of this opening, by trial. */
  readonly #held = new Map<number, number>();
  /** Numbers of trials that others changed, since they were last asked for. */
  readonly #news: number[] = [];
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
    this.#open = new Set(this.#trials.filter((trial) => !isDone(trial)).map(({ number }) => number));
  }

  /** Whether other processes may write it, too. */
  get isShared(): boolean {
    return this.#journal.sharing !== undefined;
  }

  /** Trials that wait or run, in order. */
  get open(): readonly Trial[] {
    return [...this.#open].map((number) => this.#trials[number]!);
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
    this.#add(trials);
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
      const fresh = new Map(candidates.filter(({ key }) => !this.#byKey.has(key)).map((one) => [one.key, one]));
      const chosen = [...fresh.values()].slice(0, Math.max(0, room(this)));
      if (chosen.length === 0) return [];
      const began = this.#trials.length === 0 || this.#rounds.length === 0;
      const round = began ? 0 : this.#trials.at(-1)!.round + 1;
      return this.propose(
        round,
        chosen.map((one, index) => ({ ...one, seed: seedOf(this.#trials.length + index) })),
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
      const lease = (trial.lease ?? 0) + 1;
      const { finishedAt: _, ...rest } = trial;
      const taken = this.#store({ ...rest, status: 'running', startedAt, attempts: trial.attempts + 1, lease });
      this.#held.set(trial.number, lease);
      return taken;
    });
  }

  /** Takes in what other processes wrote. @returns the trials that changed */
  refresh(): readonly Trial[] {
    this.#takeIn(this.#journal.sharing?.changes());
    return this.#news.splice(0).map((number) => this.#trials[number]!);
  }

  /** Puts back the trials of processes that are gone, or silent for longer than a lease. @returns how many there were */
  reclaim(): number {
    const { sharing } = this.#journal;
    if (!sharing || sharing.abandoned().length === 0) return 0;
    return this.#exclusively(() => {
      const numbers = sharing.abandoned().filter((number) => this.#trials[number]?.status === 'running');
      for (const number of numbers) {
        const { startedAt: _, ...trial } = this.#trial(number);
        this.#held.delete(number);
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
    if (this.#trials.length > 0)
      throw new SearchError('invalid-option', `study "${this.header.name}" has begun: measurements come first`, {
        trials: this.#trials.length,
      });
    this.#exclusively(() => {
      this.#journal.addTrials(trials, undefined);
      this.#add(trials);
    });
  }

  /**
   * Marks a trial as being measured and counts the attempt, so that one that ends this process is known to have been tried.
   *
   * @throws SearchError `invalid-option` (as below, too) on a number of no trial
   */
  start(number: number, startedAt: number): void {
    this.#update(number, { status: 'running', startedAt, attempts: this.#trial(number).attempts + 1 });
  }

  /** Puts a started trial back (the search was aborted): that was no attempt. @throws SearchError as {@link complete} */
  release(number: number): void {
    this.#ending(number, () => {
      const { startedAt: _, ...trial } = this.#trial(number);
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
    this.#trial(number);
    this.#exclusively(() => {
      this.#checkHeld(number);
      this.#journal.addIntermediate(number, report);
      const trial = this.#trial(number);
      const others = (trial.intermediate ?? []).filter(({ step }) => step !== report.step);
      const intermediate = [...others, report].sort((a, b) => a.step - b.step);
      this.#trials[number] = { ...trial, intermediate };
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
    this.#keep(trial);
    return trial;
  }

  #keep(trial: Trial): void {
    this.#trials[trial.number] = trial;
    if (isDone(trial)) this.#open.delete(trial.number);
    else this.#open.add(trial.number);
  }

  #add(trials: readonly Trial[]): void {
    for (const trial of trials) {
      this.#byKey.set(trial.key, trial.number);
      this.#keep(trial);
    }
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
    this.#trial(number);
    const ended = this.#exclusively(() => {
      this.#checkHeld(number);
      return end();
    });
    this.#held.delete(number);
    return ended;
  }

  #checkHeld(number: number): void {
    if (!this.isShared) return;
    const { status, lease } = this.#trial(number);
    if (status === 'running' && lease !== undefined && this.#held.get(number) === lease) return;
    this.#held.delete(number);
    throw new SearchError(
      'lease-lost',
      `trial ${number} of study "${this.header.name}" is not this process's any more (it gave no sign of life for longer than its lease): its result is not kept, another process measures it`,
      { trial: number, status, lease },
    );
  }

  #takeIn(changes: StudyChanges | undefined): void {
    if (!changes) return;
    const { whole, trials, rounds, reports, reference, settings } = changes;
    if (whole) {
      this.#trials.splice(0);
      this.#rounds.splice(0);
      this.#reports.splice(0);
      this.#byKey.clear();
      this.#open.clear();
    }
    this.#add(trials);
    this.#rounds.push(...rounds);
    for (const report of reports) this.#keepReport(report);
    this.#reference = reference ?? this.#reference;
    this.#header = { ...this.#header, settings };
    this.#news.push(...trials.map(({ number }) => number));
  }
}

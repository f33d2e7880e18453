// What a study holds, in memory, and the journal it is written through to.
import type { StudyHeader } from './header.ts';
import type { StudyChanges, StudyContents, StudyJournal } from './storage.ts';
import { TrialList } from './trial-list.ts';
import type { IntermediateValues, RoundInfo, Trial, TrialReport } from './trial.ts';

/** Every change is in the journal before it is here: what the journal refuses has not happened. */
export class StudyRecord {
  readonly trials: TrialList;
  readonly rounds: RoundInfo[];
  readonly reports: TrialReport[];
  readonly #journal: StudyJournal;
  #header: StudyHeader;
  #reference: readonly number[] | undefined;
  /** Numbers of trials that others changed, since they were last asked for. */
  readonly #news: number[] = [];
  #closed = false;

  constructor(header: StudyHeader, journal: StudyJournal, contents: StudyContents | undefined) {
    this.#header = header;
    this.#journal = journal;
    this.trials = new TrialList(header.name, contents?.trials);
    this.rounds = [...(contents?.rounds ?? [])];
    this.reports = [...(contents?.reports ?? [])];
    this.#reference = contents?.reference;
  }

  get header(): StudyHeader {
    return this.#header;
  }

  get reference(): readonly number[] | undefined {
    return this.#reference;
  }

  /** Where other processes write, too. */
  get sharing(): StudyJournal['sharing'] {
    return this.#journal.sharing;
  }

  addTrials(trials: readonly Trial[], round?: RoundInfo): void {
    this.#journal.addTrials(trials, round);
    this.trials.add(trials);
    if (round) this.rounds.push(round);
  }

  update(trial: Trial): Trial {
    this.#journal.updateTrial(trial);
    this.trials.add([trial]);
    return trial;
  }

  /** A step that was reported before is replaced. */
  addIntermediate(number: number, report: IntermediateValues): void {
    this.#journal.addIntermediate(number, report);
    const trial = this.trials.at(number);
    const others = (trial.intermediate ?? []).filter(({ step }) => step !== report.step);
    const intermediate = [...others, report].sort((a, b) => a.step - b.step);
    this.trials.add([{ ...trial, intermediate }]);
  }

  setReference(reference: readonly number[]): void {
    this.exclusively(() => this.#journal.setReference(reference));
    this.#reference = [...reference];
  }

  setSettings(settings: Readonly<Record<string, unknown>>): void {
    this.exclusively(() => this.#journal.setSettings(settings));
    this.#header = { ...this.#header, settings };
  }

  addReport(report: TrialReport): void {
    this.exclusively(() => this.#journal.addReport(report));
    this.#keepReport(report);
  }

  /** A change of a shared study, made on what the study is at that moment; of others, a change. */
  exclusively<T>(change: () => T): T {
    const { sharing } = this.#journal;
    if (!sharing) return change();
    return sharing.exclusively(() => {
      this.#takeIn(sharing.changes());
      return change();
    });
  }

  /** Takes in what other processes wrote. @returns the trials that changed */
  refresh(): readonly Trial[] {
    this.#takeIn(this.sharing?.changes());
    return this.#news.splice(0).map((number) => this.trials.all[number]!);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#journal.close();
  }

  #keepReport(report: TrialReport): void {
    const old = this.reports.findIndex((r) => r.number === report.number && r.split === report.split);
    if (old < 0) this.reports.push(report);
    else this.reports[old] = report;
  }

  #takeIn(changes: StudyChanges | undefined): void {
    if (!changes) return;
    const { whole, trials, rounds, reports, reference, settings } = changes;
    if (whole) {
      this.trials.clear();
      this.rounds.splice(0);
      this.reports.splice(0);
    }
    this.trials.add(trials);
    this.rounds.push(...rounds);
    for (const report of reports) this.#keepReport(report);
    this.#reference = reference ?? this.#reference;
    this.#header = { ...this.#header, settings };
    this.#news.push(...trials.map(({ number }) => number));
  }
}

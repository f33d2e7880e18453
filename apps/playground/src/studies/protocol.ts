// What the page of studies and its worker say to each other.
import type { Importances, StudyView, ViewTrial } from '@instatune/search/report';

/** A study of a file. Its trials come before it, some at a time: thousands at once would keep the page busy. */
export interface OpenedStudy {
  readonly view: Omit<StudyView, 'trials'>;
  /** Studies that the file holds. */
  readonly names: readonly string[];
}

export interface OpenInput {
  /** What was dropped together: a study, and what SQLite has put beside it. */
  readonly files: readonly File[];
  /** Which study of the file. @defaultValue the newest */
  readonly study: string | undefined;
}

/** Of the study that was opened last: its trials as a table, or all of it. */
export type ExportFormat = 'csv' | 'json';

export type StudyOperations = {
  readonly open: { readonly input: OpenInput; readonly event: readonly ViewTrial[]; readonly output: OpenedStudy };
  /** A small search, made on the spot for visitors who have no study. */
  readonly example: { readonly input: undefined; readonly event: readonly ViewTrial[]; readonly output: OpenedStudy };
  readonly importances: {
    readonly input: { readonly objective: string };
    readonly event: never;
    readonly output: Importances | undefined;
  };
  readonly export: { readonly input: ExportFormat; readonly event: never; readonly output: Blob };
};

// What the page of studies and its worker say to each other.
import type { StudyView } from '@instatune/search/report';

/** A study of a file. */
export interface OpenedStudy {
  readonly view: StudyView;
  /** Studies that the file holds. */
  readonly names: readonly string[];
}

export type StudyOperations = {
  readonly open: {
    readonly input: { readonly file: File; readonly study: string | undefined };
    readonly event: never;
    readonly output: OpenedStudy;
  };
};

// What a page tells a study view that it mounts, and what it gets back.
import type { StudyView } from './data.ts';
import type { importancesOf } from './importances.ts';

export interface MountOptions {
  /** Width that figures are drawn for where the page cannot tell, in pixels. @defaultValue 560 */
  readonly width?: number;
  /** Called with the trials that are chosen to be compared, at most two. */
  readonly onChoose?: (trials: readonly number[]) => void;
  /**
   * What computes importances: a page with a worker gives it to that, since a forest keeps a thread busy for a while.
   *
   * @defaultValue {@link importancesOf}, in this thread
   */
  readonly importances?: typeof importancesOf;
}

/** A view that stands in a page. */
export interface MountedStudy {
  /** Shows a study anew; filters, sorting, axes and chosen trials stay as they are. */
  update(view: StudyView): void;
  /** Once everything that was shown last is drawn; panels are drawn one after the other, so that the page answers in between. */
  drawn(): Promise<void>;
  /** Takes everything out of the page again. */
  dispose(): void;
}

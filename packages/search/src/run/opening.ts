// The studies that a search goes on with, or starts warm from: open, in a file, or in memory.
import { SearchError } from '../errors.ts';
import { Study } from '../study/study.ts';
import type { Tactic } from '../tactics/tactic.ts';
import type { RunOptions, StudySettings } from './options.ts';

export interface ResumeOptions extends RunOptions {
  /** The study's file, or `{ path, name }` where it holds several, or a study in memory. */
  readonly study: string | { readonly path: string; readonly name?: string } | Study;
  /** A new budget. @defaultValue what the study was started with */
  readonly evaluations?: number | undefined;
  /** The tactic object, if the study was started with one that is not built in. */
  readonly tactic?: Tactic | undefined;
  /** The study it was warm-started from, where that was not a file. */
  readonly warmStart?: { readonly study: Study } | undefined;
}

export async function openForResume(study: ResumeOptions['study'], options: ResumeOptions): Promise<Study> {
  if (study instanceof Study) return study;
  const { openStudy } = await import('../study/sqlite.ts');
  return typeof study === 'string' ? openStudy(study, undefined, options) : openStudy(study.path, study.name, options);
}

export async function readWarmStart({
  path,
  name,
  ...rest
}: {
  path: string;
  name?: string;
  trust?: readonly string[];
  share?: number;
}) {
  const { absolute, readStudy } = await import('../study/sqlite.ts');
  // Resuming may happen in another folder.
  return { ...rest, path: absolute(path), study: readStudy(path, name) };
}

export async function warmStudy(
  settings: NonNullable<StudySettings['warmStart']>,
  options: ResumeOptions,
): Promise<Study> {
  if (options.warmStart) return options.warmStart.study;
  if (settings.path === undefined)
    throw new SearchError(
      'study-missing',
      'this study was warm-started from a study in memory: pass it as `warmStart`',
      { settings },
    );
  const { readStudy } = await import('../study/sqlite.ts');
  return readStudy(settings.path, settings.name);
}

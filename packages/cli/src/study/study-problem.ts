// The problem of a study that already exists. What a study's file names is code from elsewhere: only `resume` runs it, and only if told to.
import { SearchError, viewOf, type SearchProblem, type Study } from '@instatune/search';
import { isBuiltIn, loadProblem, moduleOf, problemSpecifier, readStudy } from '@instatune/search/node';
import { jsonObject } from './shared.ts';

export interface StudyProblem {
  readonly problem: SearchProblem;
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
}

interface Given {
  readonly study: string;
  readonly name?: string | undefined;
  readonly problem?: string | undefined;
  readonly options?: string | undefined;
}

/**
 * What shows a study: the module that the user names, a built-in that the study names, else what the study itself tells.
 */
export async function shownProblem(study: Study, given: Given): Promise<SearchProblem> {
  if (given.problem !== undefined) return loadProblem(given.problem, jsonObject('options', given.options));
  const remembered = moduleOf(study);
  if (remembered && isBuiltIn(remembered.specifier)) return loadProblem(remembered.specifier, remembered.options);
  return viewOf(study);
}

/**
 * What goes on with a study: the module that the user names, a built-in, or with `trust` the module that the file names.
 *
 * @throws SearchError `invalid-option` if no module is known, or the file names one and is not trusted
 */
export async function resumedProblem(given: Given & { readonly trust: boolean }): Promise<StudyProblem> {
  const study = readStudy(given.study, given.name);
  const remembered = moduleOf(study);
  const specifier = given.problem ?? remembered?.specifier;
  if (specifier === undefined) {
    throw new SearchError(
      'invalid-option',
      `study "${study.header.name}" does not say which module its problem "${study.header.problem}" comes from: give --problem`,
      { problem: study.header.problem },
    );
  }
  const shown = JSON.stringify(specifier).slice(0, 200);
  if (given.problem === undefined && !isBuiltIn(specifier)) {
    if (!given.trust) {
      throw new SearchError(
        'invalid-option',
        `${given.study} names the module ${shown}, which resuming would run: add --trust if the file is yours, or give --problem`,
        { module: specifier },
      );
    }
    process.stderr.write(`running ${shown}, which ${given.study} names\n`);
  }
  const options = given.options === undefined ? (remembered?.options ?? {}) : jsonObject('options', given.options);
  return { problem: await loadProblem(specifier, options), module: problemSpecifier(specifier), options };
}

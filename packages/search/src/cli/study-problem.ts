// The problem of a study that already exists: the one it remembers, unless another module is given.
import { SearchError } from '../errors.ts';
import { loadProblem, problemSpecifier } from '../evaluate/load-problem.ts';
import type { SearchProblem } from '../problem.ts';
import { parseSettings } from '../run/options.ts';
import { readStudy } from '../study/sqlite.ts';
import { jsonObject } from './shared.ts';

export interface StudyProblem {
  readonly problem: SearchProblem;
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** @throws SearchError `invalid-option` if the study was not started from the command line and no module is given */
export async function studyProblem(given: {
  readonly study: string;
  readonly name?: string | undefined;
  readonly problem?: string | undefined;
  readonly options?: string | undefined;
}): Promise<StudyProblem> {
  const study = readStudy(given.study, given.name);
  const remembered = parseSettings(study).module;
  const specifier = given.problem ?? remembered?.specifier;
  if (specifier === undefined) {
    throw new SearchError(
      'invalid-option',
      `study "${study.header.name}" does not say which module its problem "${study.header.problem}" comes from: give --problem`,
      {
        problem: study.header.problem,
      },
    );
  }
  const options = given.options === undefined ? (remembered?.options ?? {}) : jsonObject('options', given.options);
  return { problem: await loadProblem(specifier, options), module: problemSpecifier(specifier), options };
}

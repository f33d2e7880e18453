// A problem by name: a built-in one, or a module that exports `problem` or `createProblem`.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SearchError, messageOf } from '../errors.ts';
import type { SearchProblem } from '../problem.ts';
import { builtIn } from '../problems/registry.ts';
import { parseSettings } from '../run/options.ts';
import { checkProblem } from '../space.ts';
import type { Study } from '../study/study.ts';

/** What a problem module exports: one of the two. */
export interface ProblemModule {
  readonly problem?: SearchProblem;
  readonly createProblem?: (options: Readonly<Record<string, unknown>>) => SearchProblem | Promise<SearchProblem>;
}

/**
 * Where a study says that its problem comes from: a name or a module, and what `createProblem` was given. It is text of a file that may come
 * from elsewhere: loading it runs it.
 *
 * @throws SearchError `corrupt-study`
 */
export function moduleOf(
  study: Study,
): { readonly specifier: string; readonly options: Readonly<Record<string, unknown>> } | undefined {
  return parseSettings(study).module;
}

/** Whether this is the name of a problem that comes with the package. */
export const isBuiltIn = (specifier: string): boolean => builtIn.has(specifier);

/**
 * A module as a URL: paths become absolute, package names stay.
 *
 * @throws SearchError `problem-module` for what is neither path, file URL nor package name: text can be code (`data:`), and come from afar
 */
export function problemSpecifier(specifier: string): string {
  if (builtIn.has(specifier) || specifier.startsWith('file:')) return specifier;
  // A letter and a colon are a drive of Windows.
  if (/^[a-z][a-z\d+.-]+:/i.test(specifier) && !existsSync(resolve(specifier))) {
    throw new SearchError(
      'problem-module',
      `${JSON.stringify(specifier).slice(0, 200)} is no module to load a problem from: give a path, a file: URL or a package's name`,
      { specifier },
    );
  }
  const path = resolve(specifier);
  // Where nothing is, a path is still a path: Node would look for it beside this file.
  return /^[./]/.test(specifier) || existsSync(path) ? pathToFileURL(path).href : specifier;
}

function checkFile(path: string): void {
  if (!existsSync(path)) throw new Error(`no file at ${path}`);
}

/**
 * Loads a problem.
 *
 * @param specifier a built-in name (`bert-synth`), a path, a file URL or a package
 * @param options handed to `createProblem`
 * @throws SearchError `problem-module`, `invalid-problem`
 */
export async function loadProblem(
  specifier: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<SearchProblem> {
  const create = builtIn.get(specifier);
  if (create) return create(options);
  let module: ProblemModule;
  try {
    const resolved = problemSpecifier(specifier);
    if (resolved.startsWith('file:')) checkFile(fileURLToPath(resolved));
    module = (await import(resolved)) as ProblemModule;
  } catch (error) {
    if (error instanceof SearchError) throw error;
    throw new SearchError(
      'problem-module',
      `cannot load problem "${specifier}": ${messageOf(error)}. Give a built-in (${[...builtIn.keys()].join(', ')}) or a module's path`,
      { specifier },
      {
        cause: error,
      },
    );
  }
  const problem = module.createProblem ? await module.createProblem(options) : module.problem;
  if (!problem)
    throw new SearchError(
      'problem-module',
      `"${specifier}" exports neither \`problem\` nor \`createProblem\`: export a SearchProblem under one of these names`,
      { specifier },
    );
  checkProblem(problem);
  return problem;
}

// The two doors of the package: `runSearch` starts a study, `resume` goes on with one.
import { SearchError } from '../errors.ts';
import { checkNames } from '../nearest.ts';
import type { SearchProblem } from '../problem.ts';
import { Space } from '../space.ts';
import { objectiveMismatch } from '../study/compare.ts';
import type { StudyHeader } from '../study/header.ts';
import { Study } from '../study/study.ts';
import { createTactic, tacticFromSettings } from '../tactics/create.ts';
import type { Tactic } from '../tactics/tactic.ts';
import { warmStart } from '../warm-start.ts';
import { ConstraintSet } from './constraint-set.ts';
import { checkSameInequality } from './inequality.ts';
import { givenGenes } from '../given/candidate.ts';
import { knownTrials } from '../given/known.ts';
import {
  checkNumbers,
  parseSettings,
  RUN_OPTIONS,
  SEARCH_OPTIONS,
  type SearchOptions,
  type StudySettings,
} from './options.ts';
import { openForResume, readWarmStart, warmStudy, type ResumeOptions } from './opening.ts';
import type { SearchResult } from './progress.ts';
import { runStudy } from './run-study.ts';
import { stoppingOf } from './stopping.ts';

/**
 * Searches a problem's Pareto front.
 *
 * The same seed gives the same trials with every evaluator, serial or parallel, interrupted and resumed or not, as long as the measurements
 * themselves repeat.
 *
 * @throws SearchError on a problem, option or constraint that makes no sense, an unusable study file, or if the whole first round fails;
 *   the signal's reason if aborted
 * @example
 * const result = await runSearch(problem, { tactic: 'linas', evaluations: 250, seed: 1, study: 'search.db' });
 * for (const { genes, values } of result.front) console.log(genes, values);
 */
export async function runSearch(problem: SearchProblem, options: SearchOptions): Promise<SearchResult> {
  checkNames('runSearch', options, SEARCH_OPTIONS);
  checkNumbers(options);
  const space = new Space(problem);
  const tactic = chooseTactic(options);
  tactic.check?.(space);
  if (options.reportSplit === 'search' || options.reportSplit === '') {
    throw new SearchError(
      'invalid-option',
      `reportSplit is "${options.reportSplit}": name a split that the search does not choose by, e.g. "report"`,
      { reportSplit: options.reportSplit },
    );
  }
  const stopping = stoppingOf(space, options.earlyStopping);
  const constraints = [...(problem.constraints ?? []), ...(options.constraints ?? [])];
  new ConstraintSet(space, constraints); // before anything is written
  const given = (options.candidates ?? []).map((candidate, index) =>
    givenGenes(space, candidate, { where: `candidate ${index}` }),
  );
  const known = options.measurements ? knownTrials(space, options.measurements, options.seed ?? 0) : [];
  const warmOptions =
    options.warmStart && ('study' in options.warmStart ? options.warmStart : await readWarmStart(options.warmStart));
  const warm = warmOptions && warmStart(space, warmOptions);
  const path = typeof options.study === 'string' ? options.study : options.study?.path;
  const settings: StudySettings = {
    evaluations: options.evaluations,
    constraints,
    ...(problem.attributes?.length
      ? { attributes: problem.attributes.map(({ name, unit }) => ({ name, ...(unit === undefined ? {} : { unit }) })) }
      : {}),
    ...(problem.inequality?.length ? { inequality: problem.inequality.map(({ name }) => name) } : {}),
    ...(options.reportSplit === undefined ? {} : { reportSplit: options.reportSplit }),
    ...(options.module
      ? { module: { specifier: options.module.specifier, options: { ...options.module.options } } }
      : {}),
    ...(given.length > 0 ? { candidates: given } : {}),
    ...(stopping ? { earlyStopping: { ...stopping, rungs: [...stopping.rungs] } } : {}),
    ...(options.proposals === 'asynchronous' ? { proposals: options.proposals } : {}),
    tactic: { ...tactic.settings },
    ...(warm
      ? {
          warmStart: {
            ...('path' in warmOptions! ? { path: warmOptions.path } : {}),
            name: warmOptions!.study.header.name,
            trust: [...warm.trust],
            share: warm.share,
            trials: warm.trials.map(({ number }) => number),
          },
        }
      : {}),
  };
  const header: StudyHeader = {
    name: (typeof options.study === 'object' ? options.study.name : undefined) ?? 'default',
    uid: crypto.randomUUID(),
    problem: problem.name,
    space: problem.space,
    objectives: problem.objectives.map(({ name, kind, unit, direction = 'minimize' }) => ({
      name,
      kind,
      direction,
      ...(unit === undefined ? {} : { unit }),
    })),
    fingerprint: space.fingerprint,
    tactic: tactic.name,
    settings,
    seed: options.seed ?? 0,
    createdAt: Date.now(),
  };
  const study =
    path === undefined ? new Study(header) : (await import('../study/sqlite.ts')).createStudy(path, header, options);
  if (known.length > 0) study.know(known);
  return runStudy(space, study, tactic, warm, options);
}

/**
 * Goes on with a study that was interrupted, or has a larger budget now. Trials that were running when its process died are measured again.
 * A study with asynchronous proposals that others run now is joined: this process proposes and measures beside them.
 *
 * @throws SearchError `study-missing`, `study-busy`, `space-mismatch`, `corrupt-study`, `wrong-schema`, and what `runSearch` throws
 * @example
 * const result = await resume(problem, { study: 'search.db', evaluations: 500 });
 */
export async function resume(problem: SearchProblem, options: ResumeOptions): Promise<SearchResult> {
  checkNames('resume', options, [...RUN_OPTIONS, 'study', 'evaluations', 'tactic', 'warmStart']);
  const space = new Space(problem);
  const study = await openForResume(options.study, options);
  try {
    if (study.header.fingerprint !== space.fingerprint) {
      throw new SearchError(
        'space-mismatch',
        `study "${study.header.name}" belongs to problem "${study.header.problem}" with ${study.header.space.length} variables and objectives ${study.header.objectives.map(({ name }) => name).join(', ')}; "${problem.name}" differs: resume with the problem it was started with`,
        { study: study.header.fingerprint, problem: space.fingerprint },
      );
    }
    const mismatch = objectiveMismatch(problem.objectives, study.header.objectives, new Set());
    if (mismatch !== undefined) {
      throw new SearchError(
        'space-mismatch',
        `study "${study.header.name}" has ${mismatch}: its numbers would not mean the same; resume with the problem it was started with`,
        { study: study.header.objectives },
      );
    }
    const settings = parseSettings(study);
    checkSameInequality(problem, study.header.name, settings.inequality);
    const { retries, leaseMs } = options;
    checkNumbers({ evaluations: options.evaluations ?? settings.evaluations, retries, leaseMs });
    const tactic = options.tactic ?? tacticFromSettings(study.header.tactic, settings.tactic);
    if (options.evaluations !== undefined && options.evaluations !== settings.evaluations) {
      study.setSettings({ ...settings, evaluations: options.evaluations });
    }
    const warm =
      settings.warmStart &&
      warmStart(space, { ...settings.warmStart, study: await warmStudy(settings.warmStart, options) });
    return await runStudy(space, study, tactic, warm, options);
  } catch (error) {
    if (!(options.study instanceof Study)) study.close();
    throw error;
  }
}

function chooseTactic({ tactic = 'linas', population }: SearchOptions): Tactic {
  if (typeof tactic === 'object' && 'propose' in tactic) return tactic as Tactic;
  const { name, ...settings } = typeof tactic === 'object' ? tactic : { name: tactic };
  return createTactic(name, { ...settings, ...(population === undefined ? {} : { population }) });
}

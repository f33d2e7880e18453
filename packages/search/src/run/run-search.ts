// The two doors of the package: `runSearch` starts a study, `resume` goes on with one.
import { SearchError } from '../errors.ts';
import { inProcess } from '../evaluate/in-process.ts';
import type { Evaluator } from '../evaluate/evaluator.ts';
import { checkNames } from '../nearest.ts';
import type { SearchProblem } from '../problem.ts';
import { Space } from '../space.ts';
import { objectiveMismatch } from '../study/compare.ts';
import type { StudyHeader } from '../study/header.ts';
import { Study } from '../study/study.ts';
import { isDone } from '../study/trial.ts';
import { createTactic, tacticFromSettings } from '../tactics/create.ts';
import type { Tactic } from '../tactics/tactic.ts';
import { warmStart, type WarmStart } from '../warm-start.ts';
import { ConstraintSet } from './constraint-set.ts';
import { givenGenes } from '../given/candidate.ts';
import { KNOWN, knownTrials } from '../given/known.ts';
import { driveAsynchronously } from './asynchronous.ts';
import { drive } from './driver.ts';
import { FrontTracker, referencePoint } from './front.ts';
import {
  checkNumbers,
  parseSettings,
  RUN_OPTIONS,
  SEARCH_OPTIONS,
  type RunOptions,
  type SearchOptions,
  type StudySettings,
} from './options.ts';
import type { SearchProgress, SearchResult } from './progress.ts';
import { measureReports } from './reports.ts';
import { studyResult } from './result.ts';
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

async function openForResume(study: ResumeOptions['study'], options: ResumeOptions): Promise<Study> {
  if (study instanceof Study) return study;
  const { openStudy } = await import('../study/sqlite.ts');
  return typeof study === 'string' ? openStudy(study, undefined, options) : openStudy(study.path, study.name, options);
}

async function readWarmStart({
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

async function warmStudy(settings: NonNullable<StudySettings['warmStart']>, options: ResumeOptions): Promise<Study> {
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

/** Runs a study to its budget, measures the reports, closes it. */
async function runStudy(
  space: Space,
  study: Study,
  tactic: Tactic,
  warm: WarmStart | undefined,
  options: RunOptions,
): Promise<SearchResult> {
  const evaluator: Evaluator = options.evaluator ?? inProcess(space.problem);
  const { concurrency } = evaluator;
  const settings = parseSettings(study);
  const constraints = new ConstraintSet(space, settings.constraints);
  const budget = settings.evaluations;
  const start = performance.now();
  const before = study.trials.filter((trial) => isDone(trial) && trial.origin !== KNOWN).length;
  let tracker: FrontTracker | undefined;
  let round = study.trials.at(-1)?.round ?? 0;

  const fixReference = () => {
    const first = study.trials.filter((trial) => trial.round === 0);
    // What is known before the first round is proposed is not all of it.
    const begun = study.trials.some(({ origin }) => origin !== KNOWN);
    if (tracker || !begun || first.length === 0 || !first.every(isDone)) return;
    const reference = study.reference ?? referencePoint(space, study.trials);
    if (!reference) return;
    if (!study.reference) study.setReference(reference);
    tracker = new FrontTracker(space, reference, constraints.bounds(study.trials));
    for (const trial of study.trials) tracker.add(trial);
  };
  let done = before;
  const tell = (phase: SearchProgress['phase'], trial?: SearchProgress['trial']) => {
    const elapsedMs = performance.now() - start;
    const fresh = done - before;
    options.onProgress?.({
      phase,
      round,
      evaluations: done,
      budget,
      hypervolume: tracker?.hypervolume,
      frontSize: tracker?.size ?? 0,
      elapsedMs,
      etaMs: fresh === 0 ? undefined : (elapsedMs / fresh) * (budget - done),
      ...(trial ? { trial } : {}),
    });
  };

  try {
    if (!(concurrency >= 1))
      throw new SearchError('invalid-option', `the evaluator's concurrency is ${concurrency}: use a number ≥ 1`, {
        concurrency,
      });
    fixReference();
    await (settings.proposals === 'asynchronous' ? driveAsynchronously : drive)({
      space,
      study,
      tactic,
      evaluator,
      budget,
      given: settings.candidates ?? [],
      constraints,
      warm,
      retries: options.retries ?? 2,
      stopping: settings.earlyStopping,
      asynchronous: settings.proposals === 'asynchronous',
      signal: options.signal,
      onProposing(next) {
        round = next;
        tell('proposing');
      },
      onTrial(trial) {
        done++;
        round = Math.max(round, trial.round);
        if (tracker) tracker.add(trial);
        else fixReference();
        tell('measuring', trial);
      },
    });
    if (settings.reportSplit !== undefined) {
      tell('reporting');
      await measureReports(space, study, evaluator, constraints, settings.reportSplit, options.signal);
    }
    return studyResult(space, study, constraints);
  } finally {
    study.close();
  }
}

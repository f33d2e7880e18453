// `instatune search`: starts a study.
import { defineCommand, type ArgsDef } from 'citty';
import { isTacticName, PREDICTOR_NAMES, runSearch, SearchError, TACTIC_NAMES } from '@instatune/search';
import { isBuiltIn, loadProblem, problemSpecifier, readCandidates } from '@instatune/search/node';
import { readKnown } from './read-known.ts';
import { reportError } from './report-error.ts';
import { resumeHint } from './resume-hint.ts';
import { runInTerminal } from './run.ts';
import {
  checkOutput,
  chooseEvaluator,
  evaluatorArgs,
  jsonObject,
  list,
  problemArgs,
  processRetries,
  rejectUnknown,
  studyArgs,
  whole,
} from './shared.ts';

const args = {
  ...problemArgs,
  ...studyArgs,
  tactic: { type: 'string', description: TACTIC_NAMES.join(', '), default: 'linas' },
  evaluations: { type: 'string', description: 'candidates to measure', valueHint: 'N', default: '250' },
  population: { type: 'string', description: 'candidates a round', valueHint: 'N' },
  seed: { type: 'string', description: 'same seed, same trials', valueHint: 'N', default: '0' },
  constraints: { type: 'string', description: 'e.g. "latency <= 20, accuracy >= baseline - 1%"', valueHint: 'LIST' },
  optimize: { type: 'string', description: 'the objective that `successive` improves', valueHint: 'NAME' },
  predictor: {
    type: 'string',
    description: `what linas and successive learn objectives with: ${PREDICTOR_NAMES.join(', ')}`,
    valueHint: 'NAME',
  },
  'report-split': { type: 'string', description: 'measure the front again on this split', valueHint: 'NAME' },
  candidates: {
    type: 'string',
    description: 'measure these first: a JSON list, or CSV with a column a variable',
    valueHint: 'FILE',
  },
  measurements: {
    type: 'string',
    description: 'known already, never measured again: CSV, an Optuna storage, or a study of instatune',
    valueHint: 'FILE',
  },
  'measurements-name': { type: 'string', description: 'which study of that file', valueHint: 'NAME' },
  'measurements-objectives': {
    type: 'string',
    description: 'names of an Optuna study’s objectives, in order',
    valueHint: 'LIST',
  },
  'warm-start': { type: 'string', description: 'start from this study file', valueHint: 'FILE' },
  'warm-name': { type: 'string', description: 'which study of that file', valueHint: 'NAME' },
  trust: {
    type: 'string',
    description: 'measured objectives whose values in the warm-start study hold here',
    valueHint: 'LIST',
  },
  ...evaluatorArgs,
} satisfies ArgsDef;

/** Of `resume`: the study that this command wrote is its user's own. */
const TRUST = { type: 'boolean', default: false } as const;

export const search = defineCommand({
  meta: { name: 'search', description: 'Search a problem and keep every trial in a study file' },
  args,
  async run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      checkOutput('html', given.html);
      if (given.problem === undefined)
        throw new SearchError('invalid-option', 'no --problem: give a module, or bert-synth to try it out', {});
      if (!isTacticName(given.tactic))
        throw new SearchError('invalid-option', `--tactic is "${given.tactic}": use ${TACTIC_NAMES.join(', ')}`, {
          tactic: given.tactic,
        });
      const options = jsonObject('options', given.options);
      const module = problemSpecifier(given.problem);
      const problem = await loadProblem(given.problem, options);
      const evaluator = await chooseEvaluator(problem, {
        ...given,
        module,
        options,
        redis: given.redis,
        timeout: given.timeout,
      });
      // Files that cannot be read are said before anything is measured.
      const candidates = given.candidates === undefined ? undefined : await readCandidates(given.candidates);
      const measurements =
        given.measurements === undefined
          ? undefined
          : await readKnown(given.measurements, given['measurements-name'], list(given['measurements-objectives']));
      const warmFile = given['warm-start'];
      const warmName = given['warm-name'];
      await runInTerminal({
        problem,
        evaluator,
        quiet: given.quiet,
        html: given.html,
        resumeCommand: resumeHint(
          { ...given, trust: !isBuiltIn(given.problem) },
          { ...studyArgs, trust: TRUST, ...evaluatorArgs },
        ),
        start: (run) =>
          runSearch(problem, {
            ...run,
            ...processRetries(given),
            tactic: {
              name: given.tactic as (typeof TACTIC_NAMES)[number],
              ...(given.optimize === undefined ? {} : { optimize: given.optimize }),
              ...(given.predictor === undefined ? {} : { predictor: given.predictor }),
            },
            evaluations: whole('evaluations', given.evaluations, 1)!,
            population: whole('population', given.population, 2),
            seed: whole('seed', given.seed, 0),
            constraints: list(given.constraints),
            study: { path: given.study, ...(given.name === undefined ? {} : { name: given.name }) },
            module: { specifier: module, options },
            candidates,
            measurements,
            ...(given['report-split'] === undefined ? {} : { reportSplit: given['report-split'] }),
            ...(warmFile === undefined
              ? {}
              : {
                  warmStart: {
                    path: warmFile,
                    trust: list(given.trust),
                    ...(warmName === undefined ? {} : { name: warmName }),
                  },
                }),
          }),
      });
    } catch (error) {
      reportError(error);
    }
  },
});

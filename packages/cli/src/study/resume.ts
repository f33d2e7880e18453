// `instatune resume`: goes on with a study, with the problem it remembers.
import { defineCommand, type ArgsDef } from 'citty';
import { resume } from '@instatune/search';
import { reportError } from './report-error.ts';
import { resumeHint } from './resume-hint.ts';
import { runInTerminal } from './run.ts';
import {
  checkOutput,
  chooseEvaluator,
  evaluatorArgs,
  problemArgs,
  processRetries,
  rejectUnknown,
  studyArgs,
  whole,
} from './shared.ts';
import { resumedProblem } from './study-problem.ts';

const args = {
  ...studyArgs,
  ...problemArgs,
  trust: { type: 'boolean', description: 'run the problem module that the study file names', default: false },
  evaluations: { type: 'string', description: 'a new budget', valueHint: 'N' },
  ...evaluatorArgs,
} satisfies ArgsDef;

export const resumeCommand = defineCommand({
  meta: { name: 'resume', description: 'Go on with a study that was interrupted, or give it a larger budget' },
  args,
  async run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      checkOutput('html', given.html);
      const { problem, module, options } = await resumedProblem(given);
      const evaluator = await chooseEvaluator(problem, {
        ...given,
        module,
        options,
        redis: given.redis,
        timeout: given.timeout,
      });
      const study = { path: given.study, ...(given.name === undefined ? {} : { name: given.name }) };
      await runInTerminal({
        problem,
        evaluator,
        quiet: given.quiet,
        html: given.html,
        resumeCommand: resumeHint(given, { ...studyArgs, ...problemArgs, trust: args.trust, ...evaluatorArgs }),
        start: (run) =>
          resume(problem, {
            ...run,
            ...processRetries(given),
            study,
            evaluations: whole('evaluations', given.evaluations, 1),
          }),
      });
    } catch (error) {
      reportError(error);
    }
  },
});

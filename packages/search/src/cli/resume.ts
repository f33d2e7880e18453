// `instatune resume`: goes on with a study, with the problem it remembers.
import { defineCommand, type ArgsDef } from 'citty';
import { resume } from '../run/run-search.ts';
import { reportError } from './report-error.ts';
import { resumeHint } from './resume-hint.ts';
import { runInTerminal } from './run.ts';
import { checkOutput, chooseEvaluator, evaluatorArgs, problemArgs, rejectUnknown, studyArgs, whole } from './shared.ts';
import { studyProblem } from './study-problem.ts';

const args = {
  ...studyArgs,
  ...problemArgs,
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
      const { problem, module, options } = await studyProblem(given);
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
        resumeCommand: resumeHint(given, { ...studyArgs, ...problemArgs, ...evaluatorArgs }),
        start: (run) => resume(problem, { ...run, study, evaluations: whole('evaluations', given.evaluations, 1) }),
      });
    } catch (error) {
      reportError(error);
    }
  },
});

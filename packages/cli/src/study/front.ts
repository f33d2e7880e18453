// `instatune front`: the front of a study, a pick from it, the report.
import { defineCommand, type ArgsDef } from 'citty';
import { pick, resultOf, SearchError, shortNumber } from '@instatune/search';
import { listStudies, readStudy } from '@instatune/search/node';
import { reportError } from './report-error.ts';
import { checkOutput, finish, list, problemArgs, rejectUnknown, studyArgs } from './shared.ts';
import { shownProblem } from './study-problem.ts';

const args = {
  ...studyArgs,
  ...problemArgs,
  list: { type: 'boolean', description: 'only list the studies of the file', default: false },
  pick: { type: 'boolean', description: 'also pick a point: the knee, or the best within --budget', default: false },
  budget: { type: 'string', description: 'e.g. "latency <= 0.6x"', valueHint: 'LIST' },
  optimize: { type: 'string', description: 'which objective is best within the budget', valueHint: 'NAME' },
  html: { type: 'string', description: 'write the report here', valueHint: 'FILE' },
} satisfies ArgsDef;

export const front = defineCommand({
  meta: { name: 'front', description: 'Show the front of a study, pick from it, write the report' },
  args,
  async run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      checkOutput('html', given.html);
      if (given.optimize !== undefined && !given.pick && given.budget === undefined) {
        throw new SearchError(
          'invalid-option',
          `--optimize ${given.optimize} picks nothing by itself: add --pick, or --budget with what the point may cost`,
          { optimize: given.optimize },
        );
      }
      if (given.list) {
        for (const { name, problem, tactic, seed, complete, trials } of listStudies(given.study)) {
          process.stdout.write(
            `${name}: ${problem}, ${tactic}, seed ${seed}, ${complete} of ${trials} trials complete\n`,
          );
        }
        return;
      }
      const study = readStudy(given.study, given.name);
      const problem = await shownProblem(study, given);
      try {
        const result = resultOf(problem, study);
        await finish(result, problem, given.html);
        if (given.pick || given.budget !== undefined) {
          const { point, rule } = pick(result, { budget: list(given.budget), optimize: given.optimize });
          const values = Object.entries(point.values).map(([name, value]) => `${name} ${shortNumber(value)}`);
          process.stdout.write(`${rule}: trial ${point.number}, ${values.join(', ')}\n`);
        }
      } finally {
        // What the problem holds would keep this process from ending.
        await problem.dispose?.();
      }
    } catch (error) {
      reportError(error);
    }
  },
});

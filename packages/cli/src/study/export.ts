// `instatune export`: a study as CSV or JSON. Needs no problem module.
import { writeFileSync } from 'node:fs';
import { defineCommand, type ArgsDef } from 'citty';
import { SearchError, studyToCsv, studyToJson } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { reportError } from './report-error.ts';
import { checkOutput, rejectUnknown, studyArgs } from './shared.ts';

const args = {
  format: { type: 'positional', description: 'csv or json', required: false, default: 'csv' },
  ...studyArgs,
  out: { type: 'string', description: 'write to this file instead of standard output', valueHint: 'FILE' },
} satisfies ArgsDef;

export const exportCommand = defineCommand({
  meta: { name: 'export', description: 'Write every trial of a study as CSV or JSON' },
  args,
  run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      checkOutput('out', given.out);
      if (given.format !== 'csv' && given.format !== 'json')
        throw new SearchError('invalid-option', `format "${given.format}": use csv or json`, { format: given.format });
      const study = readStudy(given.study, given.name);
      const text = given.format === 'csv' ? studyToCsv(study) : `${JSON.stringify(studyToJson(study), undefined, 2)}\n`;
      if (given.out === undefined) process.stdout.write(text);
      else writeFileSync(given.out, text);
    } catch (error) {
      reportError(error);
    }
  },
});

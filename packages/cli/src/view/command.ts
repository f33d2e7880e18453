// `instatune view`: a study in the browser, live while a search writes it; or as one page in a file.
import { writeFileSync } from 'node:fs';
import { defineCommand, type ArgsDef } from 'citty';
import { SearchError } from '@instatune/search';
import { reportError } from '../study/report-error.ts';
import { checkOutput, list, rejectUnknown, whole } from '../study/shared.ts';
import { renderStudyPage } from './page.ts';
import { serveStudy } from './server.ts';
import { openStudyFile } from './study-file.ts';

const args = {
  file: { type: 'positional', description: 'the study file', required: false, default: 'instatune.db' },
  name: { type: 'string', description: 'which study of the file; the newest if not said', valueHint: 'NAME' },
  objectives: { type: 'string', description: 'names of an Optuna study’s objectives, in order', valueHint: 'LIST' },
  out: { type: 'string', description: 'write the page to this file and end', valueHint: 'FILE' },
  port: {
    type: 'string',
    description: 'where the page is served on 127.0.0.1; 0 for any',
    valueHint: 'N',
    default: '0',
  },
} satisfies ArgsDef;

export const viewCommand = defineCommand({
  meta: { name: 'view', description: 'Look at a study (or an Optuna storage) in a browser, live while it grows' },
  args,
  async run({ args: given, rawArgs }) {
    try {
      rejectUnknown(rawArgs, args);
      checkOutput('out', given.out);
      const port = whole('port', given.port, 0) ?? 0;
      if (port > 65_535) throw new SearchError('invalid-option', `--port is ${port}: use 0 to 65535`, { port });
      const objectives = list(given.objectives);
      using file = openStudyFile(given.file, {
        ...(given.name === undefined ? {} : { study: given.name }),
        ...(objectives.length === 0 ? {} : { objectives }),
      });
      // What cannot be shown is said here, not in the browser.
      const view = await file.view();
      if (given.out !== undefined) {
        writeFileSync(given.out, renderStudyPage(view));
        return;
      }
      await using server = await serveStudy(file, port);
      process.stdout.write(`${view.name}: ${server.url} (Ctrl-C ends it)\n`);
      await new Promise<void>((resolve) => {
        process.once('SIGINT', resolve);
        process.once('SIGTERM', resolve);
      });
    } catch (error) {
      reportError(error);
    }
  },
});
